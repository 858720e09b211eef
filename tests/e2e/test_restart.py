"""A program ends, another begins on the same account: what continues, and what stops the start."""

import shutil
import sqlite3
from datetime import date, datetime

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, Script, play
from tqsdk import TqAccount

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import HOUR, to_ns
from tianqin_backtrader.errors import ConfigError, JournalError, StartRefused
from tianqin_backtrader.orders.pegged import ChaseRules
from tianqin_backtrader.reconciliation.startup import NEVER_LEFT
from tianqin_backtrader.records.journal import Journal
from tianqin_backtrader.risk.limits import GuardState, RiskContext, RiskLimits
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox


class Program:
    """A program with a loop of its own, which gets a strategy's notifications."""

    def __init__(self, box, folder, name="one", **options):
        self.store = MyStore("sandbox", "sandbox", urls=box.urls, strategy_name=name)
        try:
            self.store.instrument(CU)  # requested now, as a run waits for no unknown contract
            self.broker = self.store.getbroker(records=folder, **options)
            self.broker.start()
        except BaseException:
            self.store.close()
            raise
        self.told = []
        self.quote = self.store.tianqin.get_quote(CU)

    def turn(self):
        self.store.pump(0.1)
        self.broker.next()
        while (order := self.broker.get_notification()) is not None:
            self.told.append((order, order.getstatusname(), order.executed.size))

    def until(self, true, turns=3000):
        for _ in range(turns):
            if true():
                return
            self.turn()
        raise AssertionError("it never came to it")

    def words(self):
        return [name for _, name, _ in self.told]

    def end(self):
        self.store.close()

    def __enter__(self):
        self.until(lambda: self.quote.last_price == self.quote.last_price)
        return self

    def __exit__(self, *_):
        self.end()

    def lots(self, side):
        return int(self.broker.get_account_position(CU).get(f"pos_{side}", 0))


@pytest.fixture
def box(tells_time):
    options = {"days": 4, "ticks_per_pack": 5, "tells_time": tells_time}
    with EmbeddedSandbox(start=MORNING, **options) as box:
        yield box


@pytest.fixture
def program(box, tmp_path):
    def make(**options):
        return Program(box, tmp_path, **options)

    return make


def exchange_orders(box):
    [account] = box.state()["accounts"].values()
    return account["orders"]


def resting(program, away=600.0, **options):
    """Place a limit order whose price is not reached."""
    price = program.quote.last_price - away
    order = program.broker.buy(None, program.broker._orders.data(CU), 2, price,
                               exectype=bt.Order.Limit, **options)  # fmt: skip
    program.until(lambda: order.status == bt.Order.Accepted)
    program.turn()
    return order


def test_a_working_order_goes_on_and_is_not_told_twice(box, program):
    with program() as first:
        resting(first, tag="mine")
        assert first.words() == ["Submitted", "Accepted"]
        first.store.state["lots"] = {"long": [2]}
    with program() as second:
        [order] = second.broker.get_orders_open()
        assert (order.info.tag, order.getstatusname()) == ("mine", "Accepted")
        assert second.broker.foreign_orders == {}
        assert second.store.state["lots"] == {"long": [2]}
        second.turn()
        assert second.words() == []
        second.broker.cancel(order)
        second.until(lambda: not order.alive())
        second.turn()
        assert second.words() == ["Canceled"]
    with program() as third:
        assert third.broker.get_orders_open() == []
        assert [one.status for one in third.broker.get_all_orders()] == [bt.Order.Canceled]
        third.turn()
        assert third.words() == []
    assert len(exchange_orders(box)) == 1


def test_fills_while_nobody_was_there_are_told_once(box, program):
    with program() as first:
        order = resting(first, away=30.0)
    box.advance(to="2026-11-10 14:30:00")
    [sent] = exchange_orders(box).values()
    assert sent["volume_left"] == 0
    with program() as second:
        # The fill is known before any notification.
        assert second.broker.getposition(CU).size == second.lots("long") == 2
        second.turn()
        # As many notifications as trades.
        assert second.words()[-1] == "Completed" and "Submitted" not in second.words()
        assert second.told[-1][2] == 2
        assert second.broker.getposition(CU).price == order.created.price
        second.until(lambda: second.broker.get_account_position(CU)["last_price"] > 0)
        assert second.broker.balance().equity == pytest.approx(second.broker.getvalue(), abs=0.01)
    with program() as third:
        third.turn()
        assert third.words() == []
        assert third.broker.getposition(CU).size == 2


