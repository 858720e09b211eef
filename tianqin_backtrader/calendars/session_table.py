"""The hours in force: the user's, those TianQin reports of a contract, or the product table's."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType

from ..errors import CalendarError
from .products import Product, Steps, did_you_mean, split_symbol
from .trading_hours import Hours, in_force

logger = logging.getLogger(__name__)

TradingTime = Mapping[str, Sequence[Sequence[str]] | None]


class HoursBook:
    """Hours by symbol and trading day, from a table and later additions.

    Attributes:
        products: The known products, read-only, by ``"EXCHANGE.product"``.
    """

    def __init__(self, products: Mapping[str, Product]) -> None:
        self.products: Mapping[str, Product] = MappingProxyType(dict(products))
        self._table = dict(products)
        self._users: frozenset[str] = frozenset()
        self._learned: dict[str, Steps] = {}
        self._told: set[tuple[str, Hours]] = set()
        self._keys: dict[str, str] = {}

    def product(self, symbol: str) -> Product:
        """The product of a symbol.

        Raises:
            CalendarError: Unknown product.
        """
        key = self._keys.get(symbol)
        if key is None:
            try:
                key = symbol if symbol in self.products else ".".join(split_symbol(symbol))
            except CalendarError as error:
                raise CalendarError(f"{error}{did_you_mean(symbol, self.products)}") from None
            if key not in self.products:
                raise CalendarError(
                    f"unknown product {key} (of {symbol!r}) in the session table; mind the case: "
                    "CZCE and CFFEX use capitals, the others small letters"
                    + did_you_mean(symbol, self.products)
                )
            self._keys[symbol] = key
        return self.products[key]

    def has_own(self, symbol: str) -> bool:
        """Whether the symbol may have hours of its own, different from its product's."""
        return symbol in self._learned

    def hours(self, symbol: str, day: date) -> Hours:
        """The hours in force on a trading day.

        Raises:
            CalendarError: Unknown product.
        """
        steps = self._learned.get(symbol)
        if not steps or day < steps[0][0]:
            steps = self.product(symbol).hours
        return in_force(steps, day)

    def learn(self, symbol: str, trading_time: TradingTime | None, today: date) -> bool:
        """Take the hours that TianQin reports; see ``SessionCalendar.learn``."""
        key = ".".join(split_symbol(symbol))
        try:
            hours = Hours.of_trading_time(trading_time)
        except CalendarError as error:
            logger.warning("%s keeps the table's hours: %s", symbol, error)
            return False
        if hours is None:
            return False
        if key not in self.products:
            self._add(key, hours, today)
            return True
        if hours == self.hours(symbol, today):
            return False
        table = in_force(self.products[key].hours, today)
        if hours != table and (key, hours) not in self._told:
            self._told.add((key, hours))
            whose = "the user's file" if key in self._users else "the session table"
            logger.warning("%s: TianQin reports %s, %s %s", symbol, hours, whose, table)
        if key in self._users:
            return False
        earlier = tuple(step for step in self._learned.get(symbol, ()) if step[0] < today)
        self._learned[symbol] = (*earlier, (today, hours))
        return True

    def _add(self, key: str, hours: Hours, today: date) -> None:
        logger.warning("%s is not in the session table; TianQin reports %s", key, hours)
        exchange, _, name = key.partition(".")
        added = Product(exchange, name, ((date.min, hours),), listed=today)
        self._table[key] = added
        self.products = MappingProxyType({**self.products, key: added})

    def use(self, hours: Mapping[str, Steps]) -> None:
        """Take the user's hours; see ``SessionCalendar.use_hours``."""
        products = dict(self._table)
        for key, steps in hours.items():
            exchange, _, name = key.partition(".")
            table = products.get(key) or Product(exchange, name, ((date.min, Hours(())),))
            earlier = tuple(step for step in table.hours if step[0] < steps[0][0])
            products[key] = replace(table, hours=(*earlier, *steps))
        self._users = frozenset(hours)
        self._learned = {
            symbol: steps
            for symbol, steps in self._learned.items()
            if self.product(symbol).key not in self._users
        }
        self._told.clear()
        self._keys.clear()
        self.products = MappingProxyType(products)
