"""Brackets and OCO groups: what is sent, suspended and withdrawn when one of their orders ends."""

from datetime import timedelta
from types import SimpleNamespace

import backtrader as bt
import pytest
from desk_on_stubs import BEGIN, SYMBOL, StubbedDesk

from tianqin_backtrader.contracts.order_terms import OrderTerms
from tianqin_backtrader.contracts.time_in_force import TimeInForce
from tianqin_backtrader.core.clock import from_ns
from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.execution.order_manager import ATTEMPTS
from tianqin_backtrader.orders import contingency
from tianqin_backtrader.orders.contingency import Part, Role
from tianqin_backtrader.orders.leg import OrderLeg
from tianqin_backtrader.orders.ticket import PositionEffect, Stage

LIMIT, STOP, MARKET = bt.Order.Limit, bt.Order.Stop, bt.Order.Market
BUY, SELL = bt.BuyOrder, bt.SellOrder


def draft(
    at, lots, price, exectype, *, kind=SELL, parent=None, oco=None, transmit=False, **options
):
    """Place an order as a strategy does that sets ``transmit`` itself."""
    ticket = at.ticket(lots, price, kind=kind, exectype=exectype, **options)
    ticket.terms = OrderTerms(price if exectype == LIMIT else None)
    at.held.place(ticket, parent and parent.order, oco and oco.order, transmit)
    at.engine.follow_up()
    return ticket


def bracket(at, lots=3, **options):
    """Place an entry with a stop and a target, as ``buy_bracket`` does."""
    entry = draft(at, lots, 3000.0, LIMIT, kind=BUY)
    stop = draft(at, lots, 2950.0, STOP, parent=entry, **options)
    target = draft(at, lots, 3050.0, LIMIT, parent=entry, transmit=True)
    return entry, stop, target


def opened(at, entry, lots):
    """An entry has opened lots, and the account shows them."""
    at.gateway.held["pos_long_today"] += lots
    at.fill(entry.legs[-1], lots)


def bracket_with_lots(at, lots=3, filled=3):
    entry, stop, target = bracket(at, lots)
    at.alive(entry.legs[0])
    opened(at, entry, filled)
    if target.live_legs:
        at.alive(target.legs[-1])
    return entry, stop, target


def fire(at, price=2950.0):
    """The market reaches a price."""
    at.price = price
    at.turn()


def grown(at):
    """Let a target that grows be cancelled and sent again."""
    for ticket in list(at.manager.tickets.values()):
        for leg in ticket.leaving:
            at.end(leg)
    at.turn()


def reached(price):
    """A book whose buyers pay a price."""
    return lambda symbol: SimpleNamespace(bid_price1=price, ask_price1=price + 1)


def statuses(at, ticket):
    """Return everything that its strategy was notified of."""
    return [name for ref, name, _ in at.told if ref == ticket.order.ref]


def protected(at):
    """Return the lots that ``notify_store`` was told to be without protection."""
    return [facts["lots"] for text, facts in at.notes if "have no protection" in text]


# -- until a bracket is complete ------------------------------------------------------------------


def test_nothing_is_sent_before_the_last_order_of_a_bracket_is_transmitted():
    at = StubbedDesk()
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY)
    stop = draft(at, 3, 2950.0, STOP, parent=entry)
    at.turn()
    assert (at.gateway.sent, at.told) == ([], [])
    target = draft(at, 3, 3050.0, LIMIT, parent=entry, transmit=True)
    assert at.gateway.sent == [("OPEN", 3)]
    assert [one.stage for one in (stop, target)] == [Stage.DORMANT] * 2
    for child in (stop, target):
        assert statuses(at, child) == ["Submitted", "Accepted"]
        assert (child.effect, child.may_open) == (PositionEffect.CLOSE, 0)


def test_children_whose_parent_has_opened_nothing_do_not_fire():
    at = StubbedDesk(today=3)  # other lots, which they must not close
    _, stop, target = bracket(at)
    fire(at, 2900.0)
    fire(at, 3100.0)
    assert at.gateway.sent == [("OPEN", 3)]
    assert (stop.stage, target.stage) == (Stage.DORMANT, Stage.DORMANT)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_bracket_with_an_impossible_order_is_refused_as_a_whole(bad):
    at = StubbedDesk()
    prices = [(3000.0, LIMIT, BUY), (2950.0, STOP, SELL), (2940.0, STOP, SELL)]
    prices[bad] = (None, STOP, prices[bad][2])  # a stop needs a price
    orders = []
    for number, (price, exectype, kind) in enumerate(prices):
        parent = orders[0] if orders else None
        orders.append(draft(at, 3, price, exectype, kind=kind, parent=parent, transmit=number == 2))
    assert [at.ends_of(one) for one in orders] == [["Rejected"]] * 3
    assert "needs a price" in orders[bad].order.info.reason
    at.turn()
    assert (at.gateway.sent, at.held.watched, at.exposed.lots) == ([], {}, [])


def test_a_bracket_that_cannot_join_its_oco_group_is_refused_as_a_whole():
    at = StubbedDesk()
    over = at.place(3, 2990.0, kind=BUY, exectype=LIMIT)
    at.refuse(over.legs[0])
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY, oco=over)
    stop = draft(at, 3, 2950.0, STOP, parent=entry, transmit=True)
    assert at.gateway.sent == [("OPEN", 3)]  # the first order
    assert (at.ends_of(entry), at.ends_of(stop)) == (["Rejected"], ["Rejected"])
    assert "(oco) has traded or is over" in entry.order.info.reason
    assert stop.order.info.reason == "its parent order is refused"


