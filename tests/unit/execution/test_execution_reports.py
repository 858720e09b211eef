"""What reports of the exchange, and missing ones, make of orders and of the account."""

from dataclasses import replace
from datetime import datetime, timedelta
from math import nan

import backtrader as bt
import pytest
from desk_on_stubs import RB, SYMBOL, StubbedDesk

from tianqin_backtrader.contracts.order_terms import OrderTerms
from tianqin_backtrader.contracts.time_in_force import GOOD_TILL_CANCELLED, TimeInForce
from tianqin_backtrader.core.clock import SECOND, Machine, live_on
from tianqin_backtrader.core.model import Direction, Fill, Notice, Offset, OrderReport
from tianqin_backtrader.execution.execution_reports import NOTICED, UNANSWERED, UNKNOWN
from tianqin_backtrader.gateway.refusal_notices import RefusalNotices
from tianqin_backtrader.orders.leg import OrderState
from tianqin_backtrader.orders.ticket import PositionEffect, Stage

BUY, SELL = Direction.BUY, Direction.SELL
CLOSED, OPENED = ("CLOSETODAY", 3), ("OPEN", 3)
POOR, BUSY = "CTP:资金不足", "CTP:交易所未处理请求超过许可数"


def entry(at, lots=3, **options):
    """A limit order that opens, at the exchange."""
    ticket = at.ticket(lots, 2990.0, kind=bt.BuyOrder, exectype=bt.Order.Limit, **options)
    return at.submit(ticket)


def four_way(at, effect, lots, *, kind=bt.SellOrder, price=2990.0, advanced=None, **options):
    """An order that says whether it opens or closes."""
    ticket = at.ticket(lots, price, kind=kind, exectype=bt.Order.Limit, effect=effect, **options)
    ticket.terms = OrderTerms(price, advanced)
    return at.submit(ticket)


def fill_of(leg, lots, *, price=3000.0, fee=1.0, number="t1"):
    return Fill(
        number, leg.order_id, leg.symbol, leg.direction, leg.offset, price, lots, 0, fee
    )  # fmt: skip


def told(at, ticket):
    return [(name, lots) for ref, name, lots in at.told if ref == ticket.order.ref]


@pytest.fixture
def at():
    return StubbedDesk(today=3)


# -- what a strategy is told, step by step ----------------------------------------------------


def test_each_step_is_told_once_whatever_is_reported_twice(at):
    ticket = entry(at)
    [leg] = ticket.legs
    for _ in range(2):
        at.alive(leg)
    for _ in range(2):
        at.engine.apply([fill_of(leg, 2)])
        at.alive(leg, 1)
    for _ in range(2):
        at.engine.apply([fill_of(leg, 1, number="t2"), at.report(leg, 0, "FINISHED")])
    assert told(at, ticket) == [("Submitted", 0), ("Accepted", 0), ("Partial", 2), ("Completed", 3)]
    assert at.account.position(SYMBOL).size == 6
    assert at.manager.live[SYMBOL] == {}


def test_an_order_is_told_as_accepted_before_a_fill_that_comes_first(at):
    ticket = entry(at)
    at.engine.apply([fill_of(ticket.legs[0], 3)])
    assert told(at, ticket) == [("Submitted", 0), ("Accepted", 0), ("Completed", 3)]


def test_the_clients_own_report_of_an_unsent_order_is_no_acceptance(at):
    ticket = entry(at)
    at.alive(ticket.legs[0], number="")
    assert told(at, ticket) == [("Submitted", 0)]


@pytest.mark.parametrize("lots", [1, 3])
def test_a_fill_after_the_end_counts_and_the_end_stays(at, lots):
    ticket = entry(at)
    [leg] = ticket.legs
    at.alive(leg)
    at.manager.cancel(ticket)
    at.end(leg)
    at.engine.apply([fill_of(leg, lots)])
    assert told(at, ticket)[1:] == [("Accepted", 0), ("Canceled", 0), ("Partial", lots)]
    assert ticket.order.getstatusname() == "Canceled"
    assert at.account.position(SYMBOL).size == 3 + lots


def test_an_order_that_is_finished_before_its_fills_have_come_is_not_over(at):
    ticket = entry(at)
    [leg] = ticket.legs
    at.engine.apply([at.report(leg, 1, "FINISHED")])
    assert at.ends_of(ticket) == []
    at.engine.apply([fill_of(leg, 2)])
    assert told(at, ticket)[2:] == [("Partial", 2), ("Canceled", 2)]