def never_sent(program, monkeypatch):
    """Let a program die between recording an order and sending it."""

    class Died(BaseException):
        pass

    def die(*_):
        raise Died

    with pytest.raises(Died), program() as first:
        monkeypatch.setattr(first.store.gateway.trading, "insert_order", die)
        first.broker.buy_open(CU, 1, first.quote.last_price - 600)


def test_an_order_that_never_left_is_told_so(box, program, monkeypatch):
    never_sent(program, monkeypatch)
    with program() as second:
        second.turn()
        assert second.words()[-1] == "Expired"
        assert second.told[-1][0].info.reason == NEVER_LEFT
        assert exchange_orders(box) == {}
    with program() as third:
        third.turn()
        assert third.words() == []


def test_or_it_is_sent_if_the_owner_wants_that(box, program, monkeypatch):
    never_sent(program, monkeypatch)
    with program(on_restart="resend") as second:
        second.until(lambda: "Accepted" in second.words())
        assert len(exchange_orders(box)) == 1
    with program(on_restart="resend") as third:
        third.turn()
        assert len(exchange_orders(box)) == 1
    with pytest.raises(ConfigError, match="on_restart"):
        program(on_restart="perhaps")


def buy_by_hand(box, lots=2, price=None):
    """Trade with another program on the same account."""
    with MyStore("sandbox", "sandbox", urls=box.urls) as other:
        api = other.tianqin
        quote = api.get_quote(CU)
        order = api.insert_order(CU, "BUY", "OPEN", lots, price or quote.ask_price1 + 100)
        while order.status == "ALIVE" and (price is None or not order.exchange_order_id):
            api.wait_update()


def test_orders_from_elsewhere_are_shown_apart_and_left_alone(box, program):
    with program() as first:
        resting(first)
        price = first.quote.last_price - 700
    buy_by_hand(box, price=price)
    with program() as second:
        [foreign] = second.broker.foreign_orders.values()
        assert foreign.limit_price == price
        assert len(second.broker.get_orders_open()) == 1
        second.broker.halt()
        second.until(lambda: not second.broker.get_orders_open())
        assert not foreign.over
    alive = [one for one in exchange_orders(box).values() if one["status"] == "ALIVE"]
    assert [one["limit_price"] for one in alive] == [price]


def test_trades_of_others_are_known_today(box, program):
    with program() as first:
        resting(first)
    buy_by_hand(box)
    with program() as second:
        assert second.broker.getposition(CU).size == 2
    with program() as third:  # it is counted once
        assert third.broker.getposition(CU).size == 2


def test_what_nothing_explains_stops_the_start(box, program):
    with program() as first:
        resting(first, away=2500.0)
    buy_by_hand(box)
    box.advance(to="2026-11-10 21:30:00")  # yesterday's trades are no longer listed
    before = exchange_orders(box)
    with pytest.raises(StartRefused, match="accept_differences=True") as caught:
        program()
    assert caught.value.differences == [(CU, "long", 0, 2)]
    assert f"{CU:<16} long          0        2          +2" in str(caught.value)
    assert exchange_orders(box) == before
    with program(accept_differences=True) as second:
        assert second.broker.getposition(CU).size == 2
    with program() as third:  # the difference is known from then on
        assert third.broker.getposition(CU).size == 2
    with sqlite3.connect(third.broker._keeper._folder / "journal.sqlite") as db:
        assert db.execute("SELECT COUNT(*) FROM notes WHERE text LIKE 'accepted%'").fetchone()[0]
    db.close()


@pytest.mark.parametrize(
    ("start", "next_day"),
    [(MORNING, "2026-11-10 21:05:00"), ("2026-11-13 09:31:00", "2026-11-16 09:05:00")],
    ids=["next day", "after a weekend"],
)
def test_an_order_is_sent_again_on_a_later_day(tmp_path, tells_time, start, next_day):
    options = {"days": 4, "ticks_per_pack": 5, "tells_time": tells_time}
    with EmbeddedSandbox(start=start, **options) as box:
        with Program(box, tmp_path) as first:
            order = resting(first, away=2500.0)
            price = order.created.price
        box.advance(to=next_day)
        assert exchange_orders(box) == {}  # yesterday's orders are not listed
        with Program(box, tmp_path) as second:
            [order] = second.broker.get_orders_open()
            second.until(lambda: len(order.legs) == 2 and order.legs[1].exchange_order_id)
            [sent] = exchange_orders(box).values()
            assert (sent["limit_price"], sent["volume_left"]) == (price, 2)
            second.broker.cancel(order)
            second.until(lambda: not order.alive())
            second.turn()
            assert second.words() == ["Canceled"]


