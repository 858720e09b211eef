"""Position targets: which orders are sent for them, what stops them, and a restart."""

from dataclasses import asdict, replace
from math import nan
from types import SimpleNamespace

import backtrader as bt
import pytest
from desk_on_stubs import RB, SYMBOL, StubbedDesk

from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.errors import LinkError
from tianqin_backtrader.execution.order_factory import OrderFactory
from tianqin_backtrader.execution.target_positions import TargetPositions
from tianqin_backtrader.feeds.feed_list import PlaceholderFeeds
from tianqin_backtrader.orders.pegged import ChaseRules, Style

LIMIT = bt.Order.Limit
BUY, SELL = Direction.BUY, Direction.SELL
OTHER = "SHFE.hc2605"


class Targets(StubbedDesk):
    """A desk with position targets, and the real maker of their orders."""

    def __init__(self, today=0, earlier=0, *, least=0):
        super().__init__(today, earlier)
        self.contracts.at_hand[SYMBOL] = replace(RB, open_min_limit_order_volume=least)
        self.contracts.get = self.contracts.known = self.contracts.at_hand.get
        self.placed = []
        factory = OrderFactory(
            None, self.context, [], None, self.account, self.manager, self.held,
            PlaceholderFeeds(self.context), allow_partial=False,
        )  # fmt: skip

        def place(symbol, direction, lots, price, owner, early):
            self.placed.append((direction, lots, price, owner, early))
            return factory.for_target(symbol, direction, lots, price, owner, early)

        self.targets = self.engine._targets = TargetPositions(self.manager, self.gateway, place)
        self.show(3000.0, 3001.0)

    def show(self, bid, ask, last=3000.0):
        """Set the book."""
        quote = SimpleNamespace(
            bid_price1=bid, ask_price1=ask, last_price=last, upper_limit=3300.0,
            lower_limit=2700.0,
        )  # fmt: skip
        self.gateway.quote = lambda symbol: quote

    def turn(self):
        super().turn()
        self.targets.on_round()
        self.engine.follow_up()

    def set(self, net, rules=None, owner=None):
        """Set a target, and pass a round."""
        target = self.targets.set(SYMBOL, net, rules, owner)
        self.turn()
        return target

    @property
    def leg(self):
        """The exchange order sent last."""
        return list(self.manager.legs.values())[-1][1]

    def trade(self, lots, *, all_told=True):
        """The last order has traded, and the account shows it."""
        leg = self.leg
        if leg.offset is Offset.OPEN:
            side = "long" if leg.direction is BUY else "short"
            self.gateway.held[f"pos_{side}_today"] += lots
        self.fill(leg, lots)
        if all_told:
            self.turn()

    def others_trade(self, direction, lots, name="other"):
        """Another terminal opens lots."""
        side = "long" if direction is BUY else "short"
        self.gateway.held[f"pos_{side}_today"] += lots
        fill = Fill(name, "x1", SYMBOL, direction, Offset.OPEN, 3000.0, lots, self.now, 1.0)
        self.engine.apply([fill])


@pytest.fixture
def at():
    return Targets()


def sides(at):
    return [(direction, lots, price) for direction, lots, price, *_ in at.placed]


def stalls(at):
    return [text for text, _ in at.notes if "stalls" in text]


# -- one order at a time --------------------------------------------------------------------------


def test_a_target_is_reached_with_one_limit_order_and_nothing_follows(at):
    target = at.set(3)
    assert sides(at) == [(BUY, 3, 3001.0)]
    assert (target.net, target.reached) == (0, False)
    at.alive(at.leg)
    at.pass_by()
    at.trade(3)
    assert (target.net, target.reached, target.target) == (3, True, 3)
    at.pass_by(60)
    assert at.gateway.sent == [("OPEN", 3)]
    assert target.orders == [at.manager.tickets[target.orders[0].ref].order]


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (5, [(BUY, 2, 3001.0)]), (3, []), (1, [(SELL, 2, 3000.0)]), (0, [(SELL, 3, 3000.0)]),
        (-2, [(SELL, 5, 3000.0)]),
    ],
)  # fmt: skip
def test_lots_that_are_held_before_count(wanted, sent):
    at = Targets(today=3)
    at.set(wanted)
    assert sides(at) == sent


