"""Rules that an order must pass before it is sent. All are off until a limit is given.

The exchanges count orders and cancels of a contract and day, and so do we; a day is a trading
day, from night to close.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..core.clock import SECOND
from ..errors import RiskRefused
from .limits import GuardState, OrderIntent, RiskContext, RiskLimits, reduces


class GuardEvent(StrEnum):
    """What changes it."""

    REDUCE = "REDUCE"
    HALT = "HALT"
    RESUME = "RESUME"


S, E = GuardState, GuardEvent

#: state -> event -> next state, every pair. Only ``RESUME`` leads back.
TRANSITIONS: Mapping[GuardState, Mapping[GuardEvent, GuardState]] = MappingProxyType(
    {
        S.ACTIVE: {E.REDUCE: S.REDUCING, E.HALT: S.HALTED, E.RESUME: S.ACTIVE},
        S.REDUCING: {E.REDUCE: S.REDUCING, E.HALT: S.HALTED, E.RESUME: S.ACTIVE},
        S.HALTED: {E.REDUCE: S.HALTED, E.HALT: S.HALTED, E.RESUME: S.ACTIVE},
    }
)


class RiskEngine:
    """Looks at every order before it is sent.

    Attributes:
        limits: A ``RiskLimits``.
        state: A ``GuardState``. It stays as it is overnight, until ``resume``.
        reason: Why it is not ACTIVE.
        changes: How often something has changed that a restart must know.
        loss_met: Whether ``max_daily_loss`` has changed the state, until ``answered_loss``.
        keeps_exits: Whether exits that were taken before a halt go on: its owner has not pressed
            the button, a loss or the records have halted trading.
        would_reduce: Why it would be REDUCING if it were not HALTED; "" if it would not.
    """

    def __init__(self, limits: RiskLimits | None = None) -> None:
        self.limits = limits or RiskLimits()
        self.state = GuardState.ACTIVE
        self.reason = ""
        self._day: date | None = None
        self._orders: Counter[str] = Counter()
        self._cancels: Counter[str] = Counter()
        self._last_second: deque[int] = deque()
        self._sent_at: dict[OrderIntent, int] = {}
        self._profit = 0.0
        self._forgiven = 0.0  # the day's profit when it was resumed last
        self.changes = 0
        self.loss_met = self.keeps_exits = False
        self.would_reduce = ""

    def to_dict(self) -> dict[str, Any]:
        """Its state, and what it has counted on the day, as plain values for a journal."""
        return {
            "state": str(self.state),
            "reason": self.reason,
            "day": self._day and self._day.isoformat(),
            "orders": dict(self._orders),
            "cancels": dict(self._cancels),
            "profit": self._profit,
            "forgiven": self._forgiven,
            "loss_met": self.loss_met,
            "keeps_exits": self.keeps_exits,
        }

    def recall(self, found: Mapping[str, Any]) -> None:
        """Go on with what ``to_dict`` of an earlier run gave."""
        self.state, self.reason = GuardState(found["state"]), found["reason"]
        self._day = found["day"] and date.fromisoformat(found["day"])
        self._orders, self._cancels = Counter(found["orders"]), Counter(found["cancels"])
        self._profit, self._forgiven = found["profit"], found["forgiven"]
        self.loss_met = found["loss_met"]
        self.keeps_exits = found.get("keeps_exits", False)  # version 0.1.0 did not write it

    def check(self, intent: OrderIntent, context: RiskContext) -> None:
        """Let an order pass, and count it as sent.

        Raises:
            RiskRefused: It breaks a limit; it is not counted.
        """
        self.watch(context)
        for rule in _RULES:
            rule(self, intent, context)
        if self.limits.orders_per_second is not None:
            self._last_second += [context.now] * intent.orders
        self._count(intent.symbol, intent.orders)
        if self.limits.no_repeat_within is not None:
            self._sent_at[intent] = context.now

    def admit(self, volume: int) -> None:
        """Look at the lots of an order that may wait long before it is sent.

        Raises:
            RiskRefused: There are too many: it could never be sent.
        """
        _refuse_above(self.limits, "max_order_size", volume, "the order has {} lots")

    def passed_by(self, symbol: str, orders: int, context: RiskContext) -> None:
        """Count exchange orders that are sent whatever the rules say."""
        self.watch(context)
        self._count(symbol, orders)

    def _count(self, symbol: str, orders: int) -> None:
        self._orders[symbol] += orders
        self.changes += 1

    def cancelled(self, symbol: str, context: RiskContext) -> None:
        """Count a cancel that is sent."""
        self.watch(context)
        self._cancels[symbol] += 1
        self.changes += 1

    def watch(self, context: RiskContext) -> GuardState:
        """Look at the day and its loss, without an order; return the state."""
        if context.trading_day != self._day:
            self._begin_day(context.trading_day)
        if not math.isnan(context.day_profit):
            self._profit = context.day_profit
        most, loss = self.limits.max_daily_loss, self._forgiven - self._profit
        if most is not None and loss >= most:
            before = self.state
            words = f"max_daily_loss is {most:.2f} yuan, the loss is {loss:.2f}"
            if self.limits.on_loss is S.HALTED:
                self.halt(words, keeps_exits=True)
            else:
                self.reduce(words)
            self.loss_met |= self.state is not before
        return self.state

    def answered_loss(self) -> None:
        """What ``loss_met`` asks for has been done."""
        self.loss_met = False
        self.changes += 1

    def reduce(self, reason: str) -> None:
        """From now on only what reduces."""
        if self.state is S.HALTED and not self.would_reduce:
            self.would_reduce = reason
            self.changes += 1
        self._apply(E.REDUCE, reason)

    def halt(self, reason: str, *, keeps_exits: bool = False) -> None:
        """From now on nothing, or nothing but exits that were taken before.

        A halt by its owner takes the place of another one, and is not loosened by any.
        """
        keeps = keeps_exits and (self.keeps_exits or self.state is not S.HALTED)
        if keeps is not self.keeps_exits:
            self.keeps_exits = keeps
            self.changes += 1
        self._apply(E.HALT, reason)
        if not keeps_exits and reason != self.reason:
            self.reason = reason
            self.changes += 1

    def resume(self) -> None:
        """Go on. The loss that was seen last is forgiven: the limit counts from there."""
        self._apply(E.RESUME, "")
        self.keeps_exits, self.would_reduce = False, ""
        self._forgiven, self.loss_met = min(self._profit, 0.0), False
        self.changes += 1

    def _begin_day(self, day: date) -> None:
        self._day = day
        self._profit = self._forgiven = 0.0
        self._orders.clear()
        self._cancels.clear()
        self._sent_at.clear()

    def _apply(self, event: GuardEvent, reason: str) -> None:
        following = TRANSITIONS[self.state][event]
        if following is not self.state or not reason:
            self.state, self.reason = following, reason
            self.changes += 1

    # -- the rules, in the order of ``_RULES`` -------------------------------------------------

    def _state_allows(self, intent: OrderIntent, context: RiskContext) -> None:
        goes_on = self.keeps_exits and intent.closes and intent.taken
        if self.state is S.HALTED and not goes_on:
            raise RiskRefused("state", self.state, intent.volume, f"no orders ({self.reason})")
        held = -context.position * intent.direction.sign
        stops = intent.taken and intent.volume <= held  # a loss is no reason to let it grow
        if self.state is S.REDUCING and not (stops or reduces(intent, context)):
            text = f"only orders that reduce ({self.reason})"
            raise RiskRefused("state", self.state, intent.volume, text)

    def _loss_known(self, _: OrderIntent, context: RiskContext) -> None:
        if self.limits.max_daily_loss is not None and math.isnan(context.day_profit):
            text = "the profit of the day is not known"
            raise RiskRefused("max_daily_loss", self.limits.max_daily_loss, math.nan, text)

    def _order_size(self, intent: OrderIntent, _: RiskContext) -> None:
        self.admit(intent.volume)

    def _position(self, intent: OrderIntent, context: RiskContext) -> None:
        if reduces(intent, context):
            return
        held = context.position * intent.direction.sign
        most = held + context.works(intent.direction) + intent.volume
        _refuse_above(self.limits, "max_position", most, "the position could become {} lots")

    def _price_distance(self, intent: OrderIntent, context: RiskContext) -> None:
        if self.limits.max_price_distance is None or intent.price is None:
            return
        last = context.last_price
        distance = abs(intent.price - last) / abs(last) if last else math.nan
        text = f"the price {intent.price} is {{:.4g}} away from the last, {last}"
        _refuse_above(self.limits, "max_price_distance", distance, text)

    def _per_second(self, intent: OrderIntent, context: RiskContext) -> None:
        while self._last_second and self._last_second[0] <= context.now - SECOND:
            self._last_second.popleft()
        if intent.taken and not self._last_second:
            return  # one that becomes more orders than the limit would wait for ever
        count = len(self._last_second) + intent.orders
        _refuse_above(self.limits, "orders_per_second", count, "this is number {} in a second")

    def _per_day(self, intent: OrderIntent, _: RiskContext) -> None:
        count = self._orders[intent.symbol] + intent.orders
        text = f"this is number {{}} of the day on {intent.symbol}"
        _refuse_above(self.limits, "orders_per_day", count, text)

    def _cancels_left(self, intent: OrderIntent, context: RiskContext) -> None:
        if not reduces(intent, context):
            count = self._cancels[intent.symbol] + 1
            text = f"a cancel of this order would be number {{}} of the day on {intent.symbol}"
            _refuse_above(self.limits, "cancels_per_day", count, text)

    def _self_trade(self, intent: OrderIntent, context: RiskContext) -> None:
        if not self.limits.no_self_trade:
            return
        for own in context.working:
            if own.direction is not intent.direction and _cross(intent, own.price):
                text = f"it would trade with an own {own.direction} at {own.price}"
                raise RiskRefused("no_self_trade", True, own.price, text)

    def _repeat(self, intent: OrderIntent, context: RiskContext) -> None:
        within, before = self.limits.no_repeat_within, self._sent_at.get(intent)
        if within is None or before is None or intent.taken:
            return
        seconds = (context.now - before) / SECOND
        if seconds < within:
            text = f"the same order was sent {seconds:.3g} seconds ago"
            raise RiskRefused("no_repeat_within", within, seconds, text)


Rule = Callable[[RiskEngine, OrderIntent, RiskContext], None]
_RULES: tuple[Rule, ...] = (
    RiskEngine._state_allows, RiskEngine._loss_known, RiskEngine._order_size, RiskEngine._position,
    RiskEngine._price_distance, RiskEngine._self_trade, RiskEngine._repeat,
    RiskEngine._cancels_left, RiskEngine._per_day, RiskEngine._per_second,
)  # fmt: skip


def _cross(intent: OrderIntent, price: float | None) -> bool:
    if intent.price is None or price is None:
        return True
    return (intent.price - price) * intent.direction.sign >= 0


def _refuse_above(limits: RiskLimits, name: str, value: Any, text: str) -> None:
    """Refuse what is not within a limit; what is no number is not within."""
    most = getattr(limits, name)
    if most is not None and not value <= most:
        raise RiskRefused(name, most, value, text.format(value))