def test_a_bracket_whose_stop_cannot_join_its_oco_group_is_not_sent():
    at = StubbedDesk()
    over = at.place(3, 2990.0, kind=BUY, exectype=LIMIT)
    at.refuse(over.legs[0])
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY)
    stop = draft(at, 3, 2950.0, STOP, parent=entry, oco=over)
    target = draft(at, 3, 3050.0, LIMIT, parent=entry, transmit=True)
    assert [at.ends_of(one) for one in (entry, stop, target)] == [
        ["Canceled"], ["Rejected"], ["Canceled"],
    ]  # fmt: skip
    at.turn()
    assert at.gateway.sent == [("OPEN", 3)]  # the first order


def test_the_end_of_an_order_that_is_refused_is_handled_in_the_call_that_places_it():
    at = StubbedDesk(today=3)
    at.held.place(at.exit(3, None), None, None, True)
    stop = at.exit(3, None)
    stop.order.exectype = STOP
    at.held.place(stop, None, None, True)
    assert at.exposed.lots == [(SYMBOL, 3)] and not at.manager.ended


def test_of_two_brackets_in_an_oco_group_the_first_to_trade_withdraws_the_other():
    at = StubbedDesk()
    first, first_stop, _ = bracket(at)
    second = draft(at, 2, 2990.0, LIMIT, kind=BUY, oco=first)
    second_stop = draft(at, 2, 2940.0, STOP, parent=second, transmit=True)
    assert at.gateway.sent == [("OPEN", 3), ("OPEN", 2)]
    at.alive(second.legs[0])
    opened(at, first, 1)
    assert at.gateway.withdrawn == [second.legs[0].order_id]
    assert (first_stop.stage, first_stop.left) == (Stage.WATCHED, 1)
    at.end(second.legs[0])
    assert (at.ends_of(second), at.ends_of(second_stop)) == (["Canceled"], ["Canceled"])
    assert at.ends_of(first_stop) == []


def test_a_child_in_an_oco_group_outside_its_bracket_ends_with_that_group():
    at = StubbedDesk()
    outside = at.place(1, 2900.0, kind=BUY, exectype=LIMIT)
    at.alive(outside.legs[0])
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY)
    stop = draft(at, 3, 2950.0, STOP, parent=entry, oco=outside, transmit=True)
    at.alive(entry.legs[0])
    opened(at, outside, 1)
    assert at.ends_of(stop) == ["Canceled"]
    assert at.gateway.withdrawn == [entry.legs[0].order_id]


# -- the parent trades ----------------------------------------------------------------------------


def test_children_cover_what_the_parent_has_opened_and_grow_with_it():
    at = StubbedDesk()
    entry, stop, target = bracket_with_lots(at, 5, filled=2)
    assert at.gateway.sent == [("OPEN", 5), ("CLOSETODAY", 2)]
    assert (stop.stage, stop.volume, stop.condition.volume) == (Stage.WATCHED, 2, 2)
    opened(at, entry, 3)
    assert (stop.volume, stop.condition.volume, stop.order.size) == (5, 5, -5)
    assert at.gateway.withdrawn == [target.legs[0].order_id]
    grown(at)
    assert at.gateway.sent[2:] == [("CLOSETODAY", 5)]
    assert statuses(at, target) == ["Submitted", "Accepted"]


@pytest.mark.parametrize("end", [StubbedDesk.refuse, StubbedDesk.lose, StubbedDesk.end])
def test_children_of_a_parent_that_ends_without_lots_are_canceled(end):
    at = StubbedDesk()
    entry, stop, target = bracket(at)
    end(at, entry.legs[0])
    assert (at.ends_of(stop), at.ends_of(target)) == (["Canceled"], ["Canceled"])
    assert (at.gateway.sent, at.exposed.lots) == ([("OPEN", 3)], [])


def test_children_of_a_parent_that_is_withdrawn_with_some_lots_cover_those():
    at = StubbedDesk()
    entry, stop, target = bracket_with_lots(at, 5, filled=2)
    at.held.cancel(entry)
    at.end(entry.legs[0])
    assert [at.ends_of(one) for one in (entry, stop, target)] == [["Canceled"], [], []]
    assert (stop.volume, target.volume) == (2, 2)
    fire(at, 2950.0)
    grown(at)
    assert at.gateway.sent[2:] == [("CLOSETODAY", 2)]


def test_a_parent_that_reverses_gives_its_children_only_what_it_opens():
    at = StubbedDesk(today=3)
    entry = draft(at, 5, None, MARKET)
    stop = draft(at, 5, 3050.0, STOP, kind=BUY, parent=entry, transmit=True)
    at.fill(entry.legs[0], 3)
    assert at.gateway.sent == [("CLOSETODAY", 3), ("OPEN", 2)]
    assert stop.stage is Stage.DORMANT
    at.gateway.held["pos_short_today"] = 2
    at.fill(entry.legs[1], 2)
    assert (stop.stage, stop.volume) == (Stage.WATCHED, 2)
    assert at.exposed.lots == []


# -- a child fires or trades ----------------------------------------------------------------------


