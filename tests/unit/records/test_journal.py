"""The journal: what is recorded, and what happens if it cannot be."""

import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.model import Direction, Fill, Offset, OrderReport
from tianqin_backtrader.errors import JournalError
from tianqin_backtrader.records.journal import Journal
from tianqin_backtrader.records.journal_schema import TABLES
from tianqin_backtrader.records.journal_values import Origin
from tianqin_backtrader.records.rows import JournalReader

DAY = date(2026, 11, 10)
SYMBOL = "SHFE.cu2612"


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.sqlite", clock=ManualClock(100)) as journal:
        yield journal


def intend(journal, order_id="a", volume=3, **origin):
    journal.intent(
        order_id, SYMBOL, Direction.BUY, Offset.OPEN, volume, 76000.0,
        trading_day=DAY, exchange_time=50, origin=Origin(**origin),
    )  # fmt: skip


def say(journal, order_id="a", status="ALIVE", left=3, exchange_id="1", words="", orign=3):
    report = OrderReport(
        order_id, SYMBOL, Direction.BUY, Offset.OPEN, orign, left, 76000.0, status, exchange_id,
        words,
    )  # fmt: skip
    return journal.report(report, trading_day=DAY, exchange_time=60)


def fill(journal, trade_id="t", order_id="a", volume=3, fee=19.0):
    one = Fill(trade_id, order_id, SYMBOL, Direction.BUY, Offset.OPEN, 76000.0, volume, 70, fee)
    return journal.fill(one, trading_day=DAY, volume_multiple=5)


def test_an_order_is_open_from_its_intent_to_its_end(journal):
    assert journal.open_orders() == []
    intend(journal, strategy="dual", ref=7, leg=1, bar=49, decision_price=75990.0)
    [order] = journal.open_orders()
    assert (order.order_id, order.status, order.filled, order.volume) == ("a", "", 0, 3)
    assert order.origin == Origin("dual", 7, 1, 49, 75990.0)
    assert order.trading_day == DAY
    say(journal)
    assert journal.open_orders()[0].status == "ALIVE"
    say(journal, status="FINISHED")
    assert journal.open_orders() == []


def test_a_finished_order_is_open_while_fills_are_missing(journal):
    intend(journal)
    say(journal, status="FINISHED", left=1)
    assert journal.open_orders()[0].filled == 0
    fill(journal, volume=2)
    assert journal.open_orders() == []


def test_a_refused_order_is_over(journal):
    intend(journal)
    say(journal, status="FINISHED", exchange_id="", words="no money")
    assert journal.open_orders() == []
    assert journal.last("reports")["last_msg"] == "no money"


def test_what_was_said_before_is_not_written_again(journal):
    intend(journal)
    assert say(journal)
    assert not say(journal)
    assert fill(journal)
    assert not fill(journal)
    assert journal.query("SELECT COUNT(*) FROM fills") == [(1,)]


def test_neither_after_a_restart(tmp_path):
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        intend(journal, strategy="dual", bar=5)
        say(journal)
        fill(journal, volume=1)
    with Journal(path) as journal:
        assert not say(journal)
        assert not fill(journal, volume=1)
        assert fill(journal, trade_id="u", volume=1)
        assert journal.last("fills")["strategy"] == "dual"  # known from the intent on record
        assert journal.open_orders()[0].filled == 2


def test_every_row_says_when_and_where_from(journal):
    intend(journal, strategy="dual", ref=1, leg=0, bar=40)
    fill(journal)
    row = journal.last("fills")
    assert (row["exchange_time"], row["received_at"], row["trading_day"]) == (70, 100, "2026-11-10")
    assert (row["symbol"], row["order_id"], row["leg"], row["bar"]) == (SYMBOL, "a", 0, 40)


def test_a_clock_set_back_takes_nothing_back(tmp_path):
    path = tmp_path / "journal.sqlite"
    for now in (1000, 10, 2000):
        with Journal(path, clock=ManualClock(now)) as journal:
            intend(journal, order_id=str(now))
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT received_at, seq FROM intents ORDER BY seq").fetchall()
    assert rows == [(1000, 1), (1000, 2), (2000, 3)]


