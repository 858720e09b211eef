"""``RollManager``: decides when a contract must be rolled, and starts the roll."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import date
from typing import Protocol, TypedDict

from ..calendars.products import split_symbol
from ..contracts.continuous import MAIN
from ..core.clock import from_ns, monotonic
from ..core.context import Context
from ..core.fields import Fields
from ..core.ports import ChartPort, Rows, Underlyings
from ..errors import ConfigError, JournalError, LinkError, OrderError
from ..risk.limits import GuardState
from .roll import Roll
from .roll_leg import market_quote
from .roll_report import RollReport
from .roll_rules import Decision, Listed, RollRules, RollTrigger, decide
from .roll_service import PATIENCE, RollService
from .roll_state import RollPhase

logger = logging.getLogger(__name__)

#: Day bars requested of every contract of the product.
RECENT_DAYS = 5
#: Seconds after which an unanswered request is repeated.
ASK_AGAIN = 60.0
#: Seconds after which a dry run checks again for the books that its cost estimate needs.
LOOK_AGAIN = 0.5


class Listing(Protocol):
    """Lists contracts; ``Queries``."""

    def contracts(self, exchange_id: str, product_id: str) -> list[str]: ...


class RollGateway(ChartPort, Protocol):
    """Day bars and contracts; ``Gateway``."""

    @property
    def queries(self) -> Listing: ...


class Holder(Protocol):
    """The positions, and whether they can be rolled; ``MyBroker``."""

    @property
    def risk_state(self) -> GuardState: ...
    def takes_orders(self, instrument: str) -> bool: ...
    def get_account_positions(self) -> Mapping[str, Fields]: ...
    def get_account_position(self, instrument: str) -> Fields: ...


class RollSession(Protocol):
    """The parts of a session that a manager needs; ``MyStore``."""

    context: Context
    keepers: list[Callable[[], None]]

    @property
    def mains(self) -> Underlyings: ...
    @property
    def gateway(self) -> RollGateway: ...
    @property
    def trading_up(self) -> bool: ...
    @property
    def rolls(self) -> RollService: ...
    def getbroker(self) -> Holder: ...


class _How(TypedDict):
    """Arguments of ``RollService.plan``."""

    slice_lots: int
    max_slippage: float | None
    patience: float


class RollManager:
    """Keeps a product's position in the contract where it belongs, while Cerebro runs.

    On every trading day, after the open, it checks the held contracts of the product: those that
    expire before the wanted one are rolled (``MyStore.roll``), one after the other, both sides.
    ``notify_store`` is called for every roll (keyword ``roll``) and, days ahead, for contracts that
    may not be held much longer (keyword ``warning``). A contract that cannot be rolled because an
    order prevents it is reported once a day and tried again every minute. Lots in later contracts
    are not moved; so it is not for accounts with calendar spreads of the product.

    A roll that an earlier program left unfinished continues without a manager, too.

    Args:
        session: The ``MyStore``.
        main: ``"KQ.m@SHFE.cu"``.
        trigger: ``"main"``: when TianQin's main contract is a later one; ``"interest"``: when a
            later contract had more open interest and more volume than the held one on the day
            before; ``"days"``: only when the held contract's last day is near.
        days_before: Number of trading days before the last allowed day by which the contract is
            rolled, whatever the trigger. Private persons may not hold into the delivery month.
        private: False for a company's account, which may hold to the last trading day.
        slice_lots, max_slippage, patience: As for ``MyStore.roll``.
        dry_run: Only report what would be rolled, and at what cost.

    Attributes:
        decisions: The last decisions, by held contract.
        estimates: A ``RollReport`` for each roll of a dry run.

    Raises:
        ConfigError: A parameter is wrong.
        UnknownSymbol: There is no such main contract.
    """

    def __init__(
        self,
        session: RollSession,
        main: str,
        *,
        trigger: str = "main",
        days_before: int = 5,
        private: bool = True,
        slice_lots: int = 1,
        max_slippage: float | None = None,
        patience: float = PATIENCE,
        dry_run: bool = False,
    ) -> None:
        if not main.startswith(MAIN):
            raise ConfigError(f"{main!r} is not a main contract: write KQ.m@SHFE.cu or the like")
        try:
            chosen = RollTrigger(trigger)
        except ValueError as error:
            names = ", ".join(RollTrigger)
            raise ConfigError(f"trigger must be {names}, not {trigger!r}") from error
        self.rules = RollRules(chosen, days_before, private)
        self.main, self._session, self._dry_run = main, session, dry_run
        self._context = session.context
        self._how: _How = {
            "slice_lots": slice_lots, "max_slippage": max_slippage, "patience": patience,
        }  # fmt: skip
        self._context.instrument(main)  # raises if it does not exist
        self._exchange, self._product = main.removeprefix(MAIN).split(".")
        self.decisions: dict[str, Decision] = {}
        self.estimates: list[RollReport] = []
        self.rolls: list[Roll] = []
        self._dropped: list[Roll] = []
        self._listed: dict[str, Rows] = {}
        self._day: date | None = None
        self._looked: tuple[date, str, GuardState] | None = None
        self._rests: date | None = None
        self._told: set[tuple[date, str, str, str]] = set()  # day, contract, side, words
        self._not_before = 0.0
        self._broker = session.getbroker()
        session.keepers.append(self.on_round)

    def on_round(self) -> None:
        """Check once a trading day, and again after each roll.

        It also checks again when the day's main contract becomes known after the open, and when
        the broker accepts opening orders again.
        """
        session, now = self._session, self._context.now()
        today = self._context.trading_day()
        situation = (today, session.mains.traded(self.main), self._broker.risk_state)
        is_open = self._context.calendar.is_trading_now
        if situation == self._looked or not session.trading_up or not is_open(self.main, now):
            return
        held = self._held()
        if not held or self._busy(today) or not self._broker.takes_orders(held[0]):
            return
        if monotonic() < self._not_before:
            return
        try:
            if today != self._day:
                self._ask(today)
            if all(series.ready for series in self._listed.values()):
                self._look(*situation)
        except LinkError as error:
            self._not_before = monotonic() + ASK_AGAIN
            logger.warning("whether to roll %s will be checked again later: %s", self.main, error)

    def _held(self) -> list[str]:
        """The held contracts of the product."""
        return [one for one in self._broker.get_account_positions() if self._ours(one)]

    def _ours(self, symbol: str) -> bool:
        return split_symbol(symbol) == (self._exchange, self._product)

    def _busy(self, today: date) -> bool:
        """Whether a roll of the product goes on; after a dropped one, not today."""
        rolls = [roll for roll in self._session.rolls.rolls if self._ours(roll.contracts[0])]
        for roll in rolls:
            if roll.phase is RollPhase.DROPPED and roll not in self._dropped:
                self._dropped.append(roll)
                self._rests = today
        return today == self._rests or any(not roll.state.ended for roll in rolls)

    def _ask(self, today: date) -> None:
        """Request the contracts and their volumes."""
        gateway = self._session.gateway
        self._listed = {
            symbol: gateway.charts.series(symbol, 86400, RECENT_DAYS)
            for symbol in gateway.queries.contracts(self._exchange, self._product)
        }
        self._day = today

    def _look(self, today: date, main: str, state: GuardState) -> None:
        refused = False
        listed = [self._facts(symbol, today) for symbol in self._listed]
        for held in self._held():
            if held not in self._listed:
                continue  # it has expired; the broker settles it
            decision = decide(held, listed, main, today, self.rules, self._context.calendar)
            self.decisions[held] = decision
            if decision.warn and self._is_news(today, held, "", decision.reason):
                self._warn(decision)
            if not decision.new:
                continue
            if self._dry_run and not self._has_books(held, decision.new):
                self._not_before = monotonic() + LOOK_AGAIN
                return  # its cost is reported when it is known
            rolls, fails = len(self.rolls), self._begin(today, held, decision)
            if len(self.rolls) > rolls:
                return  # the next one follows it
            refused = refused or fails
        if refused and state is GuardState.ACTIVE and not self._dry_run:
            self._not_before = monotonic() + ASK_AGAIN  # the obstacle may be gone then
        else:
            self._looked = (today, main, state)

    def _has_books(self, *symbols: str) -> bool:
        """Whether prices of these contracts are known."""
        quotes = [market_quote(self._session.rolls.ports, symbol) for symbol in symbols]
        return all(quote and quote.bid_price1 + quote.ask_price1 > 0 for quote in quotes)

    def _facts(self, symbol: str, today: date) -> Listed:
        series = self._listed[symbol]
        expires = self._context.instrument(symbol).expire_datetime
        last_day = date.max if expires is None else expires.date()
        last_id = series.last_id
        days = [
            bar
            for bar in (series.bars(max(0, last_id - RECENT_DAYS), last_id) if last_id >= 0 else [])
            if from_ns(bar.start).date() < today
        ]
        if not days:
            return Listed(symbol, last_day)
        return Listed(symbol, last_day, days[-1].volume, days[-1].close_oi)

    def _warn(self, decision: Decision) -> None:
        level = logging.ERROR if decision.days_left < 0 else logging.WARNING
        self._context.announce(logger, level, decision.reason, warning=decision)

    def _is_news(self, today: date, held: str, side: str, words: str) -> bool:
        """Whether this text about a side of a contract is new today."""
        what = (today, held, side, words)
        news = what not in self._told
        self._told = {one for one in self._told if one[0] == today} | {what}
        return news

    def _begin(self, today: date, held: str, decision: Decision) -> bool:
        """Roll the sides of a contract, one after the other; whether one cannot be rolled."""
        service, position = self._session.rolls, self._broker.get_account_position(held)
        sides = [side for side in ("long", "short") if position.get(f"pos_{side}")]
        refused = False
        for side in sides:
            try:
                plan = service.plan(held, decision.new, side=side, **self._how)
                if not self._dry_run:
                    self.rolls.append(service.start(plan))
                    logger.info("%s is rolled into %s: %s", held, decision.new, decision.reason)
                    return refused
            except (OrderError, JournalError) as error:
                refused, text = True, f"{held} cannot be rolled into {decision.new}: {error}"
                if self._is_news(today, held, side, str(error)):
                    self._tell(text)
                continue
            if not self._is_news(today, held, side, f"dry run into {decision.new}"):
                continue
            estimate = service.estimate(plan)
            self.estimates.append(estimate)
            text = f"dry run, nothing is sent: {decision.reason}; {estimate}"
            self._context.announce(logger, logging.INFO, text, estimate=estimate)
        return refused

    def _tell(self, text: str) -> None:
        self._context.announce(logger, logging.ERROR, text)