def test_a_stop_that_fires_ends_its_partner_first():
    at = StubbedDesk()
    _, stop, target = bracket_with_lots(at)
    fire(at)
    assert at.gateway.sent == [("OPEN", 3), ("CLOSETODAY", 3)]
    assert at.gateway.withdrawn == [target.legs[0].order_id]
    at.end(target.legs[0])
    at.turn()
    assert at.gateway.sent[2:] == [("CLOSETODAY", 3)]
    at.alive(stop.legs[0])
    assert statuses(at, target) == ["Submitted", "Accepted"]  # it is only suspended
    at.fill(stop.legs[0], 3)
    assert (at.ends_of(stop), at.ends_of(target)) == (["Completed"], ["Canceled"])
    assert (at.sent_lots()["CLOSETODAY"], at.exposed.lots) == (6, [])


def test_lots_that_the_partner_has_traded_while_it_was_withdrawn_are_not_closed_again():
    at = StubbedDesk()
    _, stop, target = bracket_with_lots(at)
    fire(at)
    at.fill(target.legs[0], 2)
    at.end(target.legs[0])
    at.turn()
    assert at.gateway.sent[2:] == [("CLOSETODAY", 1)]
    at.fill(stop.legs[0], 1)
    assert (at.ends_of(stop), at.ends_of(target)) == (["Completed"], ["Canceled"])


def test_a_suspended_target_is_sent_again_when_the_stop_fails():
    at = StubbedDesk()
    _, stop, target = bracket_with_lots(at)
    fire(at)
    at.end(target.legs[0])
    at.turn()
    for _ in range(ATTEMPTS + 1):
        at.refuse(stop.legs[-1])
        at.pass_by()
    assert at.ends_of(stop) == ["Rejected"]
    assert (protected(at), at.exposed.lots) == ([3], [(SYMBOL, 3)])
    assert (len(target.legs), target.live_legs, target.stage) == (
        2, [target.legs[1]], Stage.WORKING,
    )  # fmt: skip
    assert statuses(at, target) == ["Submitted", "Accepted"]


def test_a_stop_that_fires_waits_for_the_end_of_its_parent_and_closes_what_that_still_got():
    at = StubbedDesk()
    entry, stop, target = bracket_with_lots(at, 5, filled=2)
    fire(at)
    assert entry.legs[0].order_id in at.gateway.withdrawn
    at.turn()
    assert stop.legs == []
    opened(at, entry, 1)  # crosses the cancel
    at.turn()
    assert stop.legs == [] and stop.volume == 3
    at.end(entry.legs[0])
    grown(at)  # the target, which the crossing fill has changed
    grown(at)  # the target again, which stands back for the stop
    assert [leg.volume for leg in stop.legs] == [3]
    at.fill(stop.legs[0], 3)
    assert [at.ends_of(one) for one in (entry, stop, target)] == [
        ["Canceled"], ["Completed"], ["Canceled"],
    ]  # fmt: skip
    assert at.exposed.lots == []


def test_a_target_that_trades_some_lots_withdraws_the_rest_of_its_parent_and_reduces_the_stop():
    at = StubbedDesk()
    entry, stop, target = bracket_with_lots(at, 5, filled=3)
    at.fill(target.legs[0], 1)
    assert at.gateway.withdrawn == [entry.legs[0].order_id]
    assert (stop.stage, stop.volume, stop.condition.volume) == (Stage.WATCHED, 2, 2)
    fire(at)
    at.end(entry.legs[0])
    at.end(target.legs[0])
    at.turn()
    assert [leg.volume for leg in stop.legs] == [2]


def test_a_stop_without_lots_does_not_fire_and_covers_what_its_parent_still_gets():
    at = StubbedDesk(earlier=4)  # lots that the bracket must not touch
    entry, stop, target = bracket_with_lots(at, 5, filled=2)
    at.fill(target.legs[0], 2)
    assert (stop.stage, at.ends_of(stop)) == (Stage.DORMANT, [])
    fire(at)
    assert at.gateway.sent == [("OPEN", 5), ("CLOSETODAY", 2)]
    at.price = 3000.0
    opened(at, entry, 1)
    at.end(entry.legs[0])
    assert (stop.stage, stop.left) == (Stage.WATCHED, 1)
    fire(at)
    assert at.gateway.sent[2:] == [("CLOSETODAY", 1)]
    at.fill(stop.legs[0], 1)
    assert at.ends_of(stop) == ["Completed"] and at.exposed.lots == []


def test_a_fired_stop_that_lost_its_lots_waits_for_the_end_of_its_parent():
    at = StubbedDesk(earlier=4)
    entry, stop, target = bracket_with_lots(at, 5, filled=2)
    fire(at)
    at.fill(target.legs[0], 2)
    at.turn()
    opened(at, entry, 1)
    at.turn()
    assert stop.legs == []
    at.end(entry.legs[0])
    at.turn()
    assert [leg.volume for leg in stop.legs] == [1]