@pytest.mark.parametrize("later", ["2026-11-10 17:00:00", "2026-11-10 21:30:00"])
@pytest.mark.parametrize("policy", ["expire", "resend"])
def test_a_fill_that_the_account_no_longer_tells_is_found_by_what_it_holds(
    box, program, later, policy
):
    with program() as first:
        order = resting(first, away=30.0)
    box.advance(to=later)
    assert exchange_orders(box) == {}  # settled
    with program(on_restart=policy) as second:
        second.turn()
        assert second.words()[-1] == "Completed"
        assert second.broker.getposition(CU).size == second.lots("long") == 2
        found = second.told[-1][0]
        assert found.executed.price == order.created.price
    with program() as third:
        third.turn()
        assert third.words() == []


def play_once(box, folder, run, script):
    with MyStore("sandbox", "sandbox", urls=box.urls, strategy_name="one") as store:
        store.getbroker(records=folder)
        return play(store, run, script, CU)


@pytest.mark.parametrize("filled_between", [False, True])
def test_a_trade_goes_on_over_a_restart(box, tmp_path, run, filled_between):
    """``notify_trade`` gets its whole profit, from the price at which it was opened."""
    opened = []

    def buys(strategy):
        yield None
        order = strategy.buy(size=2)
        yield order
        opened.extend([order.executed.price] * 2)
        price = strategy.data.bid_price[0] - 30
        rest = strategy.buy(size=1, exectype=bt.Order.Limit, price=price)
        while not rest.legs[0].exchange_order_id:
            strategy.broker.store.pump(0.1)
        yield None
        if not filled_between:
            strategy.cancel(rest)
            yield rest
        opened.extend([rest.executed.price] * int(rest.executed.size))
        pending.append(rest.alive() and price)

    def sells(strategy):
        yield None
        if pending[0]:
            opened.append(pending[0])
        held = int(strategy.position.size)
        assert strategy.position.price == pytest.approx(sum(opened) / len(opened))
        assert held == len(opened)
        order = strategy.sell(size=held)
        yield order
        yield None
        done.append(order.executed.price)

    pending, done = [], []
    play_once(box, tmp_path, run, buys)
    if filled_between:
        box.advance(to="2026-11-10 14:30:00")
    second = play_once(box, tmp_path, run, sells)
    [trade] = second.trades
    assert (trade.size, trade.long) == (0, True)
    assert trade.pnl == pytest.approx((done[0] * len(opened) - sum(opened)) * 5)


@pytest.mark.parametrize("anew", [False, True], ids=["its feed", "another feed"])
def test_another_run_on_one_store_is_told_of_what_the_first_has_left(box, tmp_path, run, anew):
    def leaves(strategy):
        yield strategy.buy(size=2)
        price = strategy.data.close[0]
        strategy.sell(size=2, exectype=bt.Order.Stop, price=price - 60)
        strategy.buy(size=1, exectype=bt.Order.Limit, price=price - 3000)
        yield None

    def hears(strategy):
        stop, limit = strategy.broker.get_orders_open()
        assert stop.data is strategy.data
        for _ in range(400):
            yield None
            if not stop.alive():
                break
        assert strategy.path(stop)[-1] == "Completed"
        assert [trade.size for trade in strategy.trades] == [0]
        strategy.cancel(limit)
        yield limit
        assert strategy.path(limit) == ["Canceled"]
        done.append(True)

    done = []
    with MyStore("sandbox", "sandbox", urls=box.urls, strategy_name="one") as store:
        store.getbroker(records=tmp_path)
        play(store, run, leaves, CU)
        run(store, Script, store.getdata(CU) if anew else store.feeds[0], script=hears)
    assert done