def test_a_target_on_the_other_side_closes_before_it_opens():
    at = Targets(today=3)
    target = at.set(-2)
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    at.trade(3)
    assert at.gateway.sent == [("CLOSETODAY", 3), ("OPEN", 2)]
    at.trade(2)
    assert target.reached and target.net == -2


def test_a_smaller_target_waits_for_the_cancel_and_counts_the_fill_that_crosses_it(at):
    target = at.set(5)
    at.alive(at.leg)
    first = at.leg
    assert at.set(2) is target
    assert at.gateway.withdrawn == [first.order_id]
    assert len(at.gateway.sent) == 1
    at.gateway.held["pos_long_today"] = 4
    at.fill(first, 4)
    at.turn()
    assert len(at.gateway.sent) == 1
    at.end(first)
    at.turn()
    assert at.gateway.sent[1:] == [("CLOSETODAY", 2)]
    at.trade(2)
    assert target.reached and target.net == 2


def test_an_order_that_the_market_has_left_is_replaced_by_one_for_the_missing_lots(at):
    at.set(5)
    at.alive(at.leg)
    at.trade(2)
    at.show(3009.0, 3010.0)
    at.pass_by(4)
    assert len(at.gateway.withdrawn) == 1
    at.end(at.leg)
    at.turn()
    assert sides(at) == [(BUY, 5, 3001.0), (BUY, 3, 3010.0)]


def test_rules_stay_until_others_are_given(at):
    target = at.set(9, ChaseRules(style=Style.PASSIVE, max_order_volume=2))
    assert sides(at) == [(BUY, 2, 3000.0)]
    at.trade(2)
    at.set(8)
    assert sides(at)[1:] == [(BUY, 2, 3000.0)]
    assert target.state.rules.style is Style.PASSIVE
    at.targets.set(SYMBOL, 8, ChaseRules(), None)
    at.trade(2)
    assert sides(at)[2:] == [(BUY, 4, 3001.0)]


def test_the_owner_of_the_last_request_owns_the_next_order(at):
    at.set(5, ChaseRules(max_order_volume=2), owner="first")
    at.set(5, owner="second")
    at.trade(2)
    assert [owner for *_, owner, _ in at.placed] == ["first", "second"]
    at.targets.begin_again()
    at.trade(2)
    assert [owner for *_, owner, _ in at.placed] == ["first", "second", None]


# -- fills of others ------------------------------------------------------------------------------


def test_lots_that_another_terminal_trades_meanwhile_are_not_bought_again(at):
    target = at.set(5, ChaseRules(max_order_volume=2))
    at.others_trade(BUY, 2)
    at.trade(2)
    assert sides(at)[1:] == [(BUY, 1, 3001.0)]
    assert target.net == 4


def test_lots_that_another_order_of_this_program_trades_meanwhile_count(at):
    at.set(5, ChaseRules(max_order_volume=2))
    first = at.leg
    at.place(1, kind=bt.BuyOrder)
    at.trade(1)
    at.gateway.held["pos_long_today"] += 2
    at.fill(first, 2)
    at.turn()
    assert sides(at)[1:] == [(BUY, 2, 3001.0)]


def test_a_target_that_is_reached_does_not_trade_back_what_others_do(at):
    target = at.set(3)
    at.trade(3)
    at.others_trade(BUY, 2)
    at.place(1)
    at.trade(1)
    at.pass_by(60)
    assert len(at.placed) == 1 and target.reached


@pytest.mark.parametrize(("wanted", "sent"), [(3, [(SELL, 2, 3000.0)]), (7, [(BUY, 2, 3001.0)])])
def test_a_new_target_begins_with_what_is_held_by_then(at, wanted, sent):
    old = at.set(3)
    at.trade(3)
    at.others_trade(BUY, 2)
    new = at.set(wanted)
    assert sides(at)[1:] == sent
    assert new is not old and old.reached


