"""One roll: its legs at the exchange, each step saved before it is taken."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import datetime, timedelta

from ..core.clock import SECOND, monotonic
from ..core.fields import number
from ..core.model import Fill, Offset, OrderReport
from ..errors import JournalError, OrderError
from ..risk.limits import GuardState
from .ports import RollPorts
from .roll_carrier import ExitCarrier
from .roll_exits import price_gap
from .roll_file import RollFile
from .roll_leg import RollLeg, book_lots, book_time, market_quote
from .roll_report import RollReport, make_report
from .roll_state import (
    Move,
    PositionMismatch,
    RollEvent,
    RollFill,
    RollPhase,
    RollState,
    TooFewToOpen,
    next_move,
)

logger = logging.getLogger(__name__)

#: A new session's account is trusted after this time, by the faster clock.
SETTLE = 3 * SECOND
#: Seconds in which the account must agree with the fills: of this machine, of the market.
AGREE_WITHIN, AGREE_WITHIN_MARKET = 10.0, 60 * SECOND
#: Seconds after which a cancel without effect is repeated.
CANCEL_AGAIN = 5.0
#: Seconds after which a failed write of the state is repeated.
WRITE_AGAIN = 5.0
#: No slice begins this shortly before a break, because it might not be complete by then.
BEFORE_A_BREAK = timedelta(seconds=120)


class Roll:
    """One roll; created by ``MyStore.roll`` and by ``RollManager``.

    Attributes:
        state: The ``RollState``, as on disk.
    """

    def __init__(self, ports: RollPorts, state: RollState, file: RollFile) -> None:
        self._ports, self._broker, self._file = ports, ports.broker, file
        self._context, self._trading, self._link = ports.context, ports.trading, ports.link
        self.state = state
        self.leg: RollLeg | None = None
        self._held: tuple[int, int] | None = None  # the last known position, by the fills since
        self._asked: dict[str, float] = {}
        self._waits_for = ""
        self._taking = 0  # lots that the next slice closes, before its leg begins
        self._interrupted = False  # whether an exit has fired since the last slice
        self._eaten = ""  # time of the new contract's book that the last slice has traded with
        self._unwritten: JournalError | None = None  # why the file is older than the state
        self._write_again_at = 0.0
        self._exits: ExitCarrier = self._broker.exit_carrier(state.plan, self._remember)
        self._look_again()

    # -- questions ----------------------------------------------------------------------------

    @property
    def phase(self) -> RollPhase:
        """The present phase."""
        return self.state.phase

    @property
    def done(self) -> bool:
        """Whether all lots are in the new contract."""
        return self.state.phase is RollPhase.DONE

    @property
    def halted(self) -> bool:
        """Whether the roll has raised an alarm; ``resume`` or ``drop`` it."""
        return self.state.phase is RollPhase.HALTED

    @property
    def contracts(self) -> tuple[str, str]:
        """The old and the new contract."""
        return self.state.plan.old, self.state.plan.new

    def report(self) -> RollReport:
        """The lots moved so far, and their cost."""
        multiple = self._context.instrument(self.state.plan.old).volume_multiple
        return make_report(self.state, multiple)

    # -- commands of the owner ----------------------------------------------------------------

    def resume(self) -> None:
        """After an alarm, continue the roll from the present positions.

        Raises:
            IllegalTransition: It is not HALTED.
            JournalError: The state cannot be saved; nothing has changed.
        """
        self._save(self.state.after(RollEvent.RESUME))
        self._look_again()
        self._reserve()

    def drop(self) -> None:
        """End the roll as it is: each lot keeps its present stops and targets.

        Exits whose lots are in neither contract are cancelled; ``notify_store`` and an alert (event
        ``exposed``) report the number of these lots.

        Raises:
            IllegalTransition: A leg has orders out, or the roll has ended.
            OrderError: An order of the roll is still out: its fills would have no exits.
            JournalError: The state cannot be saved; the roll goes on.
        """
        now = self._context.now_ns()
        self.state.after(RollEvent.DROP, now)
        self._must_have_nothing_out()
        self._tend_exits(gives_back=True)
        self._save(self.state.after(RollEvent.DROP, now))
        between = self._exits.leave(self.state)
        if between:
            self._tell_between(between)
        self._unreserve()

    def _must_have_nothing_out(self) -> None:
        """Raise an error while an order of the roll is alive.

        Raises:
            OrderError: There is one.
        """
        shown = self._trading.orders()
        for order_id in self.state.order_ids:
            known, there = self._broker.get_order(order_id), shown.get(order_id)
            if known is not None:
                alive = known.alive()
            else:
                alive = there is not None and there.status == "ALIVE"
            if alive:
                raise OrderError(
                    f"order {order_id} of the roll of {self.contracts[0]} is still working; "
                    "its fills would have no stops and targets: cancel it "
                    "(broker.cancel_order) or wait for its end, then drop the roll"
                )

    def _tell_between(self, lots: int) -> None:
        old, new = self.contracts
        text = f"{lots} lots of {old} were closed and not opened in {new}: the roll is dropped"
        logger.error("%s", text)
        self._context.exposed(old, lots, text)
        self._context.notify(text, roll=self, lots=lots)

    # -- rounds -------------------------------------------------------------------------------

    def begin(self, *, restarted: bool) -> None:
        """Reserve the contracts: orders that may open are cancelled, and new ones are refused.

        Exits stay alive; ``roll_carrier`` moves them.

        Raises:
            JournalError: A new roll cannot be saved; nothing has been done.
        """
        if restarted:
            self._remember(self.state.after(RollEvent.RESTART))
        else:
            before = tuple(self._exits.fills(self.state))
            self._save(self._exits.meet(replace(self.state, closed_before=before)))
        for symbol in self.contracts:
            self._broker.drop_target(symbol)
        self._reserve()
        if self.halted:
            self._alarm()
        elif not restarted:
            self._exits.withdraw_entries(self.state)
        logger.info("%s", self.report())

    def on_round(self) -> None:
        """Check the state, and take the next step."""
        self._write_again()
        if self.state.ended:
            return
        if self.halted:
            self._tend_exits(gives_back=True)
            return
        if not self._link.trading_up:
            if self.leg is None:
                self._look_again()  # the account could not agree without a connection
            return
        try:
            self._tend_exits()
            self._must_be_written()
            if self.leg is None:
                self._check()
            else:
                self._work(self.leg)
        except (PositionMismatch, TooFewToOpen, JournalError) as error:
            self._halt(str(error))

    # -- exits --------------------------------------------------------------------------------

    def _tend_exits(self, *, gives_back: bool = False) -> None:
        """Adjust stops and targets to their lots; an exit sent to the market ends the slice."""
        exits, fills = self._exits, self._exits.fills(self.state)
        state = replace(self.state, exit_fills={**self.state.exit_fills, **fills})
        if not gives_back:
            state = exits.meet(state)
        if state.exits and state.gap is None:
            state = replace(state, gap=self._gap())
        self._keep(state)
        closing = self.leg is not None and self.leg.phase is RollPhase.CLOSING
        taking = self.leg.left if self.leg is not None and closing else self._taking
        self._keep(exits.on_round(self.state, taking=taking, gives_back=gives_back))
        if exits.fired(self.state):
            self._interrupted = True
            if self.leg is not None:
                logger.info("an exit was sent: the slice %s -> %s ends", *self.contracts)
                self.leg.give_up()

    def _keep(self, state: RollState) -> None:
        """Save the state if its exits have changed."""
        if _of_exits(state) != _of_exits(self.state):
            self._remember(state)

    def _gap(self) -> float | None:
        """The shift of the exits' prices, None while a book is empty."""
        old, new = (market_quote(self._ports, symbol) for symbol in self.contracts)
        if old is None or new is None:
            return None
        before, after = ((one.bid_price1 + one.ask_price1) / 2 for one in (old, new))
        if math.isnan(before + after):
            return None
        gap = price_gap(before, after, self._context.instrument(self.state.plan.new).price_tick)
        text = "stops and targets of %s are shifted by %g for %s"
        logger.info(text, self.contracts[0], gap, self.contracts[1])
        return gap

    # -- between two legs ---------------------------------------------------------------------

    def _look_again(self) -> None:
        """Begin to compare with the account anew."""
        self._session = self._link.sessions
        self._since_wall, self._since_market = monotonic(), self._context.now_ns()

    def _check(self) -> None:
        if self._link.sessions != self._session:
            self._look_again()
        self._exits.withdraw_entries(self.state)
        if self._still_works() or not self._settled():
            return
        self._follow_late_entries()
        plan = self.state.plan
        self._held = self._account_holds()
        if self._interrupted:
            self._interrupted = False
            self._remember(self._exits.give_up(self.state))
            self._held = self._account_holds()
        move = next_move(plan, *self._held, self.state.exited(plan.old))
        if move.event is RollEvent.ALL_MOVED:
            self._taking = 0
            self._take_fills()
            self._tend_exits(gives_back=True)
            self._remember(self.state.after(move.event, self._context.now_ns()))
            self._unreserve()
            logger.info("%s", self.report())
            self._context.notify(str(self.report()), roll=self)
        elif self._may_begin(move) and self._lots_are_free(move):
            self._taking = 0
            self._take_fills()  # of a leg of an earlier program, at that leg's reference
            self._save(replace(self.state.after(move.event), reference=float("nan")))
            self.leg = RollLeg(self._ports, plan, self.state.phase, move)

    def _follow_late_entries(self) -> None:
        """Move lots, too, that entries have opened while they were cancelled."""
        plan, state = self.state.plan, self.state
        if state.order_ids or plan.lots != plan.old_start:
            return
        old, new = self._account_holds()
        if old > plan.old_start or new > plan.new_start:
            old, new = max(old, plan.old_start), max(new, plan.new_start)
            plan = replace(plan, lots=old, old_start=old, new_start=new)
            self._save(replace(state, plan=plan))
            self._exits.follow(plan)

    def _lots_are_free(self, move: Move) -> bool:
        """Whether targets have released the lots that a slice closes; requests it."""
        if move.event is not RollEvent.CLOSE:
            return True
        self._taking = move.lots
        self._tend_exits()
        return not self._exits.holds_back(self.state, move.lots)

    def _still_works(self) -> bool:
        """Cancel other orders on these contracts except exits; whether there are any.

        Raises:
            PositionMismatch: An order is not of this program.
        """
        going_out = self._exits.going_out(self.state)
        if going_out:
            numbers = ", ".join(str(ticket.order.ref) for ticket in going_out)
            self._tell_that_it_waits(f"exits are working at the market (order {numbers})")
        found = bool(going_out)
        for order_id, order in self._trading.orders().items():
            symbol = order.symbol
            if order.status != "ALIVE" or symbol not in self.contracts:
                continue
            known, ours = self._broker.get_order(order_id), order_id in self.state.order_ids
            if known is None and not ours:
                raise PositionMismatch(f"order {order_id} on {symbol} is not of this program")
            if known is not None and not ours and self._exits.is_exit(known.ticket):
                continue
            found = True
            if ours and self._cannot_be_sent_again(order):
                self._tell_that_it_waits(
                    f"{order.volume_left} lots of {symbol} wait at {order.limit_price:g}, too few "
                    "for another opening order"
                )
                continue
            if monotonic() - self._asked.get(order_id, -CANCEL_AGAIN) < CANCEL_AGAIN:
                continue
            self._asked[order_id] = monotonic()
            if known is not None:
                self._broker.cancel(known)
            else:
                self._trading.cancel_order(order_id)
        return found

    def _cannot_be_sent_again(self, order: OrderReport) -> bool:
        left = order.volume_left
        partly = order.offset is Offset.OPEN and 0 < left < order.volume_orign
        return partly and left < self.state.plan.least

    def _settled(self) -> bool:
        """Whether the account's positions are reliable.

        Raises:
            PositionMismatch: They do not agree with the fills in time.
        """
        market: int = self._context.now_ns() - self._since_market
        waited = monotonic() - self._since_wall
        if self._held is None:
            return max(int(waited * SECOND), market) >= SETTLE
        holds = self._account_holds()
        if holds == self._held:
            return True
        if waited > AGREE_WITHIN or market > AGREE_WITHIN_MARKET:
            raise PositionMismatch(f"the account holds {holds}, but by the fills {self._held}")
        return False

    def _account_holds(self) -> tuple[int, int]:
        """Lots of the side in the old and in the new contract, with those that exits have closed.

        They are counted by ``pos_*``, which every counter updates with a trade; other fields are
        later.
        """
        state = self.state
        old, new = (
            int(number(self._broker.get_account_position(symbol), f"pos_{state.plan.side}", 0))
            + state.exited(symbol)
            for symbol in self.contracts
        )
        return old, new + state.given_up

    def _may_begin(self, move: Move) -> bool:
        """Whether a leg can begin now; a slice needs both markets, and time."""
        if move.event is RollEvent.OPEN:
            return True  # the second leg of a slice: its waiting counts as its time
        risk = self._broker.risk
        if risk.state is not GuardState.ACTIVE:  # a closed slice could not be opened again
            self._tell_that_it_waits(
                f"state is {risk.state} ({risk.reason}); broker.resume(), or drop the roll"
            )
            return False
        self._waits_for = ""
        for quote in [market_quote(self._ports, symbol) for symbol in self.contracts]:
            if quote is None or math.isnan(quote.bid_price1 + quote.ask_price1):
                return False  # the market is closed, or at a limit
        if not self._new_book_takes(move):
            return False
        now: datetime = self._context.now()
        boundary: datetime = self._context.calendar.next_session_boundary(self.contracts[0], now)
        return boundary - now >= BEFORE_A_BREAK

    def _new_book_takes(self, move: Move) -> bool:
        """Whether the new contract's book can take a whole slice.

        This is needed if the rest of an order could not be sent again.
        """
        plan = self.state.plan
        if plan.least <= 1:
            return True
        direction = plan.direction(RollPhase.OPENING)
        quote = market_quote(self._ports, plan.new)
        if quote is None or book_time(self._ports, plan.new) == self._eaten:
            return False  # the book still shows what the last slice has taken
        worst = (quote.bid_price1 + quote.ask_price1) / 2 + direction.sign * plan.max_slippage
        if book_lots(self._ports, plan.new, direction, worst) >= move.lots:
            return True
        self._tell_that_it_waits(
            f"the book of {plan.new} shows fewer than {move.lots} lots within {plan.max_slippage:g}"
        )
        return False

    def _tell_that_it_waits(self, why: str) -> None:
        if why == self._waits_for:
            return
        self._waits_for = why
        text = f"{self.state.plan.old} is not rolled further: {why}"
        self._context.announce(logger, logging.WARNING, text, roll=self)

    # -- a leg --------------------------------------------------------------------------------

    def _work(self, leg: RollLeg) -> None:
        sent = leg.on_round()
        ids = (*self.state.order_ids, *leg.order_ids)
        state = replace(self.state, order_ids=tuple(dict.fromkeys(ids)), reference=leg.reference)
        if sent or state.order_ids != self.state.order_ids:
            self._remember(state)  # before the next wait, in which orders are sent
            self._must_be_written()
        if leg.done:
            self._leg_done(leg)
        elif leg.refused:
            words = next(reversed(leg.orders.values())).info.get("reason", "")
            self._halt(f"orders on {leg.symbol} were refused repeatedly: {words}")
        elif leg.waited_ns > self.state.plan.patience * SECOND:
            plan = self.state.plan
            self._halt(
                f"{leg.traded} lots of {leg.symbol} were traded in {plan.patience:g} s within "
                f"{plan.max_slippage:g} of {leg.reference:g}, others were not"
            )
        else:
            self._tell_break(leg)

    def _leg_done(self, leg: RollLeg) -> None:
        assert self._held is not None  # a leg begins with known positions
        old, new = self._held
        closes = leg.phase is RollPhase.CLOSING
        self._held = (old - leg.traded, new) if closes else (old, new + leg.traded)
        if not closes:
            self._eaten = book_time(self._ports, leg.symbol)
        self.leg = None
        self._take_fills()
        self._remember(self.state.after(RollEvent.LEG_DONE))
        self._look_again()

    def _tell_break(self, leg: RollLeg) -> None:
        """Notify about a slice that is half done in a break; it continues when the market opens."""
        half_done = leg.phase is RollPhase.OPENING or leg.traded
        if leg.broken_off and half_done:
            text = f"the market has closed while a slice is half done: {self.report()}"
            self._context.announce(logger, logging.ERROR, text, roll=self)
        leg.broken_off = False

    def _take_fills(self) -> None:
        """Take the account's trades of our orders, including an earlier program's."""
        ours, fills = set(self.state.order_ids), dict(self.state.fills)
        for fill in self._trading.fills():
            if fill.order_id in ours and fill.trade_id not in fills:
                fills[fill.trade_id] = RollFill(
                    fill.symbol, fill.direction, fill.price, fill.volume, self._fee(fill),
                    self.state.reference,
                )  # fmt: skip
        self.state = replace(self.state, fills=fills)

    def _fee(self, fill: Fill) -> float:
        """The fee of a trade; by the contract's rates if the counter does not state it."""
        if math.isfinite(fill.commission):
            return fill.commission
        cost = self._broker.order_cost(fill.symbol, fill.volume, fill.price, closes=True)
        return float(cost.commission)

    # -- alarms -------------------------------------------------------------------------------

    def _halt(self, reason: str) -> None:
        self._take_fills()
        self.state = self.state.after(RollEvent.TROUBLE, reason=reason)
        if self.leg is not None:
            self.leg.stop()
        self.leg = self._held = None
        self._taking, self._interrupted = 0, False
        self._alarm()
        self._remember(self.state)

    def _alarm(self) -> None:
        """Notify about the alarm. Stops and targets of all contracts stay alive."""
        text = (
            f"HALTED, its orders are cancelled and its contracts accept only exits until "
            f"resume() or drop(): {self.report()}"
        )
        self._context.announce(logger, logging.ERROR, text, roll=self)
        self._reserve()

    # -- the file -----------------------------------------------------------------------------

    def _save(self, state: RollState) -> None:
        """Save the state of a step before it is taken.

        Raises:
            JournalError: It cannot be saved; the state does not change.
        """
        self._file.save(state)
        self._unwritten = None
        self._take(state)

    def _remember(self, state: RollState) -> None:
        """Keep a state that has happened already or protects lots, even if it cannot be saved."""
        try:
            self._save(state)
        except JournalError as error:
            if self._unwritten is None:
                logger.error("%s", error)
            self._unwritten, self._write_again_at = error, monotonic() + WRITE_AGAIN
            self._take(state)

    def _take(self, state: RollState) -> None:
        if state.phase is not self.state.phase:
            logger.info("%s -> %s: %s", *self.contracts, state.phase)
        self.state = state

    def _must_be_written(self) -> None:
        """Raise an error while the file is not up to date: the next program would not know the
        orders.

        Raises:
            JournalError: The file is older than the state.
        """
        if self._unwritten is not None:
            raise self._unwritten

    def _write_again(self) -> None:
        if self._unwritten is not None and monotonic() >= self._write_again_at:
            self._remember(self.state)
            if self._unwritten is None:
                logger.warning("the file of %s can be written again", self.state.plan.old)

    # -- its contracts ------------------------------------------------------------------------

    def _reserve(self) -> None:
        """Refuse orders that may open in both contracts."""
        plan = self.state.plan
        reason = f"{plan.old} is being rolled into {plan.new}"
        if self.halted:
            reason = f"the roll of {plan.old} into {plan.new} is HALTED ({self.state.reason})"
        for symbol in self.contracts:
            self._broker.reserve(symbol, reason)

    def _unreserve(self) -> None:
        for symbol in self.contracts:
            self._broker.reserve(symbol, None)


def _of_exits(state: RollState) -> tuple[object, ...]:
    return state.exits, state.exit_fills, state.given_up, state.gap