def test_a_second_target_without_lots_closes_no_others_and_gets_those_that_follow():
    at = StubbedDesk(earlier=9)
    entry = draft(at, 5, 3000.0, LIMIT, kind=BUY)
    first = draft(at, 5, 3050.0, LIMIT, parent=entry)
    second = draft(at, 5, 3060.0, LIMIT, parent=entry, transmit=True)
    at.alive(entry.legs[0])
    opened(at, entry, 2)
    at.alive(first.legs[0])
    at.fill(first.legs[0], 2)
    at.pass_by()
    assert (second.legs, at.ends_of(second)) == ([], [])
    opened(at, entry, 1)  # crosses the cancel, whose end is not known
    at.pass_by()
    assert [leg.volume for leg in second.legs] == [1]


def test_an_exit_of_two_groups_covers_no_more_than_the_smaller_number_of_lots():
    at = StubbedDesk(earlier=9)
    _, stop, target = bracket_with_lots(at)
    other = at.place(3, 3040.0, exectype=LIMIT, oco=stop)
    if not other.legs:
        at.gateway.quote = reached(3040.0)
        at.pass_by()
        grown(at)
    at.fill(other.legs[0], 2)
    assert stop.volume == 1
    at.fill(target.legs[0], 1)
    assert (stop.volume, stop.condition.volume) == (1, 1)


def test_the_stop_of_a_target_that_has_closed_all_ends_when_the_parent_is_over():
    at = StubbedDesk()
    entry, stop, target = bracket_with_lots(at, 5, filled=2)
    at.fill(target.legs[0], 2)
    assert (at.ends_of(target), at.ends_of(stop)) == (["Completed"], [])
    at.end(entry.legs[0])
    assert at.ends_of(stop) == ["Canceled"] and at.exposed.lots == []


def test_lots_that_exits_have_closed_too_many_are_reported():
    at = StubbedDesk(earlier=3)
    _, stop, target = bracket_with_lots(at)
    fire(at)
    at.end(target.legs[0])
    at.turn()
    at.fill(stop.legs[0], 3)
    at.fill(target.legs[0], 1)  # reported after its end
    assert at.exposed.lots == [(SYMBOL, -1)]
    [text] = [text for text, facts in at.notes if facts.get("lots") == -1]
    assert "1 lots more were closed than a group of orders was to close" in text


# -- a child ends without a trade -----------------------------------------------------------------


@pytest.mark.parametrize("member", [0, 1, 2])
def test_an_order_that_its_owner_withdraws_takes_the_bracket_with_it_at_once(member):
    at = StubbedDesk()
    orders = bracket(at)
    at.alive(orders[0].legs[0])
    at.held.cancel(orders[member])
    if member:
        assert at.ends_of(orders[1]) == at.ends_of(orders[2]) == ["Canceled"]
    assert at.gateway.withdrawn == [orders[0].legs[0].order_id]
    at.end(orders[0].legs[0])
    assert [at.ends_of(one) for one in orders] == [["Canceled"]] * 3
    assert at.exposed.lots == [] and not at.manager.ended
    assert not any("nothing to cancel" in text for text, _ in at.notes)


def test_a_stop_that_its_owner_withdraws_takes_the_target_with_it_and_is_not_reported():
    at = StubbedDesk()
    _, stop, target = bracket_with_lots(at)
    at.held.cancel(stop)
    assert at.gateway.withdrawn == [target.legs[0].order_id]
    at.end(target.legs[0])
    assert (at.ends_of(stop), at.ends_of(target)) == (["Canceled"], ["Canceled"])
    assert (at.exposed.lots, protected(at)) == ([], [])


@pytest.mark.parametrize("end", [StubbedDesk.refuse, StubbedDesk.lose, StubbedDesk.end])
def test_a_target_that_the_exchange_ends_leaves_the_stop_in_place(end):
    at = StubbedDesk()
    entry, stop, target = bracket(at)
    opened(at, entry, 3)
    end(at, target.legs[0])
    assert len(at.ends_of(target)) == 1
    assert (stop.stage, stop.volume, at.exposed.lots) == (Stage.WATCHED, 3, [])
    fire(at)
    assert at.gateway.sent[2:] == [("CLOSETODAY", 3)]


@pytest.mark.parametrize("end", [StubbedDesk.refuse, StubbedDesk.end])
def test_lots_that_a_parent_gets_after_its_last_exit_has_failed_are_reported(end):
    at = StubbedDesk()
    entry = draft(at, 5, 3000.0, LIMIT, kind=BUY)
    target = draft(at, 5, 3050.0, LIMIT, parent=entry, transmit=True)
    at.alive(entry.legs[0])
    opened(at, entry, 2)
    end(at, target.legs[0])
    assert at.gateway.withdrawn == [entry.legs[0].order_id]
    opened(at, entry, 1)  # crosses the cancel
    assert at.exposed.lots == [(SYMBOL, 2), (SYMBOL, 3)]


def soon(at):
    return TimeInForce(from_ns(at.now) + timedelta(seconds=10))


def test_a_child_whose_validity_passes_leaves_its_lots_to_the_target_and_is_reported():
    at = StubbedDesk()
    entry, stop, target = bracket(at, validity=soon(at))
    at.alive(entry.legs[0])
    opened(at, entry, 2)
    at.alive(target.legs[0])
    at.pass_by(11)
    assert (at.ends_of(stop), at.ends_of(target)) == (["Expired"], [])
    assert entry.legs[0].order_id in at.gateway.withdrawn
    assert (protected(at), at.exposed.lots) == ([2], [(SYMBOL, 2)])