def test_fills_of_another_contract_do_not_count(at):
    target = at.set(3)
    at.targets.take_other(Fill("t", "x", OTHER, BUY, Offset.OPEN, 1.0, 3, at.now, 1.0))
    assert target.events == []


# -- when nothing can be sent ---------------------------------------------------------------------


def rest(at):
    """Pass the pause that follows an order which the exchange has ended."""
    at.turn()
    at.pass_by()


def shut(at):
    at.pre_trade.is_open = False


def lose_link(at):
    at.link(False)
    at.pre_trade.is_open = True


def lose_quotes(at):
    def fail(symbol):
        raise LinkError("no quotes")

    at.gateway.quote = fail


def empty_book(at):
    at.show(nan, nan)


def no_trade_yet(at):
    at.show(3000.0, 3001.0, last=nan)


@pytest.mark.parametrize("trouble", [shut, lose_link, lose_quotes, empty_book, no_trade_yet])
def test_a_target_waits_without_rejections_until_an_order_is_possible(at, trouble):
    trouble(at)
    target = at.set(3)
    for _ in range(9):
        at.pass_by(10)
    assert (at.placed, target.stalled, target.orders) == ([], False, [])
    at.link(True)
    at.show(3000.0, 3001.0)
    at.pass_by()
    assert sides(at) == [(BUY, 3, 3001.0)]


@pytest.mark.parametrize("message", ["busy", "资金不足"])
def test_a_target_stops_after_three_rejections_and_this_is_reported_once(at, message):
    target = at.set(3)
    for attempt in range(1, 4):
        assert len(at.placed) == attempt and not target.stalled
        at.refuse(at.leg, message)
        rest(at)
    for _ in range(5):
        at.pass_by(10)
    assert len(at.placed) == 3 and target.stalled
    assert target.reason == f"3 orders in a row were rejected ({message})"
    assert stalls(at) == [f"{SYMBOL}: the target of 3 lots stalls: {target.reason}"]
    [facts] = [facts for text, facts in at.notes if "stalls" in text]
    assert facts["target"] is target
    at.set(3)
    assert (len(at.placed), target.reason) == (4, "")


def test_a_rejection_before_a_new_target_does_not_count_for_it(at):
    target = at.set(3)
    at.refuse(at.leg)
    at.set(4)
    for _ in range(2):
        rest(at)
        at.refuse(at.leg)
    rest(at)
    assert not target.stalled and len(at.placed) == 4


def test_a_fill_ends_a_row_of_rejections(at):
    target = at.set(5, ChaseRules(max_order_volume=2))
    for _ in range(2):
        at.refuse(at.leg)
        rest(at)
    at.trade(2)
    for _ in range(2):
        at.refuse(at.leg)
        rest(at)
    assert not target.stalled and len(at.placed) == 6


def test_an_order_that_the_exchange_ends_after_it_was_accepted_is_no_rejection(at):
    target = at.set(3)
    for _ in range(5):
        at.alive(at.leg)
        at.end(at.leg)
        rest(at)
    assert not target.stalled and len(at.placed) == 6


def test_lots_that_are_too_few_to_be_opened_are_reported_once_with_the_numbers():
    at = Targets(least=4)
    target = at.set(3)
    for _ in range(3):
        at.pass_by()
    assert at.placed == [] and target.stalled and not target.reached
    assert target.reason == "3 lots are missing, and an order opens 4 at least"
    assert len(stalls(at)) == 1
    at.set(5)
    assert sides(at) == [(BUY, 5, 3001.0)] and target.reason == ""


def test_lots_that_are_to_be_closed_need_no_smallest_order():
    at = Targets(today=3, least=4)
    at.set(1)
    assert sides(at) == [(SELL, 2, 3000.0)] and not stalls(at)


def test_the_largest_order_is_named_where_it_is_the_cause():
    at = Targets(least=4)
    target = at.set(6, ChaseRules(max_order_volume=2))
    assert at.placed == []
    assert "6 lots are missing, 2 of them in an order by max_order_volume" in target.reason


# -- dropped --------------------------------------------------------------------------------------


