"""``ReportHandler`` applies order reports and fills from the exchange to orders and positions.

It returns each applied report, so that the engine decides the consequences for other orders.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import backtrader as bt

from ..contracts.offsets import Closing, Leg, plan_instead
from ..core.clock import SECOND, Instants, WallClock, instants, to_backtrader
from ..core.model import Fill, Offset, OrderReport
from ..errors import IllegalTransition
from ..orders.leg import OrderLeg, OrderState
from ..orders.ticket import ENDS, Ending, PositionEffect, Stage, Ticket
from .foreign_fills import ForeignFills
from .order_manager import OrderManager

logger = logging.getLogger(__name__)

#: An order without an answer for this long means that the trading link is dead, nanoseconds.
UNANSWERED = 5 * SECOND
#: After this long without an answer, an order is matched with a rejection sent as a notice.
NOTICED = SECOND
#: An order that a new session does not list after this long never arrived, nanoseconds.
UNKNOWN = 3 * SECOND
#: Texts of futures companies for insufficient funds.
NO_FUNDS = ("资金不足", "保证金不足")
#: End states of closing legs of which some were filled and others rejected or lost.
PASSED_BY = frozenset({OrderState.FILLED, OrderState.REJECTED, OrderState.LOST})
#: End states of a leg that the exchange ended without a request.
UNASKED = frozenset({OrderState.CANCELLED, OrderState.LOST, OrderState.FILLED})


@dataclass(frozen=True, slots=True)
class Applied:
    """A report that changed something.

    Attributes:
        report: The report; the commission of a fill is set.
        ticket: The order, None for a fill of another terminal.
        leg: Its leg.
        given_up: Whether the leg had counted as over before the report.
    """

    report: OrderReport | Fill
    ticket: Ticket | None = None
    leg: OrderLeg | None = None
    given_up: bool = False


class ReportHandler:
    """Applies reports to orders.

    Args:
        manager: Has the orders that were sent.

    Attributes:
        foreign: Orders of the account that this program has not sent, by id.
        missing: Orders that a new session has not listed yet, by id.
        others: Trades of other terminals.
    """

    def __init__(self, manager: OrderManager) -> None:
        self._manager, self._account = manager, manager.account
        self._context, self._trading, self._link = manager.context, manager.trading, manager.link
        self.foreign = manager.router.claims.foreign
        self.others = ForeignFills(self._context, self._account)
        self._early: dict[str, dict[str, Fill]] = defaultdict(dict)
        self._untold: list[Fill] = []
        self._asked_again: set[str] = set()
        self._session = 0
        self.missing: dict[str, Instants] = {}

    # -- reports ------------------------------------------------------------------------------

    def take(self, report: OrderReport | Fill) -> Applied | None:
        """Apply a report of one order; return None if it changes nothing for our orders.

        Raises:
            IllegalTransition: The report is impossible in the order's state.
        """
        found = self._manager.legs.get(report.order_id)
        if found is None:
            return self._take_foreign(report)
        ticket, leg = found
        given_up = leg.over
        if isinstance(report, Fill):
            report = self._account.priced(report)
            if not leg.take_fill(report):
                return None
            self._manager.write_ahead.fill(report, int(ticket.order.comminfo.p.mult))
            self.tell_fill(ticket, report)
        else:
            numbered = leg.exchange_order_id
            changed = leg.take_report(report)
            if leg.exchange_order_id and not numbered:
                ticket.attempts = 0  # a later rejection has another cause
            self._manager.write_ahead.report(report)
            if changed:
                logger.info("%s %s", leg, leg.last_msg)
        if _is_answered(leg):
            self._manager.unanswered.pop(leg.order_id, None)
        return Applied(report, ticket, leg, given_up)

    def read_again(self, report: OrderReport | Fill, error: IllegalTransition) -> None:
        """Request the order's report again, as an impossible one may have been misread."""
        logger.error("%s; reading the client's data again", error)
        if report.order_id not in self._asked_again:
            self._asked_again.add(report.order_id)
            self._trading.report_again(report.order_id)

    def settle_leg(self, done: Applied) -> None:
        """Continue or end an order after a report and its consequences for other orders."""
        ticket, leg = done.ticket, done.leg
        if ticket is None or leg is None:
            return
        if leg.over:
            self._manager.live[leg.symbol].pop(leg.order_id, None)
        elif done.given_up:
            self._manager.take_back(ticket, leg)
        elif ticket.over:
            self._manager.withdraw_rest(ticket)
        if isinstance(done.report, Fill) and leg not in ticket.out:
            self._manager.make_room(ticket)
        self.settle(ticket)

    def _take_foreign(self, report: OrderReport | Fill) -> Applied | None:
        """Apply a report of an order that this run has not sent."""
        leg = self.foreign.get(report.order_id)
        if isinstance(report, Fill):
            return self._take_foreign_fill(leg, report)
        if leg is not None:
            leg.take_report(report)
            return None
        leg = OrderLeg.met(report)
        self._manager.router.claims.meet(leg, self._manager.day_for(leg.symbol))
        for fill in self._early.pop(report.order_id, {}).values():
            leg.take_fill(fill)
        if self._manager.pre_trade.reconciled:
            text = f"an order that this program has not sent: {leg}"
            logger.warning("%s", text)
            self._context.notify(text, foreign_order=leg)
        return None

    def _take_foreign_fill(self, leg: OrderLeg | None, fill: Fill) -> Applied | None:
        early = self._early[fill.order_id] if leg is None else {}
        if fill.trade_id in early:
            return None
        if leg is None:
            early[fill.trade_id] = fill
            self._untold.append(fill)
        elif not leg.take_fill(fill):
            return None
        if self._manager.pre_trade.reconciled:
            self.others.take(fill)
            return Applied(fill)
        if math.isfinite(fill.commission):
            self._account.priced(fill)  # the lots are counted already; this learns the commission
        return None

    def tell_without_order(self) -> None:
        """Notify of trades that came without an order: it may follow, or there is none.

        A futures company's forced closes and exchanges for physicals have no order.
        """
        untold, self._untold = self._untold, []
        for fill in untold:
            if fill.order_id in self._early and self._manager.pre_trade.reconciled:
                text = (
                    f"a trade whose order this program has not sent and cannot see: "
                    f"{fill.direction} {fill.offset} {fill.volume} {fill.symbol} at {fill.price}"
                )
                logger.warning("%s", text)
                self._context.notify(text, foreign_fill=fill)

    def on_round(self) -> None:
        """Book foreign trades whose contract has become known; called every round."""
        self.others.on_round()

    def tell_fill(self, ticket: Ticket, fill: Fill) -> None:
        """Book a fill and notify the strategy."""
        order = ticket.order
        self._accept(order)
        status, info = order.status, order.comminfo
        done = self._account.take_fill(fill, int(info.p.mult))
        closed_fee = fill.commission * abs(done.closed) / fill.volume
        order.execute(
            to_backtrader(fill.time), fill.direction.sign * fill.volume, fill.price,
            done.closed, info.getvaluesize(-done.closed, done.price_before), closed_fee,
            done.opened, info.getvaluesize(done.opened, fill.price), fill.commission - closed_fee,
            info.margin, info.profitandloss(-done.closed, done.price_before, fill.price),
            done.size, done.price,
        )  # fmt: skip
        if status in ENDS:
            order.partial()  # the end was notified before and is not notified again
        self._manager.tell(order)
        if status in ENDS:
            order.status = status

    def _accept(self, order: Any) -> None:
        """Notify once that the exchange has accepted an order, before anything else about it."""
        if order.status == bt.Order.Submitted:
            order.accept(order.broker)
            self._manager.tell(order)

    # -- ends ---------------------------------------------------------------------------------

    def settle(self, ticket: Ticket) -> None:
        """Bring Backtrader's status in line with the legs, notifying each step once."""
        if any(leg.exchange_order_id for leg in ticket.legs):
            self._accept(ticket.order)
        if ticket.stage not in (Stage.WORKING, Stage.QUEUED) or ticket.live_legs:
            return
        if ticket.left <= 0:
            if ticket.order.status == bt.Order.Completed:
                self._manager.close(ticket)
            else:
                self._manager.finish(ticket, bt.Order.Completed)
        elif ticket.stage is Stage.QUEUED:
            return  # the order manager sends the rest
        elif ticket.ending is Ending.RESIZE:
            self._manager.resume(ticket)
        elif ticket.ending or not self._goes_on(ticket):
            self._end(ticket)

    def _goes_on(self, ticket: Ticket) -> bool:
        """Send the next part of an order whose legs are over; return whether there is one."""
        spares = self._instead(ticket)
        if spares:
            self._manager.send_instead(ticket, spares)
            return True
        if ticket.unsent and ticket.left == sum(leg.volume for leg in ticket.unsent):
            if self._manager.pre_trade.open(ticket.symbol):
                self._manager.send_next(ticket)
            else:
                self._manager.queue(ticket)
            return True
        if ticket.exits and self._rest_is_next(ticket):
            self._manager.release(ticket)
            return True
        if self._failed_protection(ticket) and self._manager.send_again(ticket):
            return True
        terms = ticket.sent_terms
        rests = not terms.advanced and not terms.is_market  # others end at once by their terms
        died = rests and all(leg.state in UNASKED for leg in ticket.out)
        if died and ticket.validity.over_days and self._manager.day_over(ticket):
            self._manager.queue(ticket, next_day=True)
            return True
        return False

    def _rest_is_next(self, ticket: Ticket) -> bool:
        """Return whether an exit's rest is due: more lots to close, or its opening part."""
        states = {leg.state for leg in ticket.out}
        if states == {OrderState.FILLED}:
            return True
        if not ticket.protects or ticket.closing > 0 or OrderState.FILLED not in states:
            return False
        opens = any(leg.offset is Offset.OPEN for leg in ticket.out)
        return not opens and states <= PASSED_BY  # other lots were closed instead

    def _failed_protection(self, ticket: Ticket) -> bool:
        """Return whether closing legs that protect lots were rejected or lost."""
        if not ticket.protects or ticket.closing <= 0:
            return False
        return any(
            leg.state in (OrderState.REJECTED, OrderState.LOST) and ticket.closes_by(leg.offset)
            for leg in ticket.out
        )

    def _instead(self, ticket: Ticket) -> list[Leg]:
        """Return closes of other lots in place of those that the exchange rejected."""
        refused = [
            leg
            for leg in ticket.out
            if leg.state is OrderState.REJECTED and leg.order_id not in ticket.spares
        ]
        if not refused or ticket.effect is PositionEffect.OPEN:
            return []
        instrument = self._context.instrument(ticket.symbol)
        market = ticket.sent_terms.is_market
        rules = self._manager.router.rules(ticket, instrument, market_order=market)
        apart = rules.closing is Closing.APART
        left = self._manager.router.closable(ticket, rules)
        spares: list[Leg] = []
        for leg in refused:
            ticket.spares.add(leg.order_id)  # replaced only once
            legs = plan_instead(Leg(leg.offset, leg.volume), ticket.unsent, left, rules)
            left = left.less(legs, closes_today_apart=apart)
            spares += legs
        return spares

    def _end(self, ticket: Ticket) -> None:
        failed = [leg for leg in ticket.out if leg.state is not OrderState.FILLED]
        words = [leg.last_msg for leg in failed]
        reason = ticket.withdrawn_for or "; ".join(dict.fromkeys(filter(None, words)))
        never = all(leg.state in (OrderState.REJECTED, OrderState.LOST) for leg in failed)
        timed = ticket.validity.until is not None and ticket.ending is not Ending.CANCEL
        if ticket.ending is Ending.EXPIRE or (timed and self._manager.day_over(ticket)):
            status = bt.Order.Expired
        elif never and not ticket.order.executed.size:
            poor = any(words in reason for words in NO_FUNDS)
            status = bt.Order.Margin if poor else bt.Order.Rejected
        else:
            status = bt.Order.Canceled
        self._manager.finish(ticket, status, reason)

    # -- sessions -----------------------------------------------------------------------------

    def follow_session(self, session: int, reconnector: Any) -> None:
        """Check orders that were sent and not answered.

        Within the session that sent them, a missing answer means that the trading link is dead.
        An order that a new session does not list after some seconds was lost with the old session,
        unless its trading day is over.
        """
        if session == self._session and not self._manager.unanswered and not self.missing:
            return
        if session != self._session:
            if self._session:
                for live in self._manager.live.values():
                    self.missing.update(dict.fromkeys(live, instants(self._context.clock)))
            self._session = session
        if not self._link.trading_up:
            return
        if self.missing:
            self._look_for_missing()
        now = WallClock().now_ns()
        for order_id, leg in list(self._manager.unanswered.items()):
            if _is_answered(leg) or order_id in self.missing:
                del self._manager.unanswered[order_id]
            elif leg.overdue(now, NOTICED) and (words := self._refusal_of(leg, reconnector)):
                del self._manager.unanswered[order_id]
                self._refused_by_notice(leg, words)
            elif leg.overdue(now, UNANSWERED):
                leg.time_out()
                reconnector.trading_silent()
                return

    def _refusal_of(self, leg: OrderLeg, reconnector: Any) -> str:
        """Return the text of a notice that rejects an unanswered order, "" if there is none."""
        return str(
            reconnector.refusals.take(leg.symbol, leg.direction, leg.volume, leg.sent_ns or 0)
        )

    def _refused_by_notice(self, leg: OrderLeg, words: str) -> None:
        """End a leg that the counter rejected by a notice, without an order report.

        The notice names no order. If it meant another one, a later report revives the leg.
        """
        ticket = self._manager.legs[leg.order_id][0]
        leg.time_out()
        leg.not_found()
        leg.last_msg = words
        logger.warning("%s %s", leg, words)
        self._manager.live[leg.symbol].pop(leg.order_id, None)
        self._manager.write_ahead.ended(leg)
        self.settle(ticket)

    def _look_for_missing(self) -> None:
        known, now = self._trading.known_orders(), instants(self._context.clock)
        for order_id, since in list(self.missing.items()):
            ticket, leg = self._manager.legs[order_id]
            if leg.over or order_id in known:
                del self.missing[order_id]
            elif self._manager.day_over(ticket):
                continue  # it may have been filled: the ``Reconciler`` decides
            elif now.since(since) > UNKNOWN:
                if leg.not_found():
                    self.missing[order_id] = now  # ask once more
                    continue
                del self.missing[order_id]
                if not leg.exchange_order_id:
                    leg.last_msg = "it never reached the exchange: the connection broke"
                logger.error("%s %s", leg, leg.last_msg)
                self._manager.live[leg.symbol].pop(order_id, None)
                self._manager.write_ahead.ended(leg)
                self.settle(ticket)


def _is_answered(leg: OrderLeg) -> bool:
    """Return whether exchange, counter or client has said anything about a sent order."""
    return leg.state is not OrderState.SUBMITTED or bool(leg.last_msg)