def test_a_child_whose_validity_passes_before_its_parent_trades_ends_the_bracket_without_report():
    at = StubbedDesk()
    entry, stop, target = bracket(at, validity=soon(at))
    at.alive(entry.legs[0])
    at.pass_by(11)
    at.end(entry.legs[0])
    assert [at.ends_of(one) for one in (entry, stop, target)] == [
        ["Canceled"], ["Expired"], ["Canceled"],
    ]  # fmt: skip
    assert at.exposed.lots == []


def test_a_stop_without_a_group_whose_own_validity_passes_is_not_reported():
    at = StubbedDesk(today=3)
    stop = at.hold(3, 2950.0, validity=soon(at))
    at.pass_by(11)
    assert (at.ends_of(stop), at.exposed.lots) == (["Expired"], [])


def test_a_stop_without_a_group_that_its_owner_withdraws_is_not_reported():
    at = StubbedDesk(today=3)
    stop = at.hold(3, 2950.0)
    at.held.cancel(stop)
    fired = at.hold(3, 2950.0)
    fire(at)
    at.alive(fired.legs[0])
    at.held.cancel(fired)
    at.end(fired.legs[0])
    assert (at.ends_of(stop), at.ends_of(fired)) == (["Canceled"], ["Canceled"])
    assert at.exposed.lots == []


def test_a_fired_stop_whose_validity_passes_before_it_trades_is_reported():
    at = StubbedDesk(today=3)
    stop = at.hold(3, 2950.0, validity=soon(at))
    fire(at)
    at.alive(stop.legs[0])
    at.pass_by(11)
    at.end(stop.legs[0])
    assert (at.ends_of(stop), at.exposed.lots) == (["Expired"], [(SYMBOL, 3)])


@pytest.mark.parametrize(("other", "bare"), [(None, 3), (1, 2), (3, None)])
def test_lots_that_another_stop_covers_are_not_reported_as_bare(other, bare):
    at = StubbedDesk(today=3)
    if other:
        at.hold(other, 2940.0)
    stop = at.hold(3, 2950.0)
    at.price = 2950.0
    at.turn()
    at.alive(stop.legs[0])
    at.end(stop.legs[0])  # another terminal has withdrawn it
    assert at.ends_of(stop) == ["Canceled"]
    assert at.exposed.lots == ([(SYMBOL, bare)] if bare else [])


def test_two_stops_of_one_group_cover_their_lots_once():
    at = StubbedDesk(today=6)
    first = at.place(3, 2940.0, exectype=STOP)
    at.place(3, 2930.0, exectype=STOP, oco=first)
    single = at.place(3, 2950.0, exectype=STOP)
    fire(at)
    at.alive(single.legs[0])
    at.end(single.legs[0])
    assert at.exposed.lots == [(SYMBOL, 3)]


# -- children that come later ---------------------------------------------------------------------


@pytest.mark.parametrize("filled", [1, 3])
def test_a_child_of_a_parent_that_has_traded_covers_what_that_has_opened(filled):
    at = StubbedDesk()
    entry = at.place(3, 3000.0, kind=BUY, exectype=LIMIT)
    opened(at, entry, filled)
    stop = draft(at, 3, 2950.0, STOP, parent=entry, transmit=True)
    assert (stop.stage, stop.volume, stop.may_open) == (Stage.WATCHED, filled, 0)
    assert statuses(at, stop) == ["Submitted", "Accepted"]
    if filled < 3:
        opened(at, entry, 3 - filled)
    assert stop.volume == stop.condition.volume == 3


def test_a_child_that_joins_a_bracket_shares_its_lots():
    at = StubbedDesk()
    entry, stop, target = bracket_with_lots(at)
    at.fill(target.legs[0], 1)
    second = draft(at, 3, 3060.0, LIMIT, parent=entry, transmit=True)
    assert (stop.volume, second.volume) == (2, 2)
    assert second.legs == []  # two lots are at the exchange already, in the first target
    at.fill(target.legs[0], 2)
    assert (at.ends_of(stop), at.ends_of(second)) == (["Canceled"], ["Canceled"])
    assert at.sent_lots() == {"OPEN": 3, "CLOSETODAY": 3}


@pytest.mark.parametrize("end", [StubbedDesk.refuse, StubbedDesk.end])
def test_a_child_of_a_parent_that_ended_without_lots_is_refused(end):
    at = StubbedDesk(today=3)
    entry = at.place(3, 3000.0, kind=BUY, exectype=LIMIT)
    end(at, entry.legs[0])
    stop = draft(at, 3, 2950.0, STOP, parent=entry, transmit=True)
    assert at.ends_of(stop) == ["Rejected"]
    assert "its parent order is over without a fill" in stop.order.info.reason
    assert at.held.watched == {}


def test_a_child_for_lots_that_are_closed_is_refused_and_closes_no_others():
    at = StubbedDesk(earlier=3)
    entry, stop, _ = bracket_with_lots(at)
    fire(at)
    grown(at)
    at.fill(stop.legs[0], 3)
    late = draft(at, 3, 3060.0, LIMIT, parent=entry, transmit=True)
    assert at.ends_of(late) == ["Rejected"]
    assert "the lots that its parent order opened are closed" in late.order.info.reason
    assert at.sent_lots() == {"OPEN": 3, "CLOSETODAY": 6}


# -- OCO groups -----------------------------------------------------------------------------------


