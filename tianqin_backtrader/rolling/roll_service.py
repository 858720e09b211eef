"""All rolls of a store: requested ones, and those that an earlier program began."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from ..contracts.offsets import LotLimits, Priority, whole_lots
from ..core.fields import number
from ..errors import OrderError
from ..risk.limits import GuardState
from .ports import RollPorts
from .roll import Roll
from .roll_file import RollFile, roll_files
from .roll_leg import market_quote
from .roll_report import RollReport, make_report
from .roll_state import RollFill, RollPhase, RollPlan, RollState, Side

logger = logging.getLogger(__name__)

#: Price ticks by which an order may be worse than the middle at its leg's beginning.
MAX_SLIPPAGE_TICKS = 20
#: Seconds of trading time for one leg.
PATIENCE = 300.0


class RollService:
    """Runs rolls.

    Args:
        ports: The parts of the session that rolls need.
    """

    def __init__(self, ports: RollPorts) -> None:
        self.ports, self._broker = ports, ports.broker
        self._context, self._trading = ports.context, ports.trading
        self.rolls: list[Roll] = []
        self._loaded = False

    @property
    def folder(self) -> Path:
        """The folder of the rolls' files: that of the records."""
        if self._broker.records_folder:
            return Path(self._broker.records_folder)
        return Path("records", self._context.strategy_name or "rolls").absolute()

    def load(self) -> None:
        """Load the unfinished rolls of an earlier program, once.

        Raises:
            JournalError: A file cannot be read: check the account, and move the file away.
        """
        if self._loaded:
            return
        self._loaded = True
        for file in roll_files(self.folder):
            state = file.load()
            if state.ended:
                continue
            if state.plan.account != self._account():
                logger.warning("%s is of another account and is ignored", file.path)
                continue
            roll = Roll(self.ports, state, file)
            logger.warning("continuing an unfinished roll: %s", roll.report())
            self.rolls.append(roll)
            roll.begin(restarted=True)

    def working_on(self, symbol: str) -> Roll | None:
        """The unfinished roll of a contract."""
        for roll in self.rolls:
            if symbol in roll.contracts and not roll.state.ended:
                return roll
        return None

    def on_round(self) -> None:
        """Run the rolls, once the broker has been reconciled."""
        if not self._broker.begun:
            return
        for roll in self.rolls:
            roll.on_round()

    # -- new rolls ----------------------------------------------------------------------------

    def plan(
        self,
        old: str,
        new: str,
        lots: int | None = None,
        side: str | None = None,
        slice_lots: int = 1,
        max_slippage: float | None = None,
        patience: float = PATIENCE,
    ) -> RollPlan:
        """Plan a roll.

        Raises:
            OrderError: The roll is not possible.
        """
        first, second = self._context.instrument(old), self._context.instrument(new)
        key = (first.exchange_id, first.product_id, first.volume_multiple)
        if old == new or key != (second.exchange_id, second.product_id, second.volume_multiple):
            raise OrderError(f"{old} and {new} are not two contracts of one product")
        for one in (first, second):
            if one.ins_class != "FUTURE" or one.expired:
                raise OrderError(f"{one.symbol} is not a future that trades")
        priority = self._broker.closes_first
        if Priority(priority) in (Priority.LOCK, Priority.YESTERDAY_ONLY):
            raise OrderError(
                f"a broker with priority={priority!r} does not close today's lots, "
                "so a roll would not finish: use another priority"
            )
        found = self._side(old, side)
        held = self._held(old, found)
        wanted = held if lots is None else lots
        if wanted > held:
            raise OrderError(f"{wanted} lots {found} of {old} are to be moved, but {held} are held")
        least = max(second.open_min_limit_order_volume, 1)
        slip = MAX_SLIPPAGE_TICKS * first.price_tick if max_slippage is None else max_slippage
        if not slip >= 0 or not patience > 0:
            raise OrderError("max_slippage must be at least 0 and patience above 0")
        plan = RollPlan(
            old, new, found, whole_lots(wanted), held, self._held(new, found),
            whole_lots(slice_lots), float(slip), float(patience), self._account(), least,
        )  # fmt: skip
        limits = LotLimits.of(second, market_order=False)
        for lots in set(plan.slices()):
            limits.pieces(lots, opens=True)  # raises if they cannot be opened
        self._refuse_what_cannot_be_moved(plan)
        return plan

    def _refuse_what_cannot_be_moved(self, plan: RollPlan) -> None:
        """Refuse orders of other programs, which cannot be moved, and expired exits."""
        for symbol in (plan.old, plan.new):
            for order_id, leg in self._broker.foreign_orders.items():
                if leg.symbol == symbol and not leg.over and self._is_alive(order_id):
                    raise OrderError(
                        f"order {order_id} on {symbol} is not of this program and cannot be moved: "
                        "cancel it before the roll"
                    )
        self._broker.exit_carrier(plan, lambda state: None).refuse_what_cannot_be_carried()

    def _is_alive(self, order_id: str) -> bool:
        order = self._trading.orders().get(order_id)
        return order is not None and order.status == "ALIVE"

    def start(self, plan: RollPlan) -> Roll:
        """Begin a roll.

        Raises:
            OrderError: One of the contracts is being rolled, or the broker may not open now.
            JournalError: The roll cannot be saved; it has not begun.
        """
        self.load()
        risk = self._broker.risk
        if risk.state is not GuardState.ACTIVE:
            raise OrderError(
                f"state is {risk.state} ({risk.reason}): the roll could not open again what it "
                "closes; broker.resume() first"
            )
        for symbol in (plan.old, plan.new):
            busy = self.working_on(symbol)
            if busy is not None:
                raise OrderError(f"{symbol} is being rolled already: {busy.report()}")
        state = RollState(plan, self._context.now_ns())
        roll = Roll(self.ports, state, RollFile.of(self.folder, state))
        roll.begin(restarted=False)
        self.rolls.append(roll)
        return roll

    def estimate(self, plan: RollPlan) -> RollReport:
        """The cost of a roll at present prices; sends nothing."""
        fills = {}
        for symbol, phase in ((plan.old, RollPhase.CLOSING), (plan.new, RollPhase.OPENING)):
            quote = market_quote(self.ports, symbol)
            direction = plan.direction(phase)
            middle = price = float("nan")
            if quote is not None:
                middle = (quote.bid_price1 + quote.ask_price1) / 2
                price = quote.ask_price1 if direction.sign > 0 else quote.bid_price1
            cost = self._broker.order_cost(symbol, plan.lots, price, closes=True)
            fills[symbol] = RollFill(symbol, direction, price, plan.lots, cost.commission, middle)
        state = replace(RollState(plan, self._context.now_ns()), fills=fills)
        return make_report(state, self._context.instrument(plan.old).volume_multiple)

    def _side(self, symbol: str, side: str | None) -> Side:
        if side is not None:
            try:
                return Side(side)
            except ValueError as error:
                raise OrderError(f'side is "long", "short" or None, not {side!r}') from error
        held = [one for one in Side if self._held(symbol, one)]
        if not held:
            raise OrderError(f"the account holds nothing of {symbol}: there is nothing to roll")
        if len(held) > 1:
            raise OrderError(f'both sides of {symbol} are held: give side="long" or "short"')
        return held[0]

    def _held(self, symbol: str, side: Side) -> int:
        return int(number(self._broker.get_account_position(symbol), f"pos_{side}", 0))

    def _account(self) -> str:
        return str(self._trading.account_id)