def test_stops_brackets_and_oco_come_back(box, program):
    with program() as first:
        broker, data, last = first.broker, first.broker._orders.data(CU), first.quote.last_price
        stop = broker.sell(None, data, 1, last - 3000, exectype=bt.Order.Stop)
        trail = broker.sell(None, data, 1, exectype=bt.Order.StopTrail, trailamount=2500)
        parent = broker.buy(None, data, 2, last - 900, exectype=bt.Order.Limit, transmit=False)
        broker.sell(None, data, 2, last - 2000, exectype=bt.Order.Stop, parent=parent,
                    transmit=False)  # fmt: skip
        broker.sell(None, data, 2, last + 900, exectype=bt.Order.Limit, parent=parent)
        one = broker.buy(None, data, 1, last - 1000, exectype=bt.Order.Limit)
        broker.buy(None, data, 1, last + 2900, exectype=bt.Order.Stop, oco=one)
        first.until(lambda: one.status == parent.status == bt.Order.Accepted)
        first.turn()
        stops = stop.created.price, trail.created.price
    with program() as second:
        found = second.broker.get_orders_open()
        assert len(found) == 7
        assert [one.getordername() for one in found] == [
            "Stop", "StopTrail", "Limit", "Stop", "Limit", "Limit", "Stop"
        ]  # fmt: skip
        assert (found[0].created.price, found[1].created.price >= stops[1]) == (stops[0], True)
        second.turn()
        assert second.words() == []
        assert len(exchange_orders(box)) == 2
        # The groups are restored: without its parent a child is cancelled.
        second.broker.cancel(found[2])
        second.until(lambda: not found[3].alive() and not found[4].alive())
        second.broker.cancel(found[5])
        second.until(lambda: not found[6].alive())
        assert found[0].alive() and found[1].alive()
    with program() as third:
        assert len(third.broker.get_orders_open()) == 2
        third.broker.cancel_all()
        assert third.broker.get_orders_open() == []


@pytest.mark.parametrize("kind", [bt.Order.Stop, bt.Order.StopTrail, bt.Order.Close])
def test_a_stop_whose_lots_were_closed_by_hand_meanwhile_ends_and_never_opens(box, program, kind):
    with program() as first:
        entry = first.broker.buy_open(CU, 3)
        first.until(lambda: not entry.alive())
        data, last = first.broker._orders.data(CU), first.quote.last_price
        prices = {"trailamount": 2000} if kind == bt.Order.StopTrail else {}
        stop = first.broker.sell(None, data, 3, last - 2000, exectype=kind, **prices)
        first.turn()
        assert stop.ticket.may_open == 0
    with Program(box, False, name="by hand") as hand:
        away = hand.quote.bid_price1 - 100
        order = hand.store.tianqin.insert_order(CU, "SELL", "CLOSETODAY", 3, away)
        hand.until(lambda: order.status == "FINISHED" and order.volume_left == 0)
    with program() as second:
        [stop] = [one for one in second.broker.get_all_orders() if one.issell()]
        second.until(lambda: not stop.alive())
        second.turn()
        assert second.words()[-1] == "Canceled"
        assert "gone" in stop.info.reason
    box.advance(to="2026-11-10 14:40:00")
    with program() as third:
        assert (third.lots("long"), third.lots("short")) == (0, 0)
    offsets = [one["offset"] for one in exchange_orders(box).values()]
    assert offsets.count("OPEN") == 1


def test_a_close_that_waits_for_a_withdrawal_goes_on_in_the_next_program(box, program):
    with program() as first:
        entry = first.broker.buy_open(CU, 3)
        first.until(lambda: not entry.alive())
        data, last = first.broker._orders.data(CU), first.quote.last_price
        target = first.broker.sell(None, data, 3, last + 900, exectype=bt.Order.Limit)
        first.until(lambda: target.status == bt.Order.Accepted)
        first.turn()
        box.fault("freeze", conn="td")
        first.broker.cancel(target)
        first.broker.sell(None, data, 3, close_only=True)
        assert first.lots("long") == 3
    box.fault("thaw", conn="td")
    with program() as second:
        second.until(lambda: not second.broker.get_orders_open())
        assert (second.lots("long"), second.lots("short")) == (0, 0)
    offsets = [one["offset"] for one in exchange_orders(box).values()]
    assert offsets.count("OPEN") == 1


