"""``WriteAheadLog``: everything that happens to orders, into the journal, before it has effects.

What happens is gathered and written in one transaction: at the latest before an order leaves,
before a withdrawal, and before a strategy is told. When the journal cannot be written nothing is
lost: what is owed is kept, trading is halted until its owner resumes it, and the writing is tried
again, by ``mend`` and now and then by itself. Exits leave all the same.
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

#: Records that could not be written are tried again after so many seconds, and after twice as many
#: each time that they fail; at most after the last, until trading is resumed.
AGAIN, AT_MOST = 5.0, 300.0


class Planned(Protocol):
    """Something beside orders that a restart is to find again."""

    kind: str

    @property
    def key(self) -> str:
        """Which one."""
        ...

    def plan(self) -> tuple[dict[str, Any], bool]:
        """All there is to know of it, as plain values, and whether it is over."""
        ...


class Followed(Planned, Protocol):
    """Something that is written whenever it has changed, without a word."""

    @property
    def changes(self) -> int:
        """How often it has changed."""
        ...


class WriteAheadLog:
    """Writes for the desk; without a journal it does nothing.

    Args:
        context: Time and notifications.

    Attributes:
        journal: Where to; None for no records.
        broken: Why nothing is written at the moment.
        rows, touched, plans: What is to be written.
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
        """An order has changed in something that a restart must know."""
        if self.journal is not None:
            self.touched[ticket.key] = ticket

    def touch_plan(self, planned: Planned) -> None:
        """Something else has."""
        if self.journal is not None:
            self.plans[planned.kind, planned.key] = planned

    def follow(self, planned: Followed) -> None:
        """From now on write something else whenever it has changed."""
        self._followed.append(planned)
        self._seen += planned.changes

    def add(self, write: Callable[[Journal], object]) -> None:
        """Something else is to be written in its turn."""
        if self.journal is not None:
            self.rows.append(write)

    def intent(self, ticket: Ticket, leg: OrderLeg, terms: OrderTerms) -> None:
        """An exchange order is about to be sent. Send it only if this returns.

        An exit leaves whatever the disk does, and is written down when that can be done: lots rely
        on it. If this program cannot any more, the next one finds it on the account, by its id. One
        whose order is not on record either looks like another terminal's there.

        Raises:
            JournalError: It is not on record.
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
            self.rows.remove(write)  # it is not going to be sent
            assert self.broken is not None
            raise self.broken

    def report(self, report: OrderReport) -> None:
        """What the exchange says of one of our orders; the client's echo of it is no word."""
        if self.journal is not None and (report.exchange_order_id or report.status == "FINISHED"):
            when = self._when()
            self.rows.append(lambda journal: journal.report(report, **when))

    def ended(self, leg: OrderLeg) -> None:
        """One of our orders has ended without the exchange's word."""
        left = leg.volume - leg.filled
        price = leg.limit_price if isinstance(leg.limit_price, int | float) else math.nan
        self.report(
            OrderReport(
                leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume, left, price,
                "FINISHED", leg.exchange_order_id, leg.last_msg,
            )
        )  # fmt: skip

    def fill(self, fill: Fill, multiple: int) -> None:
        """An execution of one of our orders."""
        if self.journal is None:
            return
        day = self._context.day_of(fill.time)
        self.rows.append(
            lambda journal: journal.fill(fill, trading_day=day, volume_multiple=multiple)
        )

    def refused(self, ticket: Ticket, reason: str) -> None:
        """An order is over and never had a leg; it is on record all the same."""
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
        """What a person should find later."""
        if self.journal is not None:
            when = self._when()
            self.rows.append(lambda journal: journal.note(text, level, **when))

    # -- writing ------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Write down what has happened since the last call; False if it is owed."""
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
        """Records cannot be written: nothing that may open is sent any more."""
        if self.broken is None:
            self.broken = error
            self._wait_longer()

    def _try_again(self) -> bool:
        """Write what is owed, if it is time to; orders wait for their owner all the same."""
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
        text = "the records can be written again, and nothing is missing: broker.resume() goes on"
        logger.warning("%s", text)
        self._context.notify(text)
        return True

    def _wait_longer(self) -> None:
        self._again_at = monotonic() + self._pause
        self._pause = min(2 * self._pause, AT_MOST)

    def mend(self) -> None:
        """Write what is owed, and go on.

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
        """The program ends: write what is owed.

        Args:
            last: Called when that is written, before the journal is closed.

        Raises:
            JournalError: It cannot be written; the account still knows what orders came to.
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
    """Whether it closes lots for an exit of a strategy, or for ``flatten``."""
    exits = ticket.may_open is not None or not ticket.guarded
    return exits and leg.offset is not Offset.OPEN and not ticket.for_target