def test_state_keeps_values_over_a_restart(tmp_path):
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        journal.state["side"] = 1
        journal.state["side"] = -1
        journal.state["沪铜"] = {"lots": [1, 2]}
        journal.state["gone"] = None
        del journal.state["gone"]
    with Journal(path) as journal:
        assert dict(journal.state) == {"side": -1, "沪铜": {"lots": [1, 2]}}
        assert len(journal.state) == 2
        with pytest.raises(KeyError):
            del journal.state["gone"]


def test_account_and_positions_are_written_together(journal):
    journal.account(
        {"balance": 1.5, "risk_ratio": float("nan")}, {SYMBOL: {"pos": 1, "_path": []}},
        trading_day=DAY, exchange_time=60,
    )  # fmt: skip
    assert journal.last("accounts")["fields"] == '{"balance": 1.5, "risk_ratio": null}'
    assert journal.last("positions")["fields"] == '{"pos": 1}'


def test_together_is_all_or_nothing(journal):
    with pytest.raises(ZeroDivisionError), journal.together():
        intend(journal)
        raise ZeroDivisionError
    assert journal.open_orders() == []
    intend(journal, order_id="b")
    assert len(journal.open_orders()) == 1


def test_a_second_program_is_told(tmp_path):
    path = tmp_path / "journal.sqlite"
    code = f"from tianqin_backtrader.records.journal import Journal; Journal({str(path)!r})"
    command = [sys.executable, "-c", code]
    with Journal(path):
        with pytest.raises(JournalError, match="another program"):
            Journal(path)
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        assert "another program is writing these records" in done.stderr
        assert "strategy_name" in done.stderr
    assert subprocess.run(command, env=os.environ).returncode == 0


def test_a_reader_is_not_shut_out(journal):
    intend(journal)
    reader = sqlite3.connect(f"file:{journal.path}?mode=ro", uri=True)
    assert reader.execute("SELECT order_id FROM intents").fetchall() == [("a",)]
    reader.close()


