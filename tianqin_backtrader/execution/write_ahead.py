"""``WriteAheadLog`` writes all that happens to orders into the journal before it has effects.

Changes are collected and written in one transaction, at the latest before an order is sent, before
a cancel, and before a strategy is notified. If the journal cannot be written, nothing is lost: the
pending rows are kept, trading is halted until its owner resumes it, and the write is repeated, by
``mend`` and by itself from time to time. Exits are still sent.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import date
from typing import Any, Protocol

from ..contracts.order_terms import OrderTerms
from ..core.clock import from_backtrader, monotonic
from ..core.context import Context
from ..core.model import Direction, Fill, Offset, OrderReport
from ..errors import JournalError
from ..orders.leg import OrderLeg
from ..orders.ticket import Ticket
from ..orders.ticket_codec import dump, ticket_fields
from ..records.journal import Journal
from ..records.journal_values import Origin

logger = logging.getLogger(__name__)

#: Seconds until a failed write is repeated, doubled after each failure up to the maximum, until
#: trading is resumed.
AGAIN, AT_MOST = 5.0, 300.0


class Planned(Protocol):
    """Something other than an order that a restart must restore."""

    kind: str

    @property
    def key(self) -> str:
        """Its key in the journal."""
        ...

    def plan(self) -> tuple[dict[str, Any], bool]:
        """Return its state as plain values, and whether it is over."""
        ...


class Followed(Planned, Protocol):
    """Something that is written whenever its number of changes has changed."""

    @property
    def changes(self) -> int:
        """How often it has changed."""
        ...


class WriteAheadLog:
    """Writes the journal; without a journal it does nothing.

    Args:
        context: Time and notifications.

    Attributes:
        journal: The journal; None for no records.
        broken: Why nothing can be written now, else None.
        rows, touched, plans: What is pending.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.journal: Journal | None = None
        self.broken: JournalError | None = None
        self._pause, self._again_at = AGAIN, 0.0
        self.rows: list[Callable[[Journal], object]] = []
        self.touched: dict[str, Ticket] = {}
        self.plans: dict[tuple[str, str], Planned] = {}
        self._written: dict[tuple[str, str], str] = {}
        self._followed: list[Followed] = []
        self._seen = 0

    # -- what happens -------------------------------------------------------------------------

    def touch(self, ticket: Ticket) -> None:
        """Note that an order has changed in a way that a restart must know."""
        if self.journal is not None:
            self.touched[ticket.key] = ticket

    def touch_plan(self, planned: Planned) -> None:
        """Note the same of something other than an order."""
        if self.journal is not None:
            self.plans[planned.kind, planned.key] = planned

    def follow(self, planned: Followed) -> None:
        """Write something whenever it has changed, from now on."""
        self._followed.append(planned)
        self._seen += planned.changes

    def add(self, write: Callable[[Journal], object]) -> None:
        """Queue any other write."""
        if self.journal is not None:
            self.rows.append(write)

    def intent(self, ticket: Ticket, leg: OrderLeg, terms: OrderTerms) -> None:
        """Record that an exchange order is about to be sent. Send it only if this returns.

        An exit is sent even if the journal cannot be written, because it protects lots; it is
        recorded later. If this program cannot do that, the next run finds the exit on the account
        by its id. If its order is not recorded either, it looks like another terminal's.

        Raises:
            JournalError: The order is not recorded and must not be sent.
        """
        if self.journal is None:
            return
        must_leave = _must_leave(ticket, leg)
        if self.broken is not None and not must_leave:
            raise self.broken
        when = self._when(ticket.sent_day)
        origin = self._origin(ticket, len(ticket.legs) - 1)

        def write(journal: Journal) -> None:
            journal.intent(
                leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume, leg.limit_price,
                origin=origin, advanced=terms.advanced, **when,
            )  # fmt: skip

        self.rows.append(write)
        self.touch(ticket)
        if not self.flush() and not must_leave:
            self.rows.remove(write)  # the order will not be sent
            assert self.broken is not None
            raise self.broken

    def report(self, report: OrderReport) -> None:
        """Record the exchange's report of one of our orders, but not the client's own echo."""
        if self.journal is not None and (report.exchange_order_id or report.status == "FINISHED"):
            when = self._when()
            self.rows.append(lambda journal: journal.report(report, **when))

    def ended(self, leg: OrderLeg) -> None:
        """Record the end of a leg that the exchange has not reported."""
        left = leg.volume - leg.filled
        price = leg.limit_price if isinstance(leg.limit_price, int | float) else math.nan
        self.report(
            OrderReport(
                leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume, left, price,
                "FINISHED", leg.exchange_order_id, leg.last_msg,
            )
        )  # fmt: skip

    def fill(self, fill: Fill, multiple: int) -> None:
        """Record a fill of one of our orders."""
        if self.journal is None:
            return
        day = self._context.day_of(fill.time)
        self.rows.append(
            lambda journal: journal.fill(fill, trading_day=day, volume_multiple=multiple)
        )

    def refused(self, ticket: Ticket, reason: str) -> None:
        """Record an order that ended without ever having a leg."""
        if self.journal is None:
            return
        order, when = ticket.order, self._when()
        direction = Direction.BUY if order.isbuy() else Direction.SELL
        order_id = f"UNSENT_{ticket.key}"
        origin, volume = self._origin(ticket, 0), int(abs(order.created.size))

        def write(journal: Journal) -> None:
            journal.intent(
                order_id, ticket.symbol, direction, "", volume, order.created.price,
                origin=origin, **when,
            )  # fmt: skip
            journal.report_refusal(order_id, ticket.symbol, direction, volume, reason, **when)

        self.rows.append(write)

    def note(self, text: str, level: str = "INFO") -> None:
        """Record a message for people who read the journal later."""
        if self.journal is not None:
            when = self._when()
            self.rows.append(lambda journal: journal.note(text, level, **when))

    # -- writing ------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Write what is pending; return whether nothing is pending now."""
        if self.broken is not None:
            return self._try_again()
        if self.journal is None or not self._is_owed():
            return True
        try:
            self._write(self.journal)
        except JournalError as error:
            self.fail(error)
            return False
        return True

    def _is_owed(self) -> bool:
        changes = sum(one.changes for one in self._followed)
        return bool(self.rows or self.touched or self.plans) or changes != self._seen

    def fail(self, error: JournalError) -> None:
        """Note that records cannot be written; orders that may open are no longer sent."""
        if self.broken is None:
            self.broken = error
            self._wait_longer()

    def _try_again(self) -> bool:
        """Repeat a failed write when it is due; trading stays halted until resumed."""
        if self.journal is None or monotonic() < self._again_at:
            return False
        self._wait_longer()
        self.note("the records can be written again")
        try:
            self._write(self.journal)
        except JournalError as error:
            self.rows.pop()  # the note
            logger.info("the records still cannot be written: %s", error)
            return False
        self.broken = None
        text = "the records can be written again and are complete; broker.resume() ends the halt"
        logger.warning("%s", text)
        self._context.notify(text)
        return True

    def _wait_longer(self) -> None:
        self._again_at = monotonic() + self._pause
        self._pause = min(2 * self._pause, AT_MOST)

    def mend(self) -> None:
        """Write what is pending and end the failure.

        Raises:
            JournalError: It still cannot be written.
        """
        if self.journal is not None:
            self._write(self.journal)
        self.broken, self._pause = None, AGAIN

    def _write(self, journal: Journal) -> None:
        when = self._when()
        seen = sum(one.changes for one in self._followed)
        if seen != self._seen:  # the same text is not written twice
            self.plans |= {(one.kind, one.key): one for one in self._followed}
        known: dict[tuple[str, str], str] = {}
        with journal.together():
            for write in self.rows:
                write(journal)
            for key, ticket in self.touched.items():
                end = ticket.over and ticket.told[0] == ticket.order.status
                self._put(journal, ("order", key), ticket_fields(ticket), end, known, when)
            for place, planned in self.plans.items():
                fields, over = planned.plan()
                self._put(journal, place, fields, over, known, when)
        self.rows.clear()
        self.touched.clear()
        self.plans.clear()
        self._seen = seen
        self._written |= known

    def _put(
        self,
        journal: Journal,
        place: tuple[str, str],
        fields: dict[str, Any],
        over: bool,
        known: dict[tuple[str, str], str],
        when: dict[str, Any],
    ) -> None:
        text = f"{dump(fields)}"
        if self._written.get(place) == text:
            return
        journal.plan(*place, text, over=over, **when)
        if over:
            self._written.pop(place, None)
        else:
            known[place] = text

    def close(self, last: Callable[[Journal], None] = lambda journal: None) -> None:
        """Write what is pending and close the journal.

        Args:
            last: Called after the write, before the journal is closed.

        Raises:
            JournalError: It cannot be written; the account still knows the results of orders.
        """
        if self.journal is None:
            return
        try:
            self.mend()
            last(self.journal)
        finally:
            self.journal.close()
            self.journal = None

    def _when(self, day: date | None = None) -> dict[str, Any]:
        now = self._context.now_ns()
        if day is None:
            day = self._context.trading_day()
        return {"trading_day": day, "exchange_time": now}

    def _origin(self, ticket: Ticket, leg: int) -> Origin:
        order = ticket.order
        owner, created = order.owner, order.created
        strategy = self._context.strategy_name if owner is None else type(owner).__name__
        bar = from_backtrader(created.dt) if created.dt else 0
        return Origin(strategy, order.ref, leg, bar, created.pclose or math.nan)


def _must_leave(ticket: Ticket, leg: OrderLeg) -> bool:
    """Return whether a leg closes lots for a strategy's exit or for ``flatten``."""
    exits = ticket.may_open is not None or not ticket.guarded
    return exits and leg.offset is not Offset.OPEN and not ticket.for_target
