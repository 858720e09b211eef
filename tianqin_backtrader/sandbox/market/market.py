"""The sandbox's market: generated ticks that look like real ones, equal for equal seeds.

Everything depends on the seed, the symbol and the calendar alone, counted from the day on which
the contract was listed: a sandbox that starts a week later has the same past and the same ids. A
latent walk over trading days gives each day its first and last price; the day itself is a bridge
between them, so any day can be generated alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Protocol

from ...session_calendar import SessionCalendar
from .continuous import Indexes, Mains
from .derivatives import Combinations, Options
from .futures import Futures
from .limit_lock import LimitLock
from .listing import Instrument, Listing
from .price_paths import Life, liquidity, most_liquid, trading_days
from .product_terms import TERMS
from .ticks import DayTicks

#: Days of ticks in the cache; older ones are generated again on request.
DAYS_KEPT = 256


class Maker(Protocol):
    """Generates the days of all instruments of a class."""

    def life(self, instrument: Instrument) -> Life:
        """Its days and the figures that are known before the ticks are generated."""
        ...

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The ticks of day number ``index``."""
        ...


class Market:
    """All contracts' trading days.

    Args:
        calendar: Sessions and trading days.
        instruments: By symbol.
        seed: Determines the market.
        last_day: The last day with main contracts; ``None`` is as long as there are contracts to
            choose from. They may be missing beyond the days for which ``instruments`` was built.
    """

    def __init__(
        self,
        calendar: SessionCalendar,
        instruments: Listing,
        seed: int,
        last_day: date | None = None,
    ) -> None:
        self.calendar = calendar
        self.instruments = instruments
        self.seed = seed
        self.last_day = last_day or date.max
        self._locks: dict[tuple[str, date], list[LimitLock]] = {}
        self.life = lru_cache(maxsize=None)(self._find_life)
        self.day = lru_cache(maxsize=DAYS_KEPT)(self._make_day)
        self.main_contracts = lru_cache(maxsize=None)(self._find_main_contracts)
        self._futures = lru_cache(maxsize=None)(self._find_futures)
        self._makers: dict[str, Maker] = {
            "FUTURE": Futures(calendar, seed, self.life, self._locks),
            "CONT": Mains(self),
            "INDEX": Indexes(self),
            "OPTION": Options(self),
            "COMBINE": Combinations(self),
        }

    # -- which days ---------------------------------------------------------------------------

    def days(self, symbol: str) -> tuple[date, ...]:
        """The trading days of a contract, from its listing to its expiry."""
        return self.life(symbol).days

    def first_tick_id(self, symbol: str, day: date) -> int:
        """The id of the first tick of a trading day."""
        life = self.life(symbol)
        return life.first_ids[bisect_left(life.days, day)]

    def tick_count(self, symbol: str, day: date) -> int:
        """How many ticks the trading day has; 0 outside the contract's life."""
        life = self.life(symbol)
        return life.counts[life.index(day)] if life.trades_on(day) else 0

    def following(self, product_key: str, day: date) -> list[Instrument]:
        """The product's contracts that trade on a day, in order of delivery."""
        return [one for one in self._futures(product_key) if one.listed <= day <= one.expire.date()]

    def _find_futures(self, product_key: str) -> list[Instrument]:
        every = self.instruments.of_product(product_key).values()
        return [one for one in every if one.ins_class == "FUTURE"]

    def main_contract(self, product_key: str, day: date) -> str:
        """The contract of ``KQ.m@``: the most traded one, never in its delivery month."""
        known = self.main_contracts(product_key).get(day)
        if known is not None:
            return known
        return max(
            self.following(product_key, day),
            key=lambda one: (liquidity(one, day), -one.expire.toordinal()),
        ).symbol

    def _find_main_contracts(self, product_key: str) -> Mapping[date, str]:
        """The main contract of each trading day, as far as contracts are known."""
        futures = self._futures(product_key)
        if not futures:
            return {}
        days = trading_days(self.calendar, futures[0].listed, self.last_day)
        places = most_liquid(futures, days)
        return {day: futures[place].symbol for day, place in zip(days, places, strict=False)}

    def main_table(self) -> dict[str, list[tuple[date, str]]]:
        """Per product, the days on which its main contract changed, and the new contract."""
        table: dict[str, list[tuple[date, str]]] = {}
        for key in TERMS:
            rows: list[tuple[date, str]] = []
            for day, symbol in self.main_contracts(key).items():
                if not rows or rows[-1][1] != symbol:
                    rows.append((day, symbol))
            if rows:
                table[key] = rows
        return table

    def lock(self, symbol: str, day: date, lock: LimitLock) -> None:
        """Hold a future, and instruments derived from it, at a price limit for a part of a day.

        Ticks keep their times and ids. Days that were returned before are unchanged.
        """
        self._locks.setdefault((symbol, day), []).append(lock)
        self.life.cache_clear()
        self.day.cache_clear()

    # -- ticks --------------------------------------------------------------------------------

    def _find_life(self, symbol: str) -> Life:
        instrument = self.instruments[symbol]
        return self._makers[instrument.ins_class].life(instrument)

    def _make_day(self, symbol: str, day: date) -> DayTicks:
        """The ticks of a trading day.

        Raises:
            KeyError: The contract does not trade on that day.
        """
        instrument, index = self.instruments[symbol], self.life(symbol).index(day)
        return self._makers[instrument.ins_class].day(instrument, index)