def test_a_target_that_is_dropped_cancels_its_order_and_sends_no_other(at):
    target = at.set(5)
    at.alive(at.leg)
    at.targets.drop(SYMBOL)
    assert at.gateway.withdrawn == [at.leg.order_id]
    assert target.plan()[1] and SYMBOL not in at.targets.targets
    at.trade(2)
    at.end(at.leg)
    at.pass_by(60)
    assert at.gateway.sent == [("OPEN", 5)]


def test_a_target_that_follows_a_dropped_one_counts_the_old_order_until_it_ends(at):
    at.set(5)
    at.alive(at.leg)
    old = at.leg
    at.targets.drop(SYMBOL)
    new = at.targets.set(SYMBOL, 2, None, None)
    at.gateway.held["pos_long_today"] = 2
    at.fill(old, 2)
    at.end(old)
    at.turn()
    assert new.reached and at.gateway.sent == [("OPEN", 5)]


def test_all_targets_are_dropped_also_those_of_an_earlier_run(at):
    at.set(5)
    first = at.leg
    early = at.submit(at.ticket(2, 2990.0, kind=bt.BuyOrder, exectype=LIMIT, for_target=True))
    at.targets.recall(plan_of(OTHER, 4), [early])
    at.contracts.at_hand[OTHER] = replace(RB, symbol=OTHER)
    at.targets.drop_all()
    assert sorted(at.gateway.withdrawn) == sorted([first.order_id, early.legs[0].order_id])
    assert (at.targets.targets, at.targets.recalled, at.targets.returning) == ({}, [], {})
    at.end(early.legs[0])
    at.end(first)
    at.targets.hand_over(lambda name: None)
    at.pass_by(60)
    assert len(at.placed) == 1


# -- after a restart ------------------------------------------------------------------------------


def plan_of(symbol=SYMBOL, target=3, **rules):
    """Return what an earlier run has recorded of a target."""
    fields = asdict(ChaseRules(**rules))
    return {
        "symbol": symbol, "target": target, "rules": fields | {"style": str(fields["style"])},
        "owner": ["Strategy", 0],
    }  # fmt: skip


def earlier_order(at, lots=3, price=2990.0, **options):
    ticket = at.ticket(lots, price, kind=bt.BuyOrder, exectype=LIMIT, for_target=True, **options)
    at.submit(ticket)
    at.alive(ticket.legs[0])
    return ticket


def test_a_target_of_an_earlier_run_continues_after_its_order_has_ended(at):
    order = earlier_order(at, 5)
    at.targets.recall(plan_of(target=5, style=Style.PASSIVE, max_order_volume=3), [order])
    at.pass_by()
    assert at.gateway.withdrawn == []  # there are no strategies yet
    asked = []
    at.targets.hand_over(lambda name: asked.append(name) or "owner")
    assert (asked, at.gateway.withdrawn) == ([["Strategy", 0]], [order.legs[0].order_id])
    at.pass_by()
    assert at.placed == [] and at.targets.targets == {}
    at.trade(1)  # crosses the cancel
    at.end(order.legs[0])
    at.turn()
    assert at.placed == [(BUY, 3, 3000.0, "owner", True)]
    assert at.targets.targets[SYMBOL].resumed and at.targets.returning == {}


def test_a_target_of_an_earlier_run_that_has_no_order_continues_at_once():
    at = Targets(today=1)
    at.targets.recall(plan_of(), [])
    at.targets.hand_over(lambda name: None)
    at.turn()
    assert sides(at) == [(BUY, 2, 3001.0)]


def test_a_target_that_a_strategy_sets_replaces_that_of_the_earlier_run(at):
    order = earlier_order(at, 3)
    at.targets.recall(plan_of(), [order])
    at.targets.hand_over(lambda name: None)
    target = at.targets.set(SYMBOL, -2, None, None)
    at.trade(1, all_told=False)
    at.end(order.legs[0])
    at.turn()
    at.turn()
    assert (target.target, target.net, target.resumed) == (-2, 1, False)
    assert sides(at) == [(SELL, 3, 3000.0)]
    assert at.targets.returning == {}