def test_a_killed_program_has_lost_nothing_and_holds_nothing(tmp_path):
    path = tmp_path / "journal.sqlite"
    folders = [str(Path(__file__).parents[level]) for level in (0, 2)]
    code = f"""
import os, signal, sys
sys.path[:0] = {folders!r}
from test_journal import *
journal = Journal({str(path)!r})
for number in range(50):
    intend(journal, order_id=str(number))
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ)
    with Journal(path) as journal:
        assert [order.order_id for order in journal.open_orders()] == [str(n) for n in range(50)]


def test_a_full_disk_is_an_error_before_anything_is_sent(journal):
    [(pages,)] = journal.query("PRAGMA page_count")
    journal.query(f"PRAGMA max_page_count={pages}")
    with pytest.raises(JournalError, match=r"nothing may be sent.*full"):
        for number in range(1000):
            intend(journal, order_id=str(number))
    on_record = journal.query("SELECT COUNT(*) FROM intents")[0][0]
    assert on_record == number
    journal.query(f"PRAGMA max_page_count={pages + 100}")
    intend(journal, order_id="room again")
    assert journal.open_orders()[-1].order_id == "room again"


def test_a_locked_file_is_an_error(journal):
    journal.query("PRAGMA busy_timeout=0")
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="locked"):
        intend(journal)
    other.close()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for number in range(300):
            intend(journal, order_id=str(number))
    whole = path.read_bytes()
    for torn in (b"this is no journal" * 300, whole[: len(whole) // 2]):
        path.write_bytes(torn)
        with pytest.raises(JournalError, match=r"journal.sqlite.*damaged: move it away"):
            Journal(path)
    path.write_bytes(whole)
    Journal(path).close()


def test_another_accounts_journal_is_refused(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal(path, account="1234567").close()
    Journal(path, account="1234567").close()
    with pytest.raises(JournalError, match=r"account \.\.\.4567, not of \.\.\.9999"):
        Journal(path, account="99999999")


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(JournalError, match="newer version"):
        Journal(path)


def test_a_closed_journal_says_so(journal):
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        intend(journal)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(tmp_path / "file" / "journal.sqlite")


def test_a_fee_that_is_not_named_is_no_number_anywhere(tmp_path):
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        intend(journal)
        assert fill(journal, fee=math.nan)
        assert journal.query("SELECT commission FROM fills") == [(None,)]
        [found] = journal.leg("a").fills
        assert math.isnan(found.commission) and (found.price, found.time) == (76000.0, 70)
        held = {SYMBOL: {"pos_long": 3, "margin_long": math.nan}}
        account = {"balance": 1.0, "margin": math.nan}
        journal.account(account, held, trading_day=DAY, exchange_time=70)
        texts = [text for table in ("accounts", "positions")
                 for (text,) in journal.query(f"SELECT fields FROM {table}")]  # fmt: skip
    assert all("null" in text and "NaN" not in text for text in texts)
    reader = JournalReader(path)
    [row] = reader.log("trade")
    assert row[reader.log_columns("trade").index("commission")] is None
    assert [one.commission for one in reader.executions()] == [0.0]
    reader.close()


def test_flows_that_are_not_known_are_none(journal):
    account = {"balance": 5.0, "deposit": math.nan}
    journal.equity("bar", account, 0.0, trading_day=DAY, exchange_time=70)
    row = journal.last("equity")
    assert (row["balance"], row["deposit"], row["withdraw"]) == (5.0, 0.0, 0.0)


def test_records_of_before_take_fees_that_are_not_named(tmp_path):
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        intend(journal, strategy="dual")
        fill(journal)
    with closing(sqlite3.connect(path)) as db:  # as version 2 had it
        spec = ", ".join(TABLES["fills"]).replace("commission REAL", "commission REAL NOT NULL")
        db.executescript(
            f"ALTER TABLE fills RENAME TO new; CREATE TABLE fills ({spec});"
            "INSERT INTO fills SELECT * FROM new; DROP TABLE new; PRAGMA user_version=2;"
        )
    with Journal(path) as journal:
        before = journal.last("fills")
        assert (before["commission"], before["strategy"]) == (19.0, "dual")
        assert not fill(journal)  # it is on record
        assert fill(journal, trade_id="u", fee=math.nan)
        assert [one.trade_id for one in journal.leg("a").fills] == ["t", "u"]
        indexes = {name for (name,) in journal.query(
            "SELECT name FROM sqlite_master WHERE type = 'index'")}  # fmt: skip
        assert "fills_order" in indexes


def test_numbers_of_today_are_known_with_their_last_report(journal):
    for order_id, number in (("a", "17"), ("b", ""), ("c", "18")):
        intend(journal, order_id)
        say(journal, order_id, exchange_id=number)
    say(journal, "a", status="FINISHED", exchange_id="17")
    found = {one.order_id: (one.exchange_order_id, one.status) for one in
             journal.numbered_since(DAY)}  # fmt: skip
    assert found == {"a": ("17", "FINISHED"), "c": ("18", "ALIVE")}
    assert journal.numbered_since(date(2026, 11, 11)) == []


def test_orders_without_an_answer_are_known_as_they_were_sent(journal):
    for order_id in "abcd":
        intend(journal, order_id)
    say(journal, "a", exchange_id="17")
    say(journal, "b", status="FINISHED", exchange_id="", words="busy")
    say(journal, "c", exchange_id="")
    found = journal.unanswered_since(DAY)
    content = SYMBOL, Direction.BUY, Offset.OPEN, 3, 3, 76000.0, "ALIVE", "", "", 50
    assert found == [OrderReport("c", *content), OrderReport("d", *content)]
    assert journal.unanswered_since(date(2026, 11, 11)) == []
    when = {"trading_day": DAY, "exchange_time": 50}
    journal.intent("best", SYMBOL, Direction.BUY, Offset.OPEN, 3, "BEST", **when)
    journal.intent("UNSENT", SYMBOL, Direction.BUY, "", 3, None, **when)
    [best] = [one for one in journal.unanswered_since(DAY) if one not in found]
    assert best.order_id == "best" and math.isnan(best.limit_price)


def test_what_is_no_other_program_is_not_told_as_one(tmp_path):
    (tmp_path / "journal.sqlite-lock").mkdir()
    with pytest.raises(JournalError, match="cannot be opened: unable to open"):
        Journal(tmp_path / "journal.sqlite")