def entries(at, *prices):
    """Place entries of which one is wanted."""
    first = at.place(3, prices[0], kind=BUY, exectype=LIMIT)
    rest = [at.place(3, price, kind=BUY, exectype=LIMIT, oco=first) for price in prices[1:]]
    for one in (first, *rest):
        at.alive(one.legs[0])
    return first, *rest


@pytest.mark.parametrize("filled", [1, 3])
def test_the_first_entry_that_trades_withdraws_all_others(filled):
    at = StubbedDesk()
    first, second, third = entries(at, 2990.0, 2980.0, 2970.0)
    opened(at, second, filled)
    assert sorted(at.gateway.withdrawn) == sorted(one.legs[0].order_id for one in (first, third))
    assert at.ends_of(second) == (["Completed"] if filled == 3 else [])


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("end", [StubbedDesk.end, StubbedDesk.refuse, StubbedDesk.lose])
def test_the_end_of_an_entry_withdraws_the_other_whoever_wanted_it(end, asked):
    at = StubbedDesk()
    first = at.place(3, 2990.0, kind=BUY, exectype=LIMIT)
    second = at.place(3, 2980.0, kind=BUY, exectype=LIMIT, oco=first)
    if asked:
        at.held.cancel(first)
    end(at, first.legs[0])
    assert second.legs[0].order_id in at.gateway.withdrawn


def stop_that_enters(at):
    """Place a limit and a stop of one OCO that both open; the stop fires."""
    limit = at.place(3, 2990.0, kind=BUY, exectype=LIMIT)
    at.alive(limit.legs[0])
    stop = at.place(3, 3050.0, kind=BUY, exectype=STOP, oco=limit)
    fire(at, 3050.0)
    return limit, stop


def test_a_stop_that_enters_waits_for_the_end_of_the_other_entry():
    at = StubbedDesk()
    limit, stop = stop_that_enters(at)
    assert (at.gateway.withdrawn, stop.legs) == ([limit.legs[0].order_id], [])
    at.end(limit.legs[0])
    at.turn()
    assert (at.ends_of(limit), at.gateway.sent) == (["Canceled"], [("OPEN", 3)] * 2)


def test_a_stop_that_enters_is_not_sent_when_the_other_entry_trades_meanwhile():
    at = StubbedDesk()
    limit, stop = stop_that_enters(at)
    opened(at, limit, 3)
    at.turn()
    assert (at.ends_of(limit), at.ends_of(stop)) == (["Completed"], ["Canceled"])
    assert at.gateway.sent == [("OPEN", 3)]


def test_entries_that_wait_end_in_the_call_that_withdraws_one_of_them():
    at = StubbedDesk()
    first = at.place(3, 3050.0, kind=BUY, exectype=STOP)
    others = [at.place(3, 3060.0, kind=BUY, exectype=STOP, oco=first) for _ in range(2)]
    at.held.cancel(others[0])
    assert [at.ends_of(one) for one in (first, *others)] == [["Canceled"]] * 3
    assert not at.manager.ended and not at.held.watched
    fire(at, 3060.0)
    assert at.gateway.sent == []


def test_of_two_stops_that_enter_and_are_reached_by_one_price_only_one_is_sent():
    at = StubbedDesk()
    first = at.place(3, 3050.0, kind=BUY, exectype=STOP)
    second = at.place(3, 3055.0, kind=BUY, exectype=STOP, oco=first)
    fire(at, 3060.0)
    assert (at.gateway.sent, at.ends_of(second)) == ([("OPEN", 3)], ["Canceled"])


def exits(at, lots=3):
    """Place a target and a stop for the same lots, without a bracket."""
    target = at.place(lots, 3050.0, exectype=LIMIT)
    stop = at.place(lots, 2950.0, exectype=STOP, oco=target)
    at.alive(target.legs[0])
    return target, stop


def test_exits_of_one_group_get_smaller_with_each_other_and_close_no_other_lots():
    at = StubbedDesk(today=9)
    target, stop = exits(at)
    at.fill(target.legs[0], 1)
    assert (stop.volume, stop.condition.volume) == (2, 2)
    fire(at)
    assert stop.legs == []  # two lots are still in the target
    at.end(target.legs[0])
    at.turn()
    assert [leg.volume for leg in stop.legs] == [2]
    at.fill(stop.legs[0], 2)
    assert (at.ends_of(stop), at.ends_of(target)) == (["Completed"], ["Canceled"])
    assert at.account.booked(SYMBOL, Direction.SELL) == 6


def test_a_second_limit_order_of_a_group_waits_until_the_market_has_reached_it():
    at = StubbedDesk(today=9)
    first = at.place(3, 3050.0, exectype=LIMIT)
    second = at.place(3, 3020.0, exectype=LIMIT, oco=first)
    at.alive(first.legs[0])
    at.pass_by()
    assert (second.stage, at.gateway.sent) == (Stage.QUEUED, [("CLOSETODAY", 3)])
    at.gateway.quote = reached(3020.0)
    at.pass_by()
    assert at.gateway.withdrawn == [first.legs[0].order_id]
    at.end(first.legs[0])
    at.pass_by()
    assert at.gateway.sent == [("CLOSETODAY", 3)] * 2
    at.fill(second.legs[0], 3)
    assert at.ends_of(first) == ["Canceled"]