def test_a_parent_that_was_filled_meanwhile_wakes_its_protection(box, program):
    with program() as first:
        broker, data, last = first.broker, first.broker._orders.data(CU), first.quote.last_price
        parent = broker.buy(None, data, 2, last - 30, exectype=bt.Order.Limit, transmit=False)
        broker.sell(None, data, 2, last - 5000, exectype=bt.Order.Stop, parent=parent,
                    transmit=False)  # fmt: skip
        broker.sell(None, data, 2, last + 900, exectype=bt.Order.Limit, parent=parent)
        first.until(lambda: parent.status == bt.Order.Accepted)
        first.turn()
    box.advance(to="2026-11-10 14:30:00")
    with program() as second:
        second.until(lambda: len(exchange_orders(box)) == 2)
        target = [one for one in exchange_orders(box).values() if one["direction"] == "SELL"]
        assert (target[0]["volume_left"], target[0]["offset"]) == (2, "CLOSETODAY")
        _, stop, _ = second.broker.get_all_orders()
        assert stop.alive() and not stop.legs
        second.turn()
        assert second.words().count("Completed") == 1


def test_a_reversal_is_finished_by_the_next_program(box, program):
    """It closes first; the opening part was not sent when the program ended."""
    with program() as first:
        order = first.broker.buy_open(CU, 2)
        first.until(lambda: not order.alive())
        price = first.quote.last_price + 30
        turn = first.broker.sell(
            None, first.broker._orders.data(CU), 3, price, exectype=bt.Order.Limit
        )
        first.until(lambda: turn.status == bt.Order.Accepted)
        first.turn()
        assert len(turn.legs) == 1
    box.advance(to="2026-11-10 10:10:00")
    assert len(exchange_orders(box)) == 2
    with program() as second:
        [turn] = [one for one in second.broker.get_all_orders() if one.issell()]
        assert [str(leg.offset) for leg in turn.legs] == ["CLOSETODAY", "OPEN"]
        second.until(lambda: len(exchange_orders(box)) == 3)
    with program():
        assert len(exchange_orders(box)) == 3


def test_a_target_is_worked_to_by_the_next_program(box, program):
    with program() as first:
        far = ChaseRules(reach=-800.0, requote_after_ns=24 * HOUR)
        first.broker.order_target_position(CU, 3, far)
        first.until(lambda: exchange_orders(box))
        first.turn()
    with program() as second:
        second.until(lambda: len(second.broker.get_orders_open()) == 1 and
                     len(exchange_orders(box)) == 2)  # fmt: skip
        alive = [one for one in exchange_orders(box).values() if one["status"] == "ALIVE"]
        assert len(alive) == 1 and alive[0]["volume_orign"] == 3
        second.broker.order_target_position(CU, 3, ChaseRules())
        second.until(lambda: second.lots("long") == 3)
        second.until(lambda: not second.broker.get_orders_open())
    with program() as third:
        for _ in range(20):
            third.turn()
        assert third.lots("long") == 3 and not third.broker.get_orders_open()


@pytest.mark.parametrize("button", ["flatten", "halt", "drop_target"])
@pytest.mark.parametrize("rounds", [0, 1])
def test_a_target_of_before_that_a_button_drops_does_not_come_back(box, program, button, rounds):
    with program() as first:
        far = ChaseRules(reach=-800.0, requote_after_ns=24 * HOUR)
        first.broker.order_target_position(CU, 3, far)
        first.until(lambda: exchange_orders(box))
        first.turn()
    with program() as second:
        for _ in range(rounds):
            second.turn()
        press = getattr(second.broker, button)
        press(CU) if button == "drop_target" else press()
        second.until(lambda: not second.broker.get_orders_open())
        second.broker.resume()
        for _ in range(30):
            second.turn()
        assert not second.broker.get_orders_open()
    with program() as third:
        for _ in range(30):
            third.turn()
        assert third.lots("long") == 0 and not third.broker.get_orders_open()


def test_two_programs_on_one_account_need_two_names(box, program):
    with program():
        with pytest.raises(JournalError, match="another program is writing these records"):
            program()
        program(name="two").end()


def test_records_of_another_account_are_not_gone_on_with(tmp_path, tells_time):
    """Otherwise a stop of the paper account would fire on the real one."""
    users = {"paper": "x", "other": "x"}
    with EmbeddedSandbox(start=MORNING, users=users, tells_time=tells_time) as box:
        accounts = [("paper", None), ("other", None), ("paper", TqAccount("simnow", "12345", "x"))]
        for user, account in accounts:
            with MyStore(user, "x", account=account, urls=box.urls, strategy_name="one") as store:
                broker = store.getbroker(records=tmp_path)
                if (user, account) == accounts[0]:
                    broker.start()
                else:
                    with pytest.raises(JournalError, match="holds the records of account"):
                        broker.start()


