"""``OrderManager`` accepts and queues orders, and sends and cancels their legs."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from heapq import heappop, heappush
from itertools import count
from typing import Any

import backtrader as bt

from ..account.ledger import PositionLedger
from ..contracts.offsets import Leg
from ..contracts.time_in_force import day_is_over, last_close
from ..core.clock import SECOND, WallClock, monotonic, to_backtrader
from ..core.context import Context
from ..core.model import Offset
from ..core.ports import LinkPort, TradingPort
from ..errors import (
    CalendarError,
    LinkLost,
    LotsGone,
    NotKnownYet,
    PriceOutOfRange,
    RiskRefused,
    TianqinError,
)
from ..orders.exits import Timing
from ..orders.leg import LiveLegs, OrderLeg, OrderState
from ..orders.ticket import Ending, PositionEffect, Stage, Ticket
from .order_router import Guard, OrderRouter, RoutedOrder
from .pre_trade import PreTradeChecks
from .write_ahead import WriteAheadLog

logger = logging.getLogger(__name__)

#: Seconds after which a cancel without effect is repeated.
CANCEL_AGAIN = 5.0
#: Market time between two attempts to send an exit that protects lots, and how many there are.
AGAIN_AFTER, ATTEMPTS = 2 * SECOND, 30
#: Market time after which a triggered exit that still waits for its price limit is reported.
WITHOUT_LIMIT = 5 * SECOND


class OrderManager:
    """Accepts orders, and sends and cancels their legs.

    Args:
        context: Contracts, time and notifications.
        trading: Sends exchange orders and cancels.
        link: The connection to the exchange.
        account: Has the positions.
        pre_trade: Decides whether an order is possible now.
        router: Decides prices and legs.
        guard: The risk rules; also counts cancels and orders that are not checked.
        write_ahead: Records what happens before it has effects.
        untold: Clones of orders for ``notify_order``; filled here.
        live: Legs that are not over; kept here.

    Attributes:
        legs: Every leg sent, with its order, by id.
        ended: ``followed`` orders that are over, until the consequences are handled.
        unsettled: Orders with a leg that could not be sent, until they are settled.
        unanswered: Legs without any answer yet.
        queued: Orders that wait to be sent, by number.
        withdrawn: Orders with an unconfirmed cancel, by number.
        expiries: Ends of validity, the next one first.
        heard_at: When the trading connection last answered, as ``monotonic`` counts.
    """

    def __init__(
        self,
        context: Context,
        trading: TradingPort,
        link: LinkPort,
        account: PositionLedger,
        pre_trade: PreTradeChecks,
        router: OrderRouter,
        guard: Guard,
        write_ahead: WriteAheadLog,
        untold: deque[Any],
        live: LiveLegs,
    ) -> None:
        self.context, self.trading, self.link = context, trading, link
        self.account, self.pre_trade = account, pre_trade
        self.write_ahead, self._untold = write_ahead, untold
        self.router, self._guard = router, guard
        self.legs: dict[str, tuple[Ticket, OrderLeg]] = {}
        self.tickets: dict[int, Ticket] = {}
        self.ended: deque[Ticket] = deque()
        self.unsettled: deque[Ticket] = deque()
        self.live = live
        self.unanswered: dict[str, OrderLeg] = {}
        self.heard_at = monotonic()
        self.queued: dict[int, Ticket] = {}
        self.withdrawn: dict[int, Ticket] = {}
        self.expiries: list[tuple[datetime, int, Ticket]] = []
        self._serial = count()

    # -- in -----------------------------------------------------------------------------------

    def admit(self, ticket: Ticket, *, waits: bool = False) -> None:
        """Check an order that is to wait, as far as possible now.

        Args:
            ticket: The order.
            waits: Whether it waits on our side for a price, a time, or its parent.

        Raises:
            TianqinError: It can never be sent.
        """
        waits = waits or self._waits_for_link(ticket)
        data = ticket.order.data
        self.pre_trade.admit(data._dataname, bars=len(data), waits=waits)
        self._must_be_free(ticket)
        self._look_at_rest(ticket)

    def settle_effect(self, ticket: Ticket, timing: Timing, close_only: bool | None) -> None:
        """Decide how much of one of Backtrader's new orders must close.

        Raises:
            TianqinError: The priority is impossible at this counter and exchange.
        """
        self.router.settle_effect(ticket, timing, self.queued.values(), close_only)

    def settle_again(self, ticket: Ticket) -> None:
        """Decide again for a stop that had nothing to close when it was placed.

        Its entry may be a limit order that was filled since.
        """
        undecided = ticket.may_open is None and ticket.close_only is None
        if undecided and ticket.effect is PositionEffect.NET:
            self.settle_effect(ticket, Timing.LATER, None)
            self.write_ahead.touch(ticket)

    def on_their_way(self) -> set[Ticket]:
        """Return orders at the exchange, and those that are sent when it accepts them."""
        sent = {self.legs[order_id][0] for live in self.live.values() for order_id in live}
        going_on = (Ending.NONE, Ending.RESIZE)
        return {
            one for one in sent | {*self.queued.values()} if not one.over and one.ending in going_on
        }

    def submit(self, ticket: Ticket, *, early: bool = False) -> bool:
        """Accept an order to be sent now or at the open; return False if it was refused.

        ``early`` orders and those of a flatten need no bar of their feed.
        """
        try:
            if ticket.guarded:  # a flatten needs no bar, and ignores rolls
                waits = self._waits_for_link(ticket)
                data = ticket.order.data
                self.pre_trade.admit(data._dataname, bars=len(data), early=early, waits=waits)
                self._must_be_free(ticket)
            held = self.pre_trade.holds(ticket.symbol) or not self.link.trading_up
            plan = None if held else self._plan(ticket)
            if plan is None:
                self._look_at_rest(ticket)
        except TianqinError as error:
            self.refuse(ticket, str(error))
            return False
        self.enter(ticket)
        if plan is None:
            self.queue(ticket)
        else:
            self._carry_out(ticket, plan)
        return True

    def _look_at_rest(self, ticket: Ticket) -> None:
        """Refuse an order that is to wait but could never be sent.

        Raises:
            TianqinError: It could never be sent.
        """
        self.router.terms(ticket, check_limits=False)
        self._guard.admit(ticket.volume)

    def _waits_for_link(self, ticket: Ticket) -> bool:
        """Return whether an order placed while the link is down waits for the link.

        Exits wait, unless they would also open, or are FAK, FOK or a target's. After a refused
        login they do not wait, as trading may stay down: they are rejected with the reason.
        """
        if self.link.trading_up or not ticket.exits or ticket.opening:
            return False
        at_once = ticket.for_target or ticket.terms.advanced in ("FAK", "FOK")
        return not at_once and not self.link.trading_rests

    def _must_be_free(self, ticket: Ticket) -> None:
        """Refuse an order on a contract that is being rolled, unless it only closes."""
        if ticket.effect is not PositionEffect.CLOSE and self.pre_trade.reserved:
            self.pre_trade.must_be_free(ticket.symbol)

    def enter(self, ticket: Ticket) -> None:
        """Register an order and notify it as Submitted."""
        order = ticket.order
        order.addcomminfo(self.account.comminfo(ticket.symbol))
        self.tickets[order.ref] = ticket
        self.router.coming.note(ticket)
        if ticket.validity.until is not None:
            heappush(self.expiries, (ticket.validity.until, next(self._serial), ticket))
        order.submit(order.broker)
        self.tell(order)

    def tell(self, order: Any) -> None:
        """Queue a clone of an order for its strategy."""
        self._untold.append(order.clone())

    def refuse(self, ticket: Ticket, reason: str) -> None:
        """Reject an order; nothing of it was sent."""
        self.tickets[ticket.order.ref] = ticket
        self.finish(ticket, bt.Order.Rejected, reason)

    def release(self, ticket: Ticket) -> None:
        """Send an order that has waited, or queue it if the market takes none now."""
        if ticket.over:
            return
        if self._must_wait(ticket) or not self.pre_trade.open(ticket.symbol):
            self.queue(ticket)
            return
        try:
            plan = self._plan(ticket)
        except LotsGone as error:
            self.end_without_lots(ticket, str(error))
        except TianqinError as error:
            if isinstance(error, PriceOutOfRange) and ticket.has_been_taken:
                self._wait_for_limits(ticket, error)
            elif _only_too_fast(error) and (ticket.has_been_taken or ticket.exits):
                self.queue(ticket)
            else:
                status = bt.Order.Canceled if ticket.filled else bt.Order.Rejected
                self.finish(ticket, status, str(error))
        else:
            if plan is None:
                self.queue(ticket)
            else:
                self._carry_out(ticket, plan)

    def _plan(self, ticket: Ticket) -> RoutedOrder | None:
        """Return what is sent for an order now; None while its price is not known yet.

        Raises:
            TianqinError: It cannot be sent.
        """
        try:
            return self.router.plan(ticket)
        except NotKnownYet as error:
            logger.info("order %d waits: %s", ticket.order.ref, error)
            self._tell_without_limit(ticket, str(error))
            return None

    def _must_wait(self, ticket: Ticket) -> bool:
        """Return whether an order must still wait.

        Its own legs must end first, other orders go before it, or it was just rejected.
        """
        if ticket.live_legs or self._is_behind(ticket):
            return True
        held = self.account.booked(ticket.symbol, ticket.direction)
        if not held and self._may_be_rolled(ticket):
            return True
        return bool(ticket.not_before) and self.context.now_ns() < ticket.not_before

    def _is_behind(self, ticket: Ticket) -> bool:
        """Return whether other orders go first."""
        return ticket.held_back or any(not other.over for other in ticket.after)

    def _carry_out(self, ticket: Ticket, plan: RoutedOrder) -> None:
        """Send what can be sent; for the rest, suspend other orders or wait."""
        for number in plan.stand_back:
            self.stand_back(self.tickets[number], ticket)
        if plan.foreign > ticket.behind_others and ticket.hurries and not ticket.for_target:
            self._tell_behind_others(ticket, plan.foreign)
        ticket.behind_others = plan.foreign
        if plan.legs:
            self.queued.pop(ticket.order.ref, None)
            self._send_plan(ticket, plan)
        else:
            if ticket.stage is not Stage.QUEUED:
                logger.info("order %d waits for the lots that it is to close", ticket.order.ref)
            self.queue(ticket)

    def _tell_behind_others(self, ticket: Ticket, lots: int) -> None:
        """Report an urgent exit that waits for another terminal's order, maybe for ever."""
        order = ticket.order
        text = (
            f"{ticket.symbol}: {lots} lots that order {order.ref} ({order.getordername()}) is to "
            f"close now are in an order that this program has not sent: it waits for its end"
        )
        logger.error("%s", text)
        if order.triggered:
            self.context.exposed(ticket.symbol, lots, text)
        self.context.notify(text, order=order, lots=lots)

    def _tell_without_limit(self, ticket: Ticket, reason: str) -> None:
        """Report once that a triggered exit has been without a price for some seconds."""
        now = self.context.now_ns()
        if not ticket.protects or now < (ticket.told_without_limit or 0):
            return
        if ticket.told_without_limit is None:
            ticket.told_without_limit = now + WITHOUT_LIMIT
            return
        ticket.told_without_limit = math.inf
        order, lots = ticket.order, ticket.closing
        text = (
            f"{ticket.symbol}: {lots} lots that order {order.ref} ({order.getordername()}) is to "
            f"close now are still held: it waits for its price ({reason})"
        )
        logger.error("%s", text)
        self.context.exposed(ticket.symbol, lots, text)
        self.context.notify(text, order=order, lots=lots)

    def stand_back(self, ticket: Ticket, other: Ticket) -> None:
        """Suspend an order that closes until another one that needs its lots is over.

        Its strategy is not notified: it is sent again if lots are left for it.
        """
        logger.info("order %d is suspended for order %d", ticket.order.ref, other.order.ref)
        ticket.after.append(other)
        self.cancel(ticket, Ending.RESIZE)

    def end_without_lots(self, ticket: Ticket, reason: str = "") -> None:
        """End an exit whose lots are gone, so that it does not open others.

        An exit that a roll moves waits instead: its lots may be between the two contracts. If only
        the account does not show the lots that our fills have, the end counts as unrequested: the
        lots may be held without protection.
        """
        if ticket.over:
            return
        if self._may_be_rolled(ticket):
            if ticket.stage is not Stage.WATCHED and ticket.order.ref not in self.queued:
                self.queue(ticket)
            return
        reason = reason or f"the lots of {ticket.symbol} that it was to close are gone"
        text = f"order {ticket.order.ref} ends: {reason}"
        logger.warning("%s", text)
        self.context.notify(text, order=ticket.order)
        if not self.account.booked(ticket.symbol, ticket.direction):
            ticket.ending = Ending.CANCEL  # not an unrequested end
        self.finish(ticket, bt.Order.Canceled, reason)

    def _may_be_rolled(self, ticket: Ticket) -> bool:
        """Return whether a roll of its contract moves an exit: any stop, or a resting limit."""
        waits = ticket.condition is not None or bool(ticket.order.triggered) or ticket.rests
        return ticket.symbol in self.pre_trade.reserved and ticket.exits and waits

    def _wait_for_limits(self, ticket: Ticket, error: PriceOutOfRange) -> None:
        """Queue an order beyond the day's price limits for another day."""
        text = f"order {ticket.order.ref} waits for another day: {error}"
        logger.info("%s", text)
        self.context.notify(text, order=ticket.order)
        ticket.sent_day = self.context.trading_day()
        self.queue(ticket, next_day=True)

    def queue(self, ticket: Ticket, *, next_day: bool = False) -> None:
        """Keep an order until it can be sent, or until another trading day."""
        ticket.stage, ticket.next_day = Stage.QUEUED, next_day
        ticket.unsent.clear()
        self.queued[ticket.order.ref] = ticket
        self.write_ahead.touch(ticket)

    def adopt(self, ticket: Ticket) -> None:
        """Take over an order of an earlier run in its present state."""
        ref = ticket.order.ref
        self.tickets[ref] = ticket
        for leg in ticket.legs:
            self.legs[leg.order_id] = (ticket, leg)
            live = self.live.setdefault(leg.symbol, {})
            if not leg.over:
                live[leg.order_id] = leg
                self.router.claims.note(ticket, leg)
        if ticket.over:
            return
        self.router.coming.note(ticket)
        if ticket.validity.until is not None:
            heappush(self.expiries, (ticket.validity.until, next(self._serial), ticket))
        if ticket.stage is Stage.QUEUED:
            self.queued[ref] = ticket
        elif ticket.ending:
            self.withdrawn[ref] = ticket

    def day_over(self, ticket: Ticket) -> bool:
        """Return whether the trading day on which an order was last sent is over."""
        day, context = ticket.sent_day, self.context
        return day is not None and day_is_over(ticket.symbol, day, context.now(), context.calendar)

    def day_for(self, symbol: str) -> date:
        """Return the trading day for which an order sent now is valid."""
        context, calendar = self.context, self.context.calendar
        day: date = context.trading_day()
        if not day_is_over(symbol, day, context.now(), calendar):
            return day
        try:
            day = calendar.next_trading_day(day)
        except CalendarError:
            logger.debug("the trading day after %s is not known", day)
        return day

    # -- out ----------------------------------------------------------------------------------

    def _send_plan(self, ticket: Ticket, plan: RoutedOrder) -> None:
        if plan.lots < ticket.left and not plan.waits:
            words = f"{ticket.left} lots were ordered, {plan.lots} can be traded"
            ticket.order.addinfo(reason=f"{words}: {plan.left_out}" if plan.left_out else words)
            if plan.left_out:
                self._tell_left_out(ticket, plan.left_out)
            ticket.resize(ticket.filled + plan.lots)
            if ticket.may_open:
                opens = sum(leg.volume for leg in plan.legs if leg.offset is Offset.OPEN)
                ticket.may_open -= max(0, ticket.opening - opens)
        ticket.stage, ticket.sent_terms = Stage.WORKING, plan.terms
        ticket.wave, ticket.unsent = len(ticket.legs), list(plan.legs)
        ticket.sent_day = self.context.trading_day()
        self.send_next(ticket)

    def _tell_left_out(self, ticket: Ticket, words: str) -> None:
        text = f"order {ticket.order.ref}: {words}"
        logger.warning("%s", text)
        self.context.notify(text, order=ticket.order)

    def send_next(self, ticket: Ticket) -> None:
        """Send the next legs; opening legs wait until all closing legs are filled."""
        opens = bool(ticket.unsent) and ticket.unsent[0].offset is Offset.OPEN
        while ticket.unsent and (ticket.unsent[0].offset is Offset.OPEN) == opens:
            self._send(ticket, ticket.unsent.pop(0))

    def send_instead(self, ticket: Ticket, legs: Iterable[Leg]) -> None:
        """Send legs in place of rejected ones."""
        for leg in legs:
            self._guard.passed_by(ticket.symbol, 1)
            sent = self._send(ticket, leg)
            ticket.spares.add(sent.order_id)

    def _send(self, ticket: Ticket, leg: Leg) -> OrderLeg:
        order_id, terms = ticket.new_order_id(), ticket.sent_terms
        sent = OrderLeg(
            order_id, ticket.symbol, ticket.direction, leg.offset, leg.volume,
            terms.limit_price, WallClock().now_ns(),
        )  # fmt: skip
        ticket.legs.append(sent)
        self.legs[order_id] = (ticket, sent)
        self.live.setdefault(ticket.symbol, {})[order_id] = self.unanswered[order_id] = sent
        self.router.claims.note(ticket, sent)
        price = terms.limit_price
        self.account.bind(sent, price if isinstance(price, int | float) else math.nan)
        try:
            self.write_ahead.intent(ticket, sent, terms)
            self.trading.insert_order(
                order_id, ticket.symbol, ticket.direction, leg.offset, leg.volume,
                terms.limit_price, terms.advanced,
            )  # fmt: skip
        except TianqinError as error:
            sent.reject(str(error))
            self.write_ahead.ended(sent)
            ticket.spares.add(order_id)  # the client would refuse other lots, too
            self.live[ticket.symbol].pop(order_id, None)
            self.unsettled.append(ticket)
        logger.info("%s sent at %s", sent, terms.limit_price)
        return sent

    def send_again(self, ticket: Ticket) -> bool:
        """Send a rejected or lost exit again; return False after too many attempts.

        The exit protects lots, and a front that is "busy" may accept it a moment later.
        """
        if ticket.attempts >= ATTEMPTS:
            return False
        ticket.attempts += 1
        ticket.not_before = self.context.now_ns() + AGAIN_AFTER
        words = "; ".join(dict.fromkeys(leg.last_msg for leg in ticket.out if leg.last_msg))
        text = (
            f"order {ticket.order.ref} on {ticket.symbol} closes {ticket.closing} lots and was not "
            f"accepted ({words}): it is sent again, attempt {ticket.attempts} of {ATTEMPTS}"
        )
        logger.error("%s", text)
        self.context.notify(text, order=ticket.order)
        self.queue(ticket)
        return True

    # -- cancels ------------------------------------------------------------------------------

    def cancel(self, ticket: Ticket, ending: Ending = Ending.CANCEL, reason: str = "") -> None:
        """Cancel an order; legs at the exchange end when the exchange says so.

        Args:
            ticket: The order.
            ending: How the order ends, or RESIZE to send it again.
            reason: Shown as ``order.info.reason`` at its end.
        """
        ticket.withdrawn_for = reason or ticket.withdrawn_for
        if ticket.over:
            name = ticket.order.getstatusname()
            text = f"order {ticket.order.ref} is over ({name}): there is nothing to cancel"
            logger.info("%s", text)
            self.context.notify(text, order=ticket.order)
            return
        if ticket.stage is not Stage.WORKING:
            expires, ticket.ending = ending is Ending.EXPIRE, ending
            status = bt.Order.Expired if expires else bt.Order.Canceled
            self.finish(ticket, status, ticket.withdrawn_for)
            return
        if ticket.ending in (Ending.NONE, Ending.RESIZE):
            ticket.ending = ending
        ticket.unsent.clear()
        self._withdraw(ticket)

    def change_volume(self, ticket: Ticket, volume: int) -> None:
        """Change the lots of an order; one at the exchange is cancelled and sent again.

        It stays there if its live legs already have the right number of lots.
        """
        if ticket.over or volume == ticket.volume:
            return
        ticket.resize(volume)
        self.write_ahead.touch(ticket)
        out = sum(leg.open_lots for leg in ticket.live_legs)
        out += sum(leg.volume for leg in ticket.unsent)
        if out != ticket.left and ticket.stage is Stage.WORKING and ticket.ending is Ending.NONE:
            self.cancel(ticket, Ending.RESIZE)

    def is_leaving(self, ref: int) -> bool:
        """Return whether a cancel of an order was requested and is not confirmed yet."""
        ticket = self.withdrawn.get(ref)
        return ticket is not None and ticket.ending is Ending.CANCEL

    def _withdraw(self, ticket: Ticket) -> None:
        ticket.cancel_asked = monotonic()
        self.withdrawn[ticket.order.ref] = ticket
        self.write_ahead.touch(ticket)
        self.write_ahead.flush()
        if not self.link.trading_up:
            return  # repeated when the link is back
        ticket.cancel_session = self.link.sessions
        for leg in ticket.leaving:
            if leg.state is not OrderState.FINISHING:  # else it has ended and awaits its fills
                self.cancel_leg(leg)

    def take_back(self, ticket: Ticket, leg: OrderLeg) -> None:
        """Take back a leg that was given up but is alive, so that its lots are traded once.

        If nothing was sent in its place, nothing is sent; else the leg is cancelled.
        """
        self.live[leg.symbol][leg.order_id] = leg
        self.router.claims.note(ticket, leg)
        text = f"order {ticket.order.ref}: {leg} is not over after all"
        logger.warning("%s", text)
        self.context.notify(text, order=ticket.order)
        works = leg.state is not OrderState.FINISHING
        if ticket.stage is not Stage.QUEUED:
            if works and leg in ticket.leaving:
                self._withdraw(ticket)
            return
        self.queued.pop(ticket.order.ref, None)
        ticket.stage, ticket.next_day = Stage.WORKING, False
        self.write_ahead.touch(ticket)
        if not works or leg not in ticket.out or ticket.excess or self._is_behind(ticket):
            self.cancel(ticket, Ending.RESIZE)  # sent again after the cancel

    def withdraw_rest(self, ticket: Ticket) -> None:
        """Cancel live legs of an order whose end was notified, maybe by an earlier run."""
        works = [leg for leg in ticket.live_legs if leg.state is not OrderState.FINISHING]
        if works and ticket.order.ref not in self.withdrawn:
            logger.error("%s is alive, but its order was notified as over: cancelled", works[0])
            self._withdraw(ticket)

    def resume(self, ticket: Ticket) -> None:
        """Send an order again, with its present lots, after it was cancelled for a while."""
        ticket.ending, ticket.doubted = Ending.NONE, False
        self.release(ticket)

    def make_room(self, ticket: Ticket) -> None:
        """Reduce an order if a leg that was given up has traded after being replaced."""
        if ticket.stage is Stage.WORKING and ticket.excess:
            self.cancel(ticket, Ending.RESIZE)

    def _doubt_link(self, ticket: Ticket) -> None:
        """Report a dead trading link after a cancel without any answer; once per order."""
        silent = self.heard_at < ticket.cancel_asked and self.pre_trade.open(ticket.symbol)
        if silent and not ticket.doubted:
            ticket.doubted = True
            self.link.trading_silent()

    def _may_cancel_again(self, ticket: Ticket) -> bool:
        """Return whether a cancel without effect may be repeated now.

        An exchange that is closed refuses it: it is asked once there in each session.
        """
        told = ticket.cancel_session == self.link.sessions
        return self.pre_trade.open(ticket.symbol) or not told

    def cancel_leg(self, leg: OrderLeg) -> None:
        """Request the cancel of one leg; the risk rules count the first request alone."""
        if not leg.withdrawn:
            leg.withdrawn = True
            self._guard.cancelled(leg.symbol)
        try:
            self.trading.cancel_order(leg.order_id)
        except LinkLost:
            logger.warning("%s cannot be cancelled while there is no session", leg)

    # -- end ----------------------------------------------------------------------------------

    def finish(self, ticket: Ticket, status: int, reason: str = "") -> None:
        """End an order and notify this, once."""
        if ticket.over:
            return
        order = ticket.order
        if reason:
            order.addinfo(reason=reason)
        order.status = status
        # The feed has no time between two bars.
        order.executed.dt = to_backtrader(self.context.now_ns())
        logger.info("order %d is %s: %s", order.ref, order.getstatusname(), reason)
        if not ticket.legs:
            self.write_ahead.refused(ticket, reason or order.getstatusname())
        self.tell(order)
        self._tell_missed_close(ticket)
        self.close(ticket)

    def close(self, ticket: Ticket) -> None:
        """Remove an order that is over and whose end was notified."""
        ticket.stage = Stage.OVER
        ticket.unsent.clear()
        self.write_ahead.touch(ticket)
        self.queued.pop(ticket.order.ref, None)
        self.withdrawn.pop(ticket.order.ref, None)
        if ticket.followed:
            self.ended.append(ticket)

    # -- every round --------------------------------------------------------------------------

    def on_round(self) -> Iterator[Ticket]:
        """Handle ends of validity, opened markets and unanswered cancels.

        Yields:
            Each order that may be over now; its consequences are handled before the next one.
        """
        if not (self.expiries or self.queued or self.withdrawn):
            return
        now = self.context.now()
        while self.expiries and self.expiries[0][0] < now:
            *_, ticket = heappop(self.expiries)
            if not ticket.over:
                self.cancel(ticket, Ending.EXPIRE)
                yield ticket
        for ticket in list(self.withdrawn.values()):
            if not ticket.leaving:
                self.withdrawn.pop(ticket.order.ref, None)
                ticket.doubted = False
            elif monotonic() - ticket.cancel_asked > CANCEL_AGAIN and self._may_cancel_again(
                ticket
            ):
                self._doubt_link(ticket)
                self._withdraw(ticket)
        if self.queued:
            yield from self._release_queued(now)

    def _tell_missed_close(self, ticket: Ticket) -> None:
        """Report a Close of Backtrader that ended without closing the position that day."""
        order, until = ticket.order, ticket.validity.until
        if ticket.stage is Stage.DRAFT:
            return  # it was refused when it was placed
        if order.exectype != bt.Order.Close or ticket.left <= 0 or ticket.ending is Ending.CANCEL:
            return
        if not (order.triggered or (until is not None and self._is_close(ticket.symbol, until))):
            return  # it was refused at once, or its validity ended before the close
        stays = min(ticket.closing, self.account.booked(ticket.symbol, ticket.direction))
        text = (
            f"order {order.ref} (Close) has missed the close of {ticket.symbol}: "
            f"{ticket.left} lots were not traded, and are not sent on the next day"
        )
        if stays > 0:
            text += f"; {stays} lots stay open"
            self.context.exposed(ticket.symbol, stays, text)
        logger.error("%s", text)
        self.context.notify(text, order=order, lots=max(0, stays))

    def _is_close(self, symbol: str, moment: datetime) -> bool:
        calendar = self.context.calendar
        return moment == last_close(symbol, calendar.trading_day_at(moment), calendar)

    def _release_queued(self, now: datetime) -> Iterator[Ticket]:
        today = self.context.calendar.trading_day_at(now)
        is_open: dict[str, bool] = {}
        for ref, ticket in list(self.queued.items()):
            if ref not in self.queued:
                continue  # the end of another order has cancelled or sent it
            symbol = ticket.symbol
            if symbol not in is_open:
                is_open[symbol] = self.pre_trade.open(symbol)
            if not is_open[symbol] or self._must_wait(ticket):
                continue
            if ticket.next_day and ticket.sent_day is not None and today <= ticket.sent_day:
                continue
            self.release(ticket)
            yield ticket


def _only_too_fast(error: TianqinError) -> bool:
    """Return whether a risk limit refuses only for the present second."""
    return isinstance(error, RiskRefused) and error.limit == "orders_per_second"
