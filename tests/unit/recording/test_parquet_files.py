"""Journal and Parquet files of a recording stay complete, whatever happens to them."""

import sqlite3

import pytest

from tianqin_backtrader.errors import JournalError
from tianqin_backtrader.recording.parquet_files import RecordingFiles
from tianqin_backtrader.recording.spool import NAME, RecordingJournal
from tianqin_backtrader.recording.tracks import DAYS, MINUTES, TICKS, IdSet

SYMBOL, DAY = "SHFE.cu2612", "2026-11-10"
NAN = float("nan")


def bar(row_id, close=1.0):
    return (row_id, row_id * 60, 1.0, 2.0, 0.5, close, 10, 100, 110)


def tick(row_id, last_price=78110.0):
    book = (78100.0, 3, 78120.0, 4) + (NAN, 0, NAN, 0) * 4
    return (row_id, row_id, last_price, NAN, NAN, NAN, 120, 4.083e9, 51010, *book)


def dated(*rows, day=DAY):
    return [(day, row) for row in rows]


@pytest.fixture
def files(tmp_path):
    return RecordingFiles(tmp_path)


@pytest.fixture
def journal(tmp_path):
    journal = RecordingJournal(tmp_path)
    yield journal
    journal.close()


def test_integers_stay_integers_and_nothing_is_rounded(files, journal):
    # A server may write a whole number as 51010.0.
    row = list(tick(1 << 60, 0.1 + 0.2))
    row[8] = 51010.0
    journal.add(TICKS, SYMBOL, dated(tuple(row)))
    files.merge(TICKS, SYMBOL, DAY, journal.rows(TICKS, SYMBOL, DAY), None)
    [back] = files.read(TICKS, SYMBOL, DAY).to_pylist()
    assert back["id"] == 1 << 60 and type(back["id"]) is int
    assert back["last_price"] == 0.1 + 0.2
    assert back["open_interest"] == 51010 and type(back["open_interest"]) is int
    assert back["bid_price2"] is None and back["bid_volume2"] == 0


def test_a_row_written_twice_is_there_once_and_the_later_one_counts(files, journal):
    journal.add(MINUTES, SYMBOL, dated(bar(1), bar(2), bar(3)))
    journal.add(MINUTES, SYMBOL, dated(bar(2, close=9.0)))
    rows = journal.rows(MINUTES, SYMBOL, DAY)
    assert [row[0] for row in rows] == [1, 2, 3] and rows[1][5] == 9.0
    files.merge(MINUTES, SYMBOL, DAY, rows, '{"a": 1}')
    # Killed between the file and the journal: the same rows come again, with some more.
    files.merge(MINUTES, SYMBOL, DAY, [bar(0), *rows, bar(5)], None)
    files.merge(MINUTES, SYMBOL, DAY, [bar(3, close=7.0)], None)
    table = files.read(MINUTES, SYMBOL, DAY)
    assert table["id"].to_pylist() == [0, 1, 2, 3, 5]
    assert table["close"].to_pylist() == [1.0, 1.0, 9.0, 7.0, 1.0]
    assert files.instrument(MINUTES, SYMBOL, DAY) == {"a": 1}
    assert list(files.ids(MINUTES, SYMBOL)) == [(0, 3), (5, 5)]


def test_what_was_not_committed_is_gone_after_a_crash_and_the_rest_is_whole(tmp_path):
    journal = RecordingJournal(tmp_path)
    journal.add(DAYS, SYMBOL, dated(bar(1)))
    journal.commit()
    journal.add(DAYS, SYMBOL, dated(bar(2)))
    reader = sqlite3.connect(tmp_path / NAME)  # what the next program would find now
    assert reader.execute("SELECT id FROM days").fetchall() == [(1,)]
    reader.close()
    journal.close()


def test_one_program_records_into_a_folder(tmp_path, journal):
    with pytest.raises(JournalError, match="another program records"):
        RecordingJournal(tmp_path)
    journal.add(DAYS, SYMBOL, dated(bar(1)))
    assert journal.ids(DAYS, SYMBOL) == [1]


def test_a_torn_journal_is_put_aside(tmp_path):
    (tmp_path / NAME).write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    journal = RecordingJournal(tmp_path)
    journal.add(DAYS, SYMBOL, dated(bar(1)))
    assert journal.parts() == [(DAYS, SYMBOL, DAY)]
    journal.close()
    assert (tmp_path / "unwritten_torn_1.sqlite").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_torn_file_is_put_aside_and_its_rows_are_missing(files, share):
    for day in (DAY, "2026-11-11"):
        files.merge(DAYS, SYMBOL, day, [bar(int(day[-2:]))], None)
    path = files.path(DAYS, SYMBOL, DAY)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    unfinished = path.with_name(".rows.parquet.new")
    unfinished.write_bytes(b"PAR1")
    assert [one.name for one in files.repair()] == ["rows.torn"]
    assert not unfinished.exists()
    assert list(files.ids(DAYS, SYMBOL)) == [(11, 11)]
    assert files.repair() == []


def test_a_file_that_is_torn_inside_does_not_stop_a_recording(files):
    files.merge(MINUTES, SYMBOL, DAY, [bar(row_id) for row_id in range(1000)], None)
    path = files.path(MINUTES, SYMBOL, DAY)
    whole = bytearray(path.read_bytes())
    whole[100:200] = b"\x00" * 100
    path.write_bytes(whole)
    files.merge(MINUTES, SYMBOL, DAY, [bar(1000)], None)
    assert files.read(MINUTES, SYMBOL, DAY)["id"].to_pylist() == [1000]


def test_symbols_of_all_sorts_have_folders(files):
    for symbol in ("KQ.m@SHFE.cu", "DCE.m2701-C-3000", "CZCE.SPD SR701&SR705"):
        files.merge(DAYS, symbol, DAY, [bar(1)], None)
        assert symbol in files.symbols(DAYS)
        assert files.days(DAYS, symbol) == [DAY]
        assert list(files.ids(DAYS, symbol)) == list(IdSet([(1, 1)]))