def test_a_clock_that_was_set_back_is_told(box, program, tmp_path):
    with Journal(tmp_path / "one" / "journal.sqlite") as journal:
        later = to_ns(datetime(2026, 11, 10, 15))
        journal.intent("x", CU, "BUY", "", 1, 1.0, trading_day=date(2026, 11, 10),
                       exchange_time=later)  # fmt: skip
    with program() as first:
        news = [str(msg) for msg, _, _ in first.store.get_notifications()]
        assert any("was the clock set back?" in msg for msg in news)
        with sqlite3.connect(tmp_path / "one" / "journal.sqlite") as db:
            assert db.execute("SELECT COUNT(*) FROM notes WHERE text LIKE '%set back%'").fetchone()
        db.close()


def test_what_a_power_cut_took_the_account_still_knows(box, program, tmp_path):
    with program() as first:
        first.broker.buy_open(CU, 1)
        first.until(lambda: first.lots("long") == 1)
        cut = tmp_path / "cut" / "one"
        shutil.copytree(tmp_path / "one", cut)
    wal = cut / "journal.sqlite-wal"
    wal.write_bytes(wal.read_bytes()[: int(wal.stat().st_size * 0.6)])
    with Program(box, tmp_path / "cut") as second:
        assert second.broker.getposition(CU).size == 1
        known = {*second.broker.foreign_orders} | {
            leg.order_id for one in second.broker.get_all_orders() for leg in one.legs
        }
        assert known == set(exchange_orders(box))


