"""The report of any folder of records, even an empty one."""

from datetime import date

import pytest

from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.records.journal import JOURNAL, Journal
from tianqin_backtrader.records.journal_values import Origin
from tianqin_backtrader.records.records import KINDS, Records, WrittenRecords
from tianqin_backtrader.records.report import terminal_table, write_report

DAY = date(2026, 11, 10)
AT = 1794229200000000000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "沪铜 <b>"


def test_nothing_recorded_yet(folder):
    Journal(folder / JOURNAL).close()
    page = write_report(folder).read_text(encoding="utf-8")
    assert "trading days</span><b>0<" in page
    with Records(folder) as records:
        assert "trading days                      0" in terminal_table(records.statistics())
        assert all(records.to_dataframe(kind).empty for kind in KINDS)


def test_one_round_trip(folder):
    symbol = "SHFE.cu2612"
    with Journal(folder / JOURNAL) as journal:
        when = {"trading_day": DAY, "exchange_time": AT}
        journal.equity("start", {"balance": 1000.0}, 0.0, **when)
        for number, (direction, offset) in enumerate(
            [(Direction.BUY, Offset.OPEN), (Direction.SELL, Offset.CLOSETODAY)]
        ):
            price = 100.0 + 10 * number
            order = f"o{number}", symbol, direction, offset
            journal.intent(*order, 1, price, origin=Origin("<s>", number), **when)
            fill = Fill(f"t{number}", *order, price, 1, AT + number, 1.0)
            journal.fill(fill, trading_day=DAY, volume_multiple=5)
            journal.mark(symbol, (price, price, price, price, 1), **when)
        journal.equity("stop", {"balance": 1048.0}, 0.0, **when)
    page = write_report(folder)
    text = page.read_text(encoding="utf-8")
    assert "沪铜 &lt;b&gt;" in text
    assert "&lt;s&gt;" in text
    assert "<s>" not in text
    assert "<b><" not in text
    assert {path.suffix for path in page.parent.glob("report_*")} == {".png"}
    with Records(folder) as records:
        found = records.statistics()
    assert (found.net_profit, found.trades.net_profit, found.trades.fees) == (48, 48, 2)


def test_a_table_has_no_more_columns_than_a_narrow_terminal(folder):
    Journal(folder / JOURNAL).close()
    with Records(folder) as records:
        lines = terminal_table(records.statistics()).splitlines()
    assert max(map(len, lines)) <= 72


def test_files_of_an_empty_journal_have_their_headers(folder):
    with Journal(folder / JOURNAL) as journal:
        written = WrittenRecords(folder)
        assert (folder / "order.csv").read_text().startswith("trading_day,date_time,order_id")
        journal.account({"balance": 1.0}, {}, trading_day=DAY, exchange_time=AT)
        written.refresh()
        assert (folder / "account.csv").read_text().splitlines()[1] == "2026-11-10,1.0,"
        journal.account({"balance": 2.0}, {}, trading_day=DAY, exchange_time=AT)
        written.refresh()
        assert (folder / "account.csv").read_text().splitlines()[1:] == ["2026-11-10,2.0,"]
        written.close()