@pytest.mark.parametrize("end", [StubbedDesk.refuse, StubbedDesk.end])
def test_an_exit_that_the_exchange_ends_leaves_the_lots_to_the_others(end):
    at = StubbedDesk(today=3)
    target = at.place(3, 3050.0, exectype=LIMIT)
    stop = at.place(3, 2950.0, exectype=STOP, oco=target)
    end(at, target.legs[0])
    assert (stop.stage, stop.volume, at.exposed.lots) == (Stage.WATCHED, 3, [])


def test_the_last_stop_of_a_group_that_fails_is_reported_though_a_target_is_left():
    at = StubbedDesk(today=3)
    target, stop = exits(at)
    fire(at)
    at.end(target.legs[0])
    at.turn()
    at.alive(stop.legs[0])
    at.end(stop.legs[0])
    assert (at.ends_of(stop), at.ends_of(target)) == (["Canceled"], [])
    assert (protected(at), at.exposed.lots) == ([3], [(SYMBOL, 3)])
    at.turn()
    assert [leg.volume for leg in target.legs] == [3, 3]


def test_an_exit_may_join_one_that_has_traded_and_covers_the_rest():
    at = StubbedDesk(today=3)
    target = at.place(3, 3050.0, exectype=LIMIT)
    at.fill(target.legs[0], 1)
    stop = at.place(2, 2950.0, exectype=STOP, oco=target)
    at.fill(target.legs[0], 1)
    assert (stop.volume, stop.stage) == (1, Stage.WATCHED)


@pytest.mark.parametrize("end", ["filled", "over"])
def test_an_entry_may_not_join_one_that_has_traded_or_is_over(end):
    at = StubbedDesk()
    first = at.place(3, 2990.0, kind=BUY, exectype=LIMIT)
    opened(at, first, 1) if end == "filled" else at.refuse(first.legs[0])
    second = at.place(3, 2980.0, kind=BUY, exectype=LIMIT, oco=first)
    assert at.ends_of(second) == ["Rejected"]
    assert at.gateway.sent == [("OPEN", 3)]


def test_an_exit_and_an_entry_of_one_group_withdraw_each_other():
    at = StubbedDesk(today=3)
    stop = at.place(3, 2950.0, exectype=STOP)
    entry = at.place(3, 2990.0, kind=BUY, exectype=LIMIT, oco=stop)
    opened(at, entry, 1)
    assert at.ends_of(stop) == ["Canceled"]


# -- names of groups ------------------------------------------------------------------------------


def test_exits_that_groups_connect_have_one_name_and_their_parent_is_no_partner():
    at = StubbedDesk()
    entry, stop, target = bracket_with_lots(at)
    other = at.place(3, 2940.0, exectype=STOP, oco=stop)
    names = {at.held.group_of(one) for one in (stop, target, other)}
    assert len(names) == 1
    assert at.held.group_of(entry) == entry.key
    assert at.held.partners(stop) == [target, other]
    assert at.held.partners(entry) == []
    assert [at.held.role(one) for one in (entry, stop, other)] == [
        Role.PARENT, Role.CHILD, Role.PEER,
    ]  # fmt: skip
    single = at.place(3, 2930.0, exectype=STOP)
    assert (at.held.group_of(single), at.held.role(single)) == (single.key, None)


# -- after a restart ------------------------------------------------------------------------------


class Restarted:
    """A desk whose earlier program has recorded a bracket and was killed."""

    def __init__(self):
        self.at = at = StubbedDesk(today=3)
        self.entry = at.ticket(3, 3000.0, kind=BUY, exectype=LIMIT)
        self.stop = at.exit(3)
        self.target = at.exit(3)
        self.stop.order.exectype = STOP
        self.stop.order.p.price = 2950.0
        self.stop.condition = at.held._emulator.condition(self.stop)
        self.parts = (
            Part(self.entry.key, 3),
            [Part(self.stop.key, 3, protects=True), Part(self.target.key, 3)],
        )

    def adopt(self, group, stages):
        for ticket, stage in zip((self.entry, self.stop, self.target), stages, strict=True):
            ticket.stage = stage
            ticket.order.addcomminfo(self.at.account.comminfo(SYMBOL))
            ticket.order.submit(None)
            ticket.order.accept(None)
            self.at.manager.adopt(ticket)
            self.at.held.adopt(ticket)
        tickets = [self.entry, self.stop, self.target]
        self.at.held.adopt_group("g", group.to_dict(), tickets)
        self.at.held.complete_groups()
        self.at.engine.follow_up()


def in_force(one):
    """Return the group whose parent has opened its three lots."""
    group = contingency.bracket(*one.parts)
    group, _ = contingency.on_fill(group, one.entry.key, 3)
    return group


def test_children_that_were_to_be_activated_are_activated_by_the_next_program():
    one = Restarted()
    one.adopt(in_force(one), (Stage.OVER, Stage.DORMANT, Stage.DORMANT))
    assert one.stop.stage is Stage.WATCHED
    assert one.at.gateway.sent == [("CLOSETODAY", 3)]
    fire(one.at)
    assert one.at.gateway.withdrawn == [one.target.legs[0].order_id]


def test_an_exit_that_was_to_be_reduced_is_reduced_by_the_next_program():
    one = Restarted()
    group, _ = contingency.on_fill(in_force(one), one.target.key, 1)
    one.adopt(group, (Stage.OVER, Stage.WATCHED, Stage.QUEUED))
    assert (one.stop.volume, one.stop.condition.volume) == (2, 2)


