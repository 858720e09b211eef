"""Our fills beside what the account holds: lots that a counter shows late."""

from collections import defaultdict
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.reconciliation.after_reconnect import LATE, SETTLED, Reconciler, expired

CU = "SHFE.cu2612"


class Position:
    def __init__(self, size=0):
        self.size = size

    def __bool__(self):
        return self.size != 0


class Account:
    """Long lots of one contract, by our fills and by the counter."""

    def __init__(self, ours=0, shown=0):
        self.shown, self.margin = {(CU, "long"): shown} if shown else {}, 0.0
        self._hold(ours)

    def _hold(self, lots):
        self.sides, self.net = {(CU, "long"): Position(lots)}, {CU: Position(lots)}

    def held_lots(self):
        return self.shown

    def open_prices(self):
        return {}

    def lacks_positions(self):
        return bool(self.margin) and not self.shown

    def take_over(self, symbol):
        self._hold(self.shown.get((symbol, "long"), 0))


class Store:
    trading_up = True

    def __init__(self):
        self.clock, self.said = ManualClock(SECOND), []
        self.gateway = SimpleNamespace(known_orders=lambda: {"one"})

    def known_instrument(self, symbol):
        return SimpleNamespace(expired=False, expire_datetime=None)

    def notify(self, text, **facts):
        self.said.append(text)

    def now_ns(self):
        return self.clock.now_ns()

    def is_unknown(self, symbol):
        return False


class Run:
    """A program that has just taken the account over."""

    def __init__(self, ours=0, shown=0):
        self.store, self.account, self.told, self.written = Store(), Account(ours, shown), [], []
        write_ahead = SimpleNamespace(touch_plan=lambda plan: self.written.append(plan))
        self.manager = SimpleNamespace(
            context=self.store, trading=self.store.gateway, link=self.store, account=self.account,
            write_ahead=write_ahead, live=defaultdict(dict), legs={},
        )  # fmt: skip
        self.exposed = []
        self.store.exposed = lambda symbol, lots, text: self.exposed.append((symbol, lots))
        self.lots = object()
        self.reconciler = Reconciler(self.manager, {}, self.lots)
        self.session = 1
        self.wait(0)

    def show(self, lots):
        self.account.shown = {(CU, "long"): lots}

    def wait(self, nanoseconds):
        for _ in range(nanoseconds // (SECOND // 2) + 1):
            self.store.clock.advance_to(self.store.clock.now_ns() + SECOND // 2)
            if not self.reconciler.follow_session(self.session):
                assert not [*self.reconciler.reports()]
                self.told += filter(None, [self.reconciler.on_round()])

    @property
    def ours(self):
        return self.account.net[CU].size


def test_lots_that_a_first_picture_lacked_are_taken_over_and_written_down():
    run = Run()
    run.wait(2 * SECOND)
    run.show(3)
    run.wait(LATE)
    assert (run.ours, run.written, run.told) == (0, [], [])
    run.wait(SECOND)
    assert (run.ours, run.written, run.told) == (3, [run.lots], [])
    assert "the account has shown what it holds after the start" in run.store.said[0]


def test_lots_shown_in_the_last_moment_are_taken_over_too():
    run = Run()
    run.wait(SETTLED - SECOND)
    run.show(3)
    run.wait(2 * SECOND)
    assert (run.ours, run.written, run.told) == (3, [run.lots], [])


@pytest.mark.parametrize("traded", ["filled", "working"])
def test_what_was_held_beside_what_is_traded_is_told_when_it_stays(traded):
    """Three lots were held before and are shown late, one was bought meanwhile."""
    run = Run(ours=traded == "filled", shown=traded == "filled")
    run.wait(SECOND)
    if traded == "working":
        run.manager.live[CU]["one"] = SimpleNamespace(order_id="one")
    run.show(3 + run.ours)
    run.wait(SETTLED)
    assert not run.told
    run.wait(SECOND)
    [words] = run.told
    assert "what the account holds after the start: SHFE.cu2612 long" in words
    assert (run.ours, run.written) == (run.account.shown[CU, "long"], [run.lots])


def test_a_difference_that_goes_on_changing_is_waited_for():
    run = Run(ours=1, shown=1)
    for lots in range(2, 9):
        run.show(lots)
        run.wait(SETTLED // 2)
    run.show(1)
    run.wait(2 * SETTLED)
    assert (run.ours, run.written, run.told) == (1, [], [])


def test_in_a_later_session_all_that_stays_is_told_and_written_down():
    run = Run()
    run.wait(SETTLED + SECOND)
    run.session = 2
    run.show(2)
    run.wait(SETTLED + SECOND)
    [words] = run.told
    assert "after the link was away" in words
    assert (run.ours, run.written) == (2, [run.lots])


def test_a_first_session_without_differences_is_looked_at_no_more():
    run = Run()
    run.wait(SETTLED + SECOND)
    run.show(2)
    run.wait(2 * SETTLED)
    assert (run.ours, run.told) == (0, [])


def test_an_account_that_binds_margin_and_shows_no_lots_has_not_told_them_yet():
    run = Run(ours=3, shown=3)
    run.wait(SETTLED + SECOND)
    run.session, run.account.margin = 2, 9000.0
    run.account.shown = {}
    run.wait(3 * SETTLED)
    assert (run.ours, run.told) == (3, [])
    [words] = run.store.said
    assert "has shown no positions" in words
    run.show(3)
    run.wait(SETTLED + SECOND)
    assert (run.ours, run.told, run.exposed) == (3, [], [])


def test_lots_that_were_given_up_and_are_shown_later_are_held_again():
    """What protected them has ended: that is told."""
    run = Run(ours=3, shown=3)
    run.wait(SETTLED + SECOND)
    run.session = 2
    run.account.shown = {}
    run.wait(SETTLED + SECOND)
    assert run.ours == 0 and len(run.told) == 1
    run.wait(60 * SECOND)
    run.show(3)
    run.wait(4 * SECOND)
    assert (run.ours, run.exposed) == (3, [(CU, 3)])
    assert "3 lots have no protection" in run.store.said[-1]
    run.show(0)
    run.wait(4 * SECOND)
    assert run.ours == 3  # it is looked for no more


def test_lots_that_are_traded_after_others_were_given_up_are_no_return():
    run = Run(ours=3, shown=3)
    run.wait(SETTLED + SECOND)
    run.session = 2
    run.account.shown = {}
    run.wait(SETTLED + SECOND)
    run.manager.live[CU]["one"] = SimpleNamespace(order_id="one")
    run.show(2)
    run.wait(4 * SECOND)
    assert (run.ours, run.exposed) == (0, [])


@pytest.mark.parametrize("waits", [True, False])
def test_whether_a_contract_has_ended_is_waited_for_only_where_that_is_said(waits):
    asked = []
    store = SimpleNamespace(
        instrument=lambda symbol: asked.append("waited") or SimpleNamespace(
            expired=True, expire_datetime=None
        ),
        known_instrument=lambda symbol: asked.append("known"),
        is_unknown=lambda symbol: False,
    )  # fmt: skip
    assert expired(store, CU, waits=waits) is waits
    assert asked == ["waited" if waits else "known"]