def test_a_rest_too_small_to_be_sent_again_stays_until_its_end():
    at = Targets(least=4)
    order = earlier_order(at, 5)
    at.trade(3)
    at.targets.recall(plan_of(target=5), [order])
    at.targets.hand_over(lambda name: None)
    at.pass_by(60)
    assert (at.gateway.withdrawn, at.placed) == ([], [])
    at.trade(2)
    target = at.targets.targets[SYMBOL]
    assert target.reached and at.placed == []


def test_a_rest_that_closes_is_cancelled_however_small_it_is():
    at = Targets(today=2, least=4)
    order = at.ticket(2, 3010.0, exectype=LIMIT, for_target=True, may_open=0)
    at.submit(order)
    at.alive(order.legs[0])
    at.targets.recall(plan_of(target=0), [order])
    at.targets.hand_over(lambda name: None)
    assert at.gateway.withdrawn == [order.legs[0].order_id]


def test_a_target_of_an_earlier_run_that_is_dropped_sends_nothing_more(at):
    order = earlier_order(at)
    at.targets.recall(plan_of(), [order])
    at.targets.hand_over(lambda name: None)
    at.targets.drop(SYMBOL)
    at.end(order.legs[0])
    at.pass_by(60)
    assert at.placed == [] and at.targets.targets == {}


@pytest.mark.parametrize("other", ["dropped", "set"])
def test_a_small_rest_is_cancelled_when_its_target_is_no_longer_wanted(other):
    at = Targets(least=4)
    order = earlier_order(at, 5)
    at.trade(3)
    at.targets.recall(plan_of(target=5), [order])
    at.targets.hand_over(lambda name: None)
    if other == "dropped":
        at.targets.drop(SYMBOL)
    else:
        at.targets.set(SYMBOL, 3, None, None)
    assert at.gateway.withdrawn == [order.legs[0].order_id]
    at.end(order.legs[0])
    at.pass_by(60)
    assert at.placed == []


# -- records --------------------------------------------------------------------------------------


def test_the_plan_holds_the_target_that_was_set_last_and_is_over_when_it_is_reached(at):
    target = at.targets.set(SYMBOL, 3, ChaseRules(max_order_volume=5), None)
    assert target.plan()[0]["target"] == 3  # before the first round
    at.turn()
    at.targets.set(SYMBOL, 4, None, None)
    fields, over = target.plan()
    assert (fields["symbol"], fields["target"], over) == (SYMBOL, 4, False)
    assert fields["rules"]["max_order_volume"] == 5
    at.trade(3)
    assert not target.plan()[1]
    at.trade(1)
    assert target.plan()[1]
    at.targets.set(SYMBOL, 5, None, None)
    assert not target.reached and not target.plan()[1]


# -- orders for another target that may still trade -----------------------------------------------


def test_a_target_that_follows_a_dropped_one_waits_for_its_order(at):
    at.set(5)
    old = at.leg
    at.alive(old)
    at.targets.drop(SYMBOL)
    assert at.gateway.withdrawn == [old.order_id]
    target = at.set(2)
    assert at.gateway.sent == [("OPEN", 5)] and not target.reached
    at.trade(2, all_told=False)  # its cancel comes too late for two lots
    at.end(old)
    at.turn()
    assert at.gateway.sent == [("OPEN", 5)]
    assert (target.net, target.reached) == (2, True)


def test_a_target_waits_for_the_order_of_an_earlier_run(at):
    at.set(3)
    old = at.leg
    at.alive(old)
    [ticket] = at.manager.tickets.values()
    fields = at.targets.targets[SYMBOL].plan()[0]
    at.targets.targets.clear()
    at.targets._sent.clear()
    at.targets._working.clear()
    at.targets.recall(fields, [ticket])
    target = at.set(3)
    assert at.gateway.withdrawn == [old.order_id]
    assert at.gateway.sent == [("OPEN", 3)]
    at.trade(3)
    assert at.gateway.sent == [("OPEN", 3)]
    assert (target.net, target.reached) == (3, True)