# -- money of a fill --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "lots", "closed", "profit", "closed_fee", "opened_fee", "size"),
    [
        (PositionEffect.CLOSE, 2, -2, 200.0, 6.0, 0.0, 1),
        (PositionEffect.CLOSE, 3, -3, 300.0, 6.0, 0.0, 0),
        (PositionEffect.OPEN, 2, -2, 200.0, 6.0, 0.0, 1),  # net it closes, as in Backtrader
        (PositionEffect.OPEN, 4, -3, 300.0, 4.5, 1.5, -1),
    ],
)
def test_profit_and_fee_of_a_fill_are_those_of_the_lots_that_it_closes(
    at, effect, lots, closed, profit, closed_fee, opened_fee, size
):
    ticket = four_way(at, effect, lots)
    at.engine.apply([fill_of(ticket.legs[0], lots, price=3010.0, fee=6.0)])
    [part] = ticket.order.executed.exbits
    assert (part.closed, part.opened) == (closed, -lots - closed)
    assert part.pnl == pytest.approx(profit)  # ten points, ten tons a lot
    assert (part.closedcomm, part.openedcomm) == pytest.approx((closed_fee, opened_fee))
    assert (part.psize, at.account.position(SYMBOL).size) == (size, size)


def test_the_fee_of_a_fill_that_names_none_is_estimated():
    at = StubbedDesk()
    ticket = entry(at)
    at.engine.apply([fill_of(ticket.legs[0], 3, fee=nan)])
    assert ticket.order.executed.comm == pytest.approx(3 * RB.commission)


# -- how an order ends ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "end"),
    [
        (POOR, "Margin"), ("综合交易平台：保证金不足", "Margin"), (BUSY, "Rejected"),
        ("", "Rejected"),
    ],
)  # fmt: skip
def test_a_refused_order_ends_by_the_words_of_its_refusal(at, message, end):
    ticket = entry(at)
    at.refuse(ticket.legs[0], message)
    assert at.ends_of(ticket) == [end]
    assert ticket.order.info.get("reason", "") == message


@pytest.mark.parametrize("message", [POOR, BUSY])
def test_a_refusal_after_a_fill_cancels_the_rest(message):
    at = StubbedDesk(today=2, earlier=1)
    ticket = four_way(at, PositionEffect.CLOSE, 3)
    today, earlier = ticket.legs
    at.fill(today, 2)
    at.refuse(earlier, message)
    assert at.ends_of(ticket) == ["Canceled"]
    assert (ticket.order.info.reason, at.account.position(SYMBOL).size) == (message, 1)


@pytest.mark.parametrize(
    ("messages", "reason"), [((BUSY, BUSY), BUSY), ((BUSY, POOR), f"{BUSY}; {POOR}")]
)
def test_each_message_about_its_legs_is_given_once(at, messages, reason):
    at.contracts.at_hand[SYMBOL] = replace(RB, max_limit_order_volume=2)
    ticket = entry(at)
    for leg, message in zip(ticket.legs, messages, strict=True):
        assert at.ends_of(ticket) == []
        at.refuse(leg, message)
    assert len(at.ends_of(ticket)) == 1
    assert ticket.order.info.reason == reason


def test_the_reason_of_the_library_goes_before_the_exchanges_message(at):
    ticket = entry(at)
    at.alive(ticket.legs[0])
    at.manager.cancel(ticket, reason="the loss limit")
    at.end(ticket.legs[0], message="已撤单")
    assert (at.ends_of(ticket), ticket.order.info.reason) == (["Canceled"], "the loss limit")


CLOSE_OF_DAY = datetime(2026, 1, 5, 15)
DAY = TimeInForce(CLOSE_OF_DAY)
TILL_FRIDAY = TimeInForce(CLOSE_OF_DAY + timedelta(days=4), over_days=True)