def test_orders_that_were_to_be_withdrawn_are_withdrawn_by_the_next_program():
    one = Restarted()
    group, _ = contingency.on_end(in_force(one), one.target.key)  # its owner has cancelled it
    one.adopt(group, (Stage.OVER, Stage.WATCHED, Stage.OVER))
    assert one.at.ends_of(one.stop) == ["Canceled"]
    assert one.at.held.watched == {} and one.at.exposed.lots == []


def test_an_end_that_the_group_has_not_been_told_of_is_handled_by_the_next_program():
    one = Restarted()
    one.target.order.status = bt.Order.Completed
    one.adopt(contingency.bracket(*one.parts), (Stage.OVER, Stage.DORMANT, Stage.DORMANT))
    assert one.at.ends_of(one.stop) == ["Canceled"]
    assert one.at.ends_of(one.target) == ["Canceled"]
    assert one.at.gateway.sent == []


def test_a_child_that_was_suspended_stays_so_until_the_end_of_its_parent_is_known():
    one = Restarted()
    at, leg = one.at, OrderLeg("o1", SYMBOL, Direction.BUY, Offset.OPEN, 3, 3000.0, BEGIN)
    leg.take_fill(Fill("t1", "o1", SYMBOL, leg.direction, leg.offset, 3000.0, 1, BEGIN, 1.0))
    one.entry.legs.append(leg)
    group = contingency.bracket(*one.parts)
    group, _ = contingency.on_fill(group, one.entry.key, 1)
    group, _ = contingency.on_fill(group, one.target.key, 1)
    one.adopt(group, (Stage.WORKING, Stage.WATCHED, Stage.OVER))
    assert at.gateway.withdrawn == ["o1"]
    assert one.stop.stage is Stage.DORMANT
    fire(at)
    assert (one.stop.legs, at.gateway.sent) == ([], [])
    at.price = 3000.0
    opened(at, one.entry, 1)
    assert (one.stop.stage, one.stop.left) == (Stage.WATCHED, 1)


# -- orders of a bracket that is not complete -----------------------------------------------------


def test_a_child_that_was_cancelled_before_the_bracket_was_complete_stays_cancelled():
    at = StubbedDesk()
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY)
    stop = draft(at, 3, 2950.0, STOP, parent=entry)
    at.held.cancel(stop)
    draft(at, 3, 3050.0, LIMIT, parent=entry, transmit=True)
    assert statuses(at, stop) == ["Canceled"]
    opened(at, entry, 3)
    fire(at)
    assert not stop.legs and statuses(at, stop) == ["Canceled"]


def test_the_end_of_a_parent_that_was_not_transmitted_ends_its_children():
    at = StubbedDesk()
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY)
    stop = draft(at, 3, 2950.0, STOP, parent=entry)
    at.held.cancel(entry)
    assert (statuses(at, entry), statuses(at, stop)) == (["Canceled"], ["Canceled"])
    assert stop.order.info.reason == "its parent order is over"
    target = draft(at, 3, 3050.0, LIMIT, parent=entry, transmit=True)
    assert (statuses(at, target), at.gateway.sent) == (["Rejected"], [])


def test_all_orders_are_cancelled_those_of_an_incomplete_bracket_among_them():
    at = StubbedDesk()
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY)
    stop = draft(at, 3, 2950.0, STOP, parent=entry)
    at.engine.cancel_all()
    assert [at.ends_of(one) for one in (entry, stop)] == [["Canceled"], ["Canceled"]]
    draft(at, 3, 3050.0, LIMIT, parent=entry, transmit=True)
    assert at.gateway.sent == []


def test_a_child_of_a_sent_parent_keeps_its_own_oco():
    at = StubbedDesk()
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY, transmit=True)
    opened(at, entry, 3)
    other = draft(at, 2, 2990.0, LIMIT, kind=BUY, transmit=True)
    stop = draft(at, 3, 2950.0, STOP, parent=entry, oco=other, transmit=True)
    assert stop.stage is Stage.WATCHED
    opened(at, other, 2)
    assert at.ends_of(stop) == ["Canceled"]


def test_a_child_of_a_sent_parent_is_refused_if_its_oco_is_over():
    at = StubbedDesk()
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY, transmit=True)
    opened(at, entry, 3)
    other = draft(at, 2, 2990.0, LIMIT, kind=BUY, transmit=True)
    opened(at, other, 2)
    sent = list(at.gateway.sent)
    target = draft(at, 3, 3050.0, LIMIT, parent=entry, oco=other, transmit=True)
    assert (at.ends_of(target), at.gateway.sent) == (["Rejected"], sent)


def test_exits_of_one_parent_that_name_each_other_are_in_one_group():
    at = StubbedDesk()
    entry = draft(at, 3, 3000.0, LIMIT, kind=BUY, transmit=True)
    opened(at, entry, 3)
    stop = draft(at, 3, 2950.0, STOP, parent=entry, transmit=True)
    target = draft(at, 3, 3050.0, LIMIT, parent=entry, oco=stop, transmit=True)
    at.alive(target.legs[0])
    at.fill(target.legs[0], 3)
    assert (at.ends_of(target), at.ends_of(stop)) == (["Completed"], ["Canceled"])