def test_a_locked_journal_halts_and_nothing_is_sent(box, program, tmp_path):
    with program() as first:
        first.broker.journal.query("PRAGMA busy_timeout=0")
        other = sqlite3.connect(tmp_path / "one" / "journal.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        order = first.broker.buy_open(CU, 1)
        assert order.status == bt.Order.Rejected and "locked" in order.info.reason
        assert first.broker.risk_state is GuardState.HALTED
        news = [str(msg) for msg, _, _ in first.store.get_notifications()]
        assert any(msg.startswith("HALTED") and "locked" in msg for msg in news)
        first.store.state["kept"] = 1
        other.execute("ROLLBACK")
        other.close()
        first.broker.resume()
        assert exchange_orders(box) == {}
        first.broker.buy_open(CU, 1)
        first.until(lambda: first.lots("long") == 1)
    with program() as second:
        assert second.store.state["kept"] == 1
        assert [one.status for one in second.broker.get_all_orders()] == [bt.Order.Completed]


def test_a_halt_by_broken_records_hides_no_state_from_the_next_program(program, tmp_path):
    with program() as first:
        first.broker.flatten("enough")
        first.turn()
        first.broker.journal.query("PRAGMA busy_timeout=0")
        other = sqlite3.connect(tmp_path / "one" / "journal.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        first.store.state["kept"] = 1
        assert first.broker.records_broken
        first.turn()
        assert first.broker.risk_state is GuardState.HALTED
        other.execute("ROLLBACK")
        other.close()
    with program() as second:
        assert second.broker.risk_state is GuardState.REDUCING
        assert second.broker.risk.reason == "enough"


def test_a_halt_and_the_counts_of_the_day_outlast_the_program(program):
    limits = RiskLimits(orders_per_day=3)
    with program(risk=limits) as first:
        for _ in range(2):
            order = resting(first)
        first.broker.halt("look at it")
        first.until(lambda: not order.alive())
    with program(risk=limits) as second:
        assert second.broker.risk_state is GuardState.HALTED
        news = [str(msg) for msg, _, _ in second.store.get_notifications()]
        assert "HALTED since an earlier run: look at it; broker.resume() ends it" in news
        assert "look at it" in second.broker.buy_open(CU, 1).info.reason
        second.broker.resume()
        second.broker.buy_open(CU, 1)
        assert "number 4 of the day" in second.broker.buy_open(CU, 1).info.reason
        second.until(lambda: second.lots("long") == 1)
    with program() as third:
        assert third.broker.risk_state is GuardState.ACTIVE


@pytest.mark.parametrize("button", ["halt", "flatten", "loss"])
def test_a_kill_before_the_withdrawals_leaves_nothing_out(box, program, button):
    """The state is recorded, and the program dies before it has cancelled working orders."""
    with program(risk=RiskLimits(max_daily_loss=1e6)) as first:
        for _ in range(2):
            resting(first)
        broker = first.broker
        if button == "halt":
            broker.risk.halt("look at it")
        elif button == "flatten":
            broker.risk.reduce("enough")
            broker._engine._kill_switch.begin()
        else:
            now, day = first.store.clock.now_ns(), first.store.now().date()
            broker.risk.watch(RiskContext(now, day, day_profit=-2e6))
        broker._write_ahead.flush()
    assert [one["status"] for one in exchange_orders(box).values()] == ["ALIVE"] * 2
    with program(risk=RiskLimits(max_daily_loss=1e6)) as second:
        second.until(lambda: not second.broker.get_orders_open(), turns=100)
        assert second.words() == ["Canceled"] * 2
    assert [one["status"] for one in exchange_orders(box).values()] == ["FINISHED"] * 2


def test_a_flatten_is_finished_by_the_next_program(program):
    with program() as first:
        first.broker.buy_open(CU, 2)
        first.until(lambda: first.lots("long") == 2)
        first.broker.flatten("enough")  # and the program dies before it has sent anything
    with program() as second:
        second.until(lambda: second.lots("long") == 0)
        second.until(lambda: "Completed" in second.words())
        assert second.broker.risk_state is GuardState.REDUCING
    with program() as third:
        assert third.broker.risk_state is GuardState.REDUCING
        third.broker.resume()
        third.broker.buy_open(CU, 1)
        third.until(lambda: third.lots("long") == 1)
    with program() as fourth:
        fourth.turn()
        assert (fourth.broker.risk_state, fourth.lots("long")) == (GuardState.ACTIVE, 1)


def test_a_flatten_does_not_wait_for_the_first_live_bar(box, program, tmp_path, run):
    """It needs no bar, and all its attempts could be used before the first one comes."""

    def watches(strategy):
        while strategy.data.history_phase:
            yield None
        assert strategy.broker.get_account_positions() == {}
        assert "Rejected" not in {word for path in strategy.told.values() for word in path}
        done.append(True)

    done = []
    with program() as first:
        first.broker.buy_open(CU, 2)
        first.until(lambda: first.lots("long") == 2)
        box.advance(to="2026-11-10 15:30:00")
        first.broker.flatten("enough")
    box.advance(to="2026-11-10 20:50:00")
    play_once(box, tmp_path, run, watches)
    assert done


def test_a_target_of_before_goes_on_with_the_first_live_bar(box, program, tmp_path, run):
    def watches(strategy):
        while strategy.data.datetime.datetime(0) < datetime(2026, 11, 10, 21, 15):
            yield None
        assert strategy.position.size == 2
        assert "Rejected" not in {word for path in strategy.told.values() for word in path}
        done.append(True)

    done = []
    with program() as first:
        box.advance(to="2026-11-10 15:30:00")
        first.turn()
        first.broker.order_target_position(CU, 2)
        first.turn()
    box.advance(to="2026-11-10 20:50:00")
    play_once(box, tmp_path, run, watches)
    assert done


def test_an_order_of_flatten_that_queues_is_found_again_and_withdrawn_by_resume(box, program):
    with program() as first:
        first.broker.sell_open(CU, 2)
        first.until(lambda: first.lots("short") == 2)
        box.fault("limit_up", symbol=CU)
        first.until(lambda: first.quote.ask_price1 != first.quote.ask_price1)
        first.broker.flatten("enough")
        first.until(
            lambda: any(one.status == one.Accepted for one in first.broker.get_orders_open())
        )
    with program() as second:
        for _ in range(50):
            second.turn()
        [queued] = second.broker.get_orders_open()
        assert len(exchange_orders(box)) == 2  # no order of the second program
        second.broker.resume()
        second.until(lambda: not queued.alive())
        assert queued.status == bt.Order.Canceled
    with program() as third:
        assert third.broker.risk_state is GuardState.ACTIVE
        assert (third.broker.get_orders_open(), third.lots("short")) == ([], 2)


def test_state_lasts_as_long_as_the_program_without_records():
    with MyStore.sandbox() as store:
        store.state["a"] = [1]
        store.state["a"].append(2)  # changed in place: not assigned
        assert dict(store.state) == {"a": [1]}
        del store.state["a"]
        assert len(store.state) == 0
        with pytest.raises(TypeError, match="key"):
            store.state[1] = 2
        with pytest.raises(TypeError):
            store.state["b"] = object()