@pytest.mark.parametrize("filled", [0, 1])
@pytest.mark.parametrize(
    ("validity", "ended", "end"),
    [
        (TimeInForce(), "15:00:00", "Canceled"),  # a four-way order's day
        (DAY, "15:00:00", "Expired"), (DAY, "14:00:00", "Canceled"),
        (GOOD_TILL_CANCELLED, "14:00:00", "Canceled"), (TILL_FRIDAY, "14:00:00", "Canceled"),
        (GOOD_TILL_CANCELLED, "15:00:00", None), (TILL_FRIDAY, "15:00:00", None),
    ],
)  # fmt: skip
def test_an_order_that_the_exchange_ends_at_the_close_is_sent_again_if_it_is_valid_for_longer(
    at, filled, validity, ended, end
):
    ticket = entry(at, validity=validity)
    at.alive(ticket.legs[0])
    if filled:
        at.fill(ticket.legs[0], filled)
    at.go_to(ended)
    at.end(ticket.legs[0])
    at.pass_by(60)
    assert at.gateway.sent == [OPENED]
    at.pass_by(24 * 3600)
    assert at.ends_of(ticket) == ([end] if end else [])
    assert at.gateway.sent[1:] == ([] if end else [("OPEN", 3 - filled)])


def test_an_order_that_its_owner_withdraws_on_its_last_day_is_canceled(at):
    ticket = entry(at, validity=DAY)
    at.alive(ticket.legs[0])
    at.manager.cancel(ticket)
    at.go_to("15:00:00")
    at.end(ticket.legs[0])
    assert at.ends_of(ticket) == ["Canceled"]


def test_an_order_whose_time_passes_during_the_day_is_withdrawn_and_expires(at):
    ticket = entry(at, validity=TimeInForce(datetime(2026, 1, 5, 11)))
    at.alive(ticket.legs[0])
    at.go_to("11:00:01")
    assert (at.gateway.withdrawn, at.ends_of(ticket)) == ([ticket.legs[0].order_id], [])
    at.end(ticket.legs[0])
    assert at.ends_of(ticket) == ["Expired"]


@pytest.mark.parametrize("fail", [StubbedDesk.end, StubbedDesk.refuse])
@pytest.mark.parametrize("advanced", ["FAK", "FOK"])
def test_what_ends_at_once_by_its_terms_is_never_sent_again(at, advanced, fail):
    ticket = four_way(
        at, PositionEffect.OPEN, 3, kind=bt.BuyOrder, advanced=advanced,
        validity=GOOD_TILL_CANCELLED,
    )  # fmt: skip
    at.now += 5 * 3600 * SECOND  # the day is over
    fail(at, ticket.legs[0])
    at.pass_by(24 * 3600)
    assert (len(at.ends_of(ticket)), at.gateway.sent) == (1, [OPENED])


def test_an_order_that_is_refused_is_not_sent_again_on_the_next_day(at):
    ticket = entry(at, validity=GOOD_TILL_CANCELLED)
    at.go_to("15:00:00")
    at.refuse(ticket.legs[0])
    at.pass_by(24 * 3600)
    assert (at.ends_of(ticket), at.gateway.sent) == (["Rejected"], [OPENED])


# -- what follows when legs are over ----------------------------------------------------------


def test_what_opens_waits_for_the_next_session_if_the_market_closes_before(at):
    ticket = at.place(5)
    assert at.gateway.sent == [CLOSED]
    at.pre_trade.is_open = False
    at.fill(ticket.legs[0], 3)
    assert (ticket.stage, at.gateway.sent) == (Stage.QUEUED, [CLOSED])
    at.pre_trade.is_open = True
    at.turn()
    assert at.gateway.sent == [CLOSED, ("OPEN", 2)]


def test_what_opens_is_not_sent_unless_all_that_closes_is_filled():
    at = StubbedDesk(today=2, earlier=1)
    ticket = at.place(5)
    today, earlier = ticket.legs
    at.fill(today, 2)
    at.end(earlier)
    at.pass_by(10)
    assert at.gateway.sent == [("CLOSETODAY", 2), ("CLOSE", 1)]
    assert at.ends_of(ticket) == ["Canceled"]


