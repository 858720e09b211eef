"""The results of comparing two folders."""

import pytest

from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.recording.compare import compare_folders
from tianqin_backtrader.recording.parquet_files import RecordingFiles
from tianqin_backtrader.recording.tracks import MINUTES, TICKS

SYMBOL, DAY = "SHFE.cu2612", "2026-11-10"
ORDERS = "order_id,bar,symbol,direction,offset,volume_orign,limit_price,status\n"


def bar(row_id, start, close):
    return (row_id, start * 60_000_000_000, 1.0, 2.0, 0.5, close, 10, 100, 110)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "one", tmp_path / "other"


def test_bars_are_compared_without_the_numbers_a_replay_gives_them(folders):
    for folder, first in zip(folders, (5000, 0), strict=True):
        rows = [bar(first + index, index, 7.0) for index in range(10)]
        RecordingFiles(folder).merge(MINUTES, SYMBOL, DAY, rows, None)
    found = compare_folders(*folders)
    assert found.equal and found.counts == {"minutes": 10}
    assert str(found) == "equal: 10 minutes"


def test_the_first_difference_is_shown(folders):
    for folder, close in zip(folders, (7.0, 8.0), strict=True):
        rows = [bar(0, 0, 7.0), bar(1, 1, close), bar(2, 2, close)]
        RecordingFiles(folder).merge(MINUTES, SYMBOL, DAY, rows, None)
    found = compare_folders(*folders)
    assert not found.equal and found.counts == {"minutes": 1}
    assert found.difference == (
        "SHFE.cu2612 2026-11-10 minutes, row 2 of 1970-01-01 08:01:00: close 7.0 != 8.0"
    )


def test_a_row_that_is_missing_is_a_difference(folders):
    for folder, count in zip(folders, (3, 2), strict=True):
        rows = [bar(index, index, 7.0) for index in range(count)]
        RecordingFiles(folder).merge(MINUTES, SYMBOL, DAY, rows, None)
    assert "3 rows != 2 rows, the first extra is of 1970-01-01 08:02:00" in str(
        compare_folders(*folders)
    )


def test_orders_are_compared_by_what_the_strategy_wanted(folders):
    for folder, ids in zip(folders, (("a", "b"), ("x", "y")), strict=True):
        folder.mkdir()
        lines = [f"{ids[0]},09:31,{SYMBOL},BUY,OPEN,1,78000.0,{s}\n" for s in ("INTENT", "ALIVE")]
        lines.append(f"{ids[1]},09:35,{SYMBOL},SELL,CLOSE,1,78010.0,INTENT\n")
        (folder / "order.csv").write_text(ORDERS + "".join(lines))
    assert compare_folders(*folders).counts == {"orders": 2}
    path = folders[1] / "order.csv"
    path.write_text(path.read_text().replace("SELL", "BUY"))
    assert str(compare_folders(*folders)).startswith(
        "order.csv, row 2 of 09:35: direction SELL != BUY"
    )


def test_folders_without_anything_in_common_are_no_equals(folders):
    with pytest.raises(ConfigError, match="in common"):
        compare_folders(*folders)
    RecordingFiles(folders[0]).merge(TICKS, SYMBOL, DAY, [], None)
    with pytest.raises(ConfigError, match="in common"):
        compare_folders(*folders)