@pytest.mark.parametrize(
    ("today", "earlier", "instead"),
    [
        (0, 3, [("CLOSE", 3)]),  # the account counts them as lots of earlier days
        (1, 2, [("CLOSETODAY", 1), ("CLOSE", 2)]),
        (0, 2, [("CLOSE", 2)]),
        (0, 0, []),
        (3, 0, []),  # the account shows them all: another cause
        (3, 3, [("CLOSE", 3)]),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_in_place_of_a_refused_close_other_lots_are_closed_once(at, today, earlier, instead, again):
    ticket = four_way(at, PositionEffect.CLOSE, 3)
    at.gateway.held |= {"pos_long_today": today, "pos_long_his": earlier}
    at.refuse(ticket.legs[0])
    assert at.gateway.sent == [CLOSED, *instead]
    if instead:
        assert at.ends_of(ticket) == []
        for leg in ticket.legs[1:]:
            if again:
                at.refuse(leg)
            else:
                at.fill(leg, leg.volume)
    if again or not instead:
        assert at.ends_of(ticket) == ["Rejected"]
    else:
        all_closed = sum(lots for _, lots in instead) == 3
        assert at.ends_of(ticket) == ["Completed" if all_closed else "Canceled"]
    assert at.gateway.sent == [CLOSED, *instead]


def test_in_place_of_a_refused_opening_nothing_is_sent():
    at = StubbedDesk()
    at.gateway.held["pos_long_his"] = 3
    ticket = four_way(at, PositionEffect.OPEN, 3)
    at.refuse(ticket.legs[0])
    assert (at.ends_of(ticket), at.gateway.sent) == (["Rejected"], [OPENED])


# -- reports that are impossible --------------------------------------------------------------


def test_an_impossible_report_changes_nothing_and_is_read_again_once(at):
    asked = []
    at.gateway.report_again = asked.append
    ticket = entry(at)
    [leg] = ticket.legs
    at.alive(leg)
    before = told(at, ticket)
    at.engine.apply([fill_of(leg, 4), fill_of(leg, 5)])
    assert (asked, told(at, ticket)) == ([leg.order_id], before)
    assert at.account.position(SYMBOL).size == 3
    at.fill(leg, 3)
    assert at.ends_of(ticket) == ["Completed"]


# -- orders without an answer -----------------------------------------------------------------


class HandMachine(Machine):
    """A machine whose clock stands."""

    def __init__(self):
        self.ns = 10**18

    def now_ns(self):
        return self.ns

    def passed_ns(self):
        return self.ns

    def monotonic(self):
        return self.ns / SECOND


class Linked(StubbedDesk):
    """A desk whose orders are looked after in each round, and the notices of its counter."""

    def __init__(self, **lots):
        super().__init__(**lots)
        self.machine = HandMachine()
        live_on(self.machine)
        self.refusals, self.session = RefusalNotices(), 1
        self.look()

    def trading_silent(self):
        self.silent += 1

    def look(self, nanoseconds=0):
        """A round of the engine, some time later."""
        self.machine.ns += nanoseconds
        self.report_handler.follow_session(self.session, self)
        self.engine.follow_up()

    def refuse_by_notice(self, words):
        self.refusals.hear(Notice(333, "WARNING", words), self.machine.ns)

    def renew(self, *known):
        """A new session, whose client knows these orders."""
        self.session += 1
        self.gateway.known = {leg.order_id for leg in known}
        self.look()


@pytest.fixture
def linked():
    yield Linked(today=3)
    live_on(None)


def test_an_order_without_an_answer_for_five_seconds_is_a_sign_of_a_dead_link(linked):
    ticket = entry(linked)
    [leg] = ticket.legs
    linked.look(UNANSWERED - 1)
    assert (linked.silent, leg.state) == (0, OrderState.SUBMITTED)
    linked.look(1)
    assert (linked.silent, leg.state) == (1, OrderState.UNKNOWN)
    linked.look(UNANSWERED)
    assert (linked.silent, linked.gateway.sent, linked.ends_of(ticket)) == (1, [OPENED], [])
    linked.fill(leg, 3)
    assert linked.ends_of(ticket) == ["Completed"]


def test_an_exit_without_an_answer_is_not_sent_a_second_time(linked):
    linked.submit(linked.fired_stop(3))
    linked.look(UNANSWERED)
    linked.pass_by(60)
    assert (linked.silent, linked.gateway.sent) == (1, [CLOSED])


@pytest.mark.parametrize("number", [None, ""])
def test_an_order_with_an_answer_is_not_waited_for(linked, number):
    ticket = entry(linked)
    report = linked.report(ticket.legs[0], 3, "ALIVE", number, "报单已提交")
    linked.engine.apply([report])
    assert linked.manager.unanswered == {}  # the next round has nothing to look after
    linked.look(UNANSWERED)
    assert linked.silent == 0


def test_while_the_link_is_known_to_be_down_no_answer_is_expected(linked):
    entry(linked)
    linked.link(False)
    linked.look(UNANSWERED)
    assert linked.silent == 0
    linked.link(True)
    linked.look()
    assert linked.silent == 1


# -- refusals by notice -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "end"), [("当前时间不支持下单!", "Rejected"), (f"下单失败,{POOR}", "Margin")]
)
def test_an_order_that_a_notice_refuses_ends_with_its_words(linked, words, end):
    ticket = entry(linked)
    linked.refuse_by_notice(words)
    linked.look(NOTICED - 1)
    assert linked.ends_of(ticket) == []  # its own report may follow
    linked.look(1)
    assert (linked.ends_of(ticket), ticket.order.info.reason) == ([end], words)
    assert (linked.manager.unanswered, linked.manager.live[SYMBOL]) == ({}, {})
    linked.look(UNANSWERED)
    assert linked.silent == 0


def test_a_notice_refuses_one_order_and_the_other_stays(linked):
    tickets = [entry(linked), entry(linked)]
    linked.refuse_by_notice("当前时间不支持下单!")
    linked.look(NOTICED)
    assert [linked.ends_of(one) for one in tickets] == [["Rejected"], []]


def test_a_notice_about_another_order_refuses_none_of_ours(linked):
    ticket = entry(linked)
    linked.refuse_by_notice(f"报单失败，不能下单，合约代码:{SYMBOL}，下单方向:卖，委托手数:3")
    linked.look(NOTICED)
    assert linked.ends_of(ticket) == []


def test_an_order_with_a_report_is_not_refused_by_a_notice(linked):
    ticket = entry(linked)
    linked.alive(ticket.legs[0])
    linked.refuse_by_notice("当前时间不支持下单!")
    linked.look(NOTICED)
    assert linked.ends_of(ticket) == []


def test_an_exit_that_a_notice_refuses_is_sent_again(linked):
    stop = linked.submit(linked.fired_stop(3))
    linked.refuse_by_notice("当前时间不支持下单!")
    linked.look(NOTICED)
    linked.pass_by(2)
    assert (linked.ends_of(stop), linked.gateway.sent) == ([], [CLOSED, CLOSED])


# -- orders that a new session does not list --------------------------------------------------


def unanswered(linked, ticket):
    """The link broke, and the order had no report before."""
    linked.look(UNANSWERED)
    return ticket


def reported(linked, ticket):
    """The exchange had the order before."""
    linked.alive(ticket.legs[0])
    return ticket


def test_an_order_that_never_had_a_report_is_lost_after_three_seconds(linked):
    ticket = unanswered(linked, entry(linked))
    linked.renew()
    linked.look(UNKNOWN)
    assert linked.ends_of(ticket) == []
    linked.look(1)
    assert linked.ends_of(ticket) == ["Rejected"]
    assert "it never reached the exchange" in ticket.order.info.reason
    assert (linked.manager.live[SYMBOL], linked.report_handler.missing) == ({}, {})
    linked.pass_by(60)
    assert linked.gateway.sent == [OPENED]


@pytest.mark.parametrize(("filled", "end"), [(0, "Rejected"), (1, "Canceled")])
def test_an_order_that_had_a_report_is_asked_about_once_more(linked, filled, end):
    ticket = reported(linked, entry(linked))
    if filled:
        linked.fill(ticket.legs[0], filled)
    linked.renew()
    linked.look(UNKNOWN + 1)
    assert linked.ends_of(ticket) == []
    linked.look(UNKNOWN)
    assert linked.ends_of(ticket) == []
    linked.look(1)
    assert linked.ends_of(ticket) == [end]
    assert "does not know it" in ticket.order.info.reason


@pytest.mark.parametrize("before", [unanswered, reported])
def test_an_order_that_the_new_session_lists_goes_on(linked, before):
    ticket = before(linked, entry(linked))
    linked.renew()
    linked.look(UNKNOWN)
    linked.gateway.known = {ticket.legs[0].order_id}  # its client lists it at the last moment
    linked.look(1)
    linked.look(10 * UNKNOWN)
    assert (linked.ends_of(ticket), linked.report_handler.missing) == ([], {})
    linked.fill(ticket.legs[0], 3)
    assert linked.ends_of(ticket) == ["Completed"]


def test_an_exit_that_is_lost_with_its_session_is_sent_again(linked):
    stop = unanswered(linked, linked.submit(linked.fired_stop(3)))
    linked.renew()
    linked.look(UNKNOWN + 1)
    linked.pass_by(2)
    assert (linked.ends_of(stop), linked.gateway.sent) == ([], [CLOSED, CLOSED])


def test_a_new_session_is_not_judged_by_orders_of_the_old_one(linked):
    entry(linked)
    linked.look(UNANSWERED - 1)
    linked.renew()
    linked.look(1)
    linked.look(UNANSWERED)
    assert linked.silent == 0


def test_another_new_session_has_its_own_three_seconds(linked):
    ticket = unanswered(linked, entry(linked))
    linked.renew()
    linked.look(UNKNOWN - 1)
    linked.renew()
    linked.look(2)
    assert linked.ends_of(ticket) == []
    linked.look(UNKNOWN)
    assert linked.ends_of(ticket) == ["Rejected"]


def test_while_the_link_is_down_no_order_is_lost(linked):
    ticket = unanswered(linked, entry(linked))
    linked.link(False)
    linked.renew()
    linked.look(10 * UNKNOWN)
    assert linked.ends_of(ticket) == []


def test_after_the_close_a_missing_order_may_have_been_filled(linked):
    ticket = unanswered(linked, entry(linked))
    linked.now += 5 * 3600 * SECOND
    linked.renew()
    linked.look(10 * UNKNOWN)
    assert linked.ends_of(ticket) == []
    assert ticket.legs[0].order_id in linked.report_handler.missing


def test_in_the_first_session_of_a_program_no_order_is_missing():
    at = StubbedDesk()
    ticket = entry(at)
    at.report_handler.follow_session(1, at)
    assert at.report_handler.missing == {} and at.ends_of(ticket) == []


# -- orders and trades of others --------------------------------------------------------------

THEIRS = "SERVER.1.1.1"


def their_order(left=2, status="ALIVE"):
    return OrderReport(
        THEIRS, SYMBOL, SELL, Offset.CLOSETODAY, 2, left, 3100.0, status, "x77", ""
    )  # fmt: skip


def their_fill(number="t9", lots=2, fee=3.0, symbol=SYMBOL):
    return Fill(number, THEIRS, symbol, SELL, Offset.CLOSETODAY, 3010.0, lots, 0, fee)


def foreign(at, kind):
    return [facts[kind] for _, facts in at.notes if kind in facts]


def test_an_order_of_another_terminal_is_told_once(at):
    for _ in range(2):
        at.engine.apply([their_order()])
    assert [leg.order_id for leg in foreign(at, "foreign_order")] == [THEIRS]
    assert list(at.report_handler.foreign) == [THEIRS]


ARRIVALS = {
    "order first": [their_order(), their_fill(), their_order(0, "FINISHED")],
    "fill first": [their_fill(), their_order(0, "FINISHED")],
    "fill first, order alive": [their_fill(), their_order(), their_order(0, "FINISHED")],
}


@pytest.mark.parametrize("repeated", [1, 2])
@pytest.mark.parametrize("reports", ARRIVALS.values(), ids=ARRIVALS)
def test_a_trade_of_another_terminal_counts_once_however_it_arrives(at, reports, repeated):
    for _ in range(repeated):
        at.engine.apply(reports)
    assert at.account.booked(SYMBOL, SELL) == 1
    assert at.account.position(SYMBOL).size == 1
    assert at.account.balance().profit == pytest.approx(200.0)  # two lots, ten points
    assert at.report_handler.foreign[THEIRS].state is OrderState.FILLED
    assert foreign(at, "foreign_fill") == []


def test_a_trade_without_an_order_is_told_once(at):
    for _ in range(2):
        at.engine.apply([their_fill(lots=1)])
    assert foreign(at, "foreign_fill") == [their_fill(lots=1)]
    at.engine.apply([their_fill("t10", 1)])
    assert len(foreign(at, "foreign_fill")) == 2
    assert at.account.booked(SYMBOL, SELL) == 1


def test_before_the_account_is_taken_over_trades_of_others_are_in_it_already(at):
    at.pre_trade.reconciled = False
    at.engine.apply([their_fill(), their_order(0, "FINISHED")])
    assert at.account.booked(SYMBOL, SELL) == 3
    assert at.notes == []
    at.pre_trade.reconciled = True
    at.engine.apply([their_fill(), their_order(0, "FINISHED")])
    assert (at.account.booked(SYMBOL, SELL), at.notes) == (3, [])


def test_lots_of_an_unknown_contract_count_at_once_and_its_money_when_it_is_known(at):
    at.contracts.known = lambda symbol: None
    at.engine.apply([their_order(), their_fill(fee=nan)])
    at.report_handler.on_round()
    assert (at.account.booked(SYMBOL, SELL), at.account.books.fees) == (1, 0.0)
    at.contracts.known = lambda symbol: RB
    for _ in range(2):
        at.report_handler.on_round()
    assert at.account.books.fees == pytest.approx(2 * RB.commission)
