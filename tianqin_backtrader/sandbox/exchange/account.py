"""One account's lots and money, in whole fen, so that the sums are exact.

Prices are counted in ticks of the contract; one tick of one lot is worth a whole number of fen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ..market.listing import Instrument


def fen_per_tick(instrument: Instrument) -> int:
    """The value of one tick of one lot, fen."""
    return round(instrument.price_tick * instrument.volume_multiple * 100)


def to_ticks(price: float, instrument: Instrument) -> int:
    """Convert a price to ticks, rounded to the nearest."""
    return round(price / instrument.price_tick)


def to_price(ticks: int, instrument: Instrument) -> float:
    """Convert ticks to a price in quote units."""
    return round(ticks * instrument.price_tick, instrument.price_decs)


def commission_fen(instrument: Instrument, ticks: int, volume: int, *, closes_today: bool) -> int:
    """Commission of a trade, rounded to the fen."""
    fees = instrument.fees
    per_lot, ratio = (
        (fees.today_per_lot, fees.today_ratio) if closes_today else (fees.per_lot, fees.ratio)
    )
    return round(volume * (per_lot * 100 + ticks * fen_per_tick(instrument) * ratio))


@dataclass(slots=True)
class Lots:
    """Lots that were opened together; prices in ticks. Lots are closed first in, first out."""

    volume: int
    open_price: int
    position_price: int
    today: bool


@dataclass(slots=True)
class Side:
    """The long or the short lots of a contract."""

    sign: int
    details: list[Lots] = field(default_factory=list)
    frozen_today: int = 0
    frozen_his: int = 0
    #: Lots held when the trading day began, and lots opened since whose close pays the today rate.
    at_begin: int = 0
    fee_today: int = 0

    def volume(self, *, today: bool) -> int:
        """Lots opened today, or those of earlier days."""
        return sum(lots.volume for lots in self.details if lots.today is today)

    @property
    def total(self) -> int:
        """The number of all lots."""
        return sum(lots.volume for lots in self.details)

    def closable(self, *, today: bool) -> int:
        """Lots that are not frozen by working orders."""
        return self.volume(today=today) - (self.frozen_today if today else self.frozen_his)

    def take(self, volume: int, *, today: bool) -> Iterator[Lots]:
        """Remove lots, the oldest first, and yield the removed ones."""
        for lots in list(self.details):
            if not volume:
                return
            if lots.today is not today:
                continue
            taken = min(volume, lots.volume)
            yield Lots(taken, lots.open_price, lots.position_price, today)
            lots.volume -= taken
            volume -= taken
            if not lots.volume:
                self.details.remove(lots)
        if volume:
            raise ValueError(f"{volume} lots more were closed than held")


class Holding:
    """Both sides (long and short) of one contract in one account."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.long, self.short = Side(1), Side(-1)
        self.last = 0  # ticks

    def side(self, *, long: bool) -> Side:
        """The long or the short side."""
        return self.long if long else self.short

    def _sum(self, side: Side, price: str) -> int:
        return sum(lots.volume * int(getattr(lots, price)) for lots in side.details)

    def cost(self, side: Side, price: str, *, today: bool) -> float:
        """Value in yuan of lots opened today or earlier, at ``open_price`` or another price."""
        lots = (one for one in side.details if one.today is today)
        ticks = sum(one.volume * int(getattr(one, price)) for one in lots)
        return ticks * fen_per_tick(self.instrument) / 100

    def profit_fen(self, side: Side, since: str) -> int:
        """Unrealised profit in fen since the open price or the position price."""
        moved = self.last * side.total - self._sum(side, since)
        return side.sign * moved * fen_per_tick(self.instrument)

    def margin_fen(self, side: Side) -> int:
        """Margin of the lots, fen."""
        value = self._sum(side, "position_price") * fen_per_tick(self.instrument)
        return round(value * self.instrument.margin_ratio)

    @property
    def held(self) -> bool:
        """Whether there are any lots."""
        return bool(self.long.details or self.short.details)

    @property
    def position_profit(self) -> int:
        """Unrealised profit of both sides since the last settlement, fen."""
        return sum(self.profit_fen(side, "position_price") for side in (self.long, self.short))

    @property
    def margin(self) -> int:
        """Margin of both sides, fen."""
        return self.margin_fen(self.long) + self.margin_fen(self.short)

    def wire(self) -> dict[str, Any]:
        """The position row as the server sends it."""
        ins = self.instrument
        row: dict[str, Any] = {
            "exchange_id": ins.exchange_id,
            "instrument_id": ins.code,
            "last_price": to_price(self.last, ins),
        }
        for name, side in (("long", self.long), ("short", self.short)):
            row.update(self._wire_side(name, side))
        for total in ("float_profit", "position_profit", "margin"):
            row[total] = round(row[f"{total}_long"] + row[f"{total}_short"], 2)
        row["market_value"] = 0.0
        return row

    def _wire_side(self, name: str, side: Side) -> dict[str, Any]:
        today, his = side.volume(today=True), side.volume(today=False)
        worth = fen_per_tick(self.instrument)
        opened, marked = self._sum(side, "open_price"), self._sum(side, "position_price")
        return {
            f"pos_{name}_today": today,
            f"pos_{name}_his": his,
            f"volume_{name}_today": today,
            f"volume_{name}_his": his,
            f"volume_{name}": side.total,
            f"volume_{name}_frozen_today": side.frozen_today,
            f"volume_{name}_frozen_his": side.frozen_his,
            f"volume_{name}_frozen": side.frozen_today + side.frozen_his,
            f"open_cost_{name}": opened * worth / 100,
            f"position_cost_{name}": marked * worth / 100,
            f"open_price_{name}": self._mean_price(opened, side.total),
            f"position_price_{name}": self._mean_price(marked, side.total),
            f"float_profit_{name}": self.profit_fen(side, "open_price") / 100,
            f"position_profit_{name}": self.profit_fen(side, "position_price") / 100,
            f"margin_{name}": self.margin_fen(side) / 100,
            f"market_value_{name}": 0.0,
        }

    def _mean_price(self, ticks: int, volume: int) -> float | None:
        """Mean price of ``volume`` lots from the sum ``ticks``, rounded; None if flat."""
        if not volume:
            return None
        return round(ticks * self.instrument.price_tick / volume, self.instrument.price_decs + 6)


class Account:
    """One account.

    balance = static_balance + close_profit + position_profit - commission;
    available = balance - margin - frozen_margin - frozen_commission.
    """

    def __init__(self, user_id: str, balance_fen: int) -> None:
        self.user_id = user_id
        self.static_balance = self.pre_balance = balance_fen
        self.close_profit = self.commission = 0
        self.frozen_margin = self.frozen_commission = 0
        self.holdings: dict[str, Holding] = {}

    def holding(self, instrument: Instrument) -> Holding:
        """The contract's position, created empty at the first call."""
        if instrument.symbol not in self.holdings:
            self.holdings[instrument.symbol] = Holding(instrument)
        return self.holdings[instrument.symbol]

    def closable(self, instrument: Instrument, *, long: bool, today: bool) -> int:
        """Lots that may be closed; does not create a position."""
        holding = self.holdings.get(instrument.symbol)
        return holding.side(long=long).closable(today=today) if holding is not None else 0

    @property
    def position_profit(self) -> int:
        """Unrealised profit since the last settlement, fen."""
        return sum(holding.position_profit for holding in self.holdings.values())

    @property
    def margin(self) -> int:
        """Margin of all lots, fen."""
        return sum(holding.margin for holding in self.holdings.values())

    @property
    def balance(self) -> int:
        """Equity, fen."""
        return self.static_balance + self.close_profit + self.position_profit - self.commission

    @property
    def available(self) -> int:
        """Funds available to new orders, fen."""
        return self.balance - self.margin - self.frozen_margin - self.frozen_commission

    def open(
        self, instrument: Instrument, volume: int, ticks: int, *, long: bool, fee: int | None = None
    ) -> int:
        """Book an opening trade at the commission ``fee`` if given; returns the commission, fen."""
        side = self.holding(instrument).side(long=long)
        side.details.append(Lots(volume, ticks, ticks, True))
        side.fee_today += volume
        if fee is None:
            fee = commission_fen(instrument, ticks, volume, closes_today=False)
        self.commission += fee
        return fee

    def close(
        self,
        instrument: Instrument,
        volume: int,
        ticks: int,
        *,
        long: bool,
        today: bool,
        fee: int | None = None,
    ) -> int:
        """Book a closing trade of lots opened today or earlier; returns its commission, fen."""
        side = self.holding(instrument).side(long=long)
        for lots in side.take(volume, today=today):
            moved = side.sign * (ticks - lots.position_price) * lots.volume
            self.close_profit += moved * fen_per_tick(instrument)
        side.fee_today = max(side.fee_today - volume, 0)
        if fee is None:
            fee = commission_fen(instrument, ticks, volume, closes_today=today)
        self.commission += fee
        return fee

    def settle(self, prices: dict[str, int], trading_day: date = date.min) -> None:
        """End the day: mark lots to settlement; today's lots become lots of earlier days.

        Args:
            prices: symbol -> settlement price in ticks; the last price is used for other symbols.
            trading_day: The day that ends; contracts that expire on it are flat afterwards.
        """
        for symbol, holding in self.holdings.items():
            holding.last = prices.get(symbol, holding.last)
        self.static_balance = self.pre_balance = self.balance
        self.close_profit = self.commission = 0
        self.frozen_margin = self.frozen_commission = 0
        self.holdings = {name: one for name, one in self.holdings.items() if one.held}
        for holding in self.holdings.values():
            ends = holding.instrument.expire.date() <= trading_day
            for side in (holding.long, holding.short):
                side.frozen_today = side.frozen_his = side.fee_today = 0
                side.details = [] if ends else _merged(side.details, holding.last)
                side.at_begin = side.total

    def wire(self) -> dict[str, Any]:
        """The account row as the server sends it, yuan."""
        balance, available, margin = self.balance, self.available, self.margin
        floating = sum(
            holding.profit_fen(side, "open_price")
            for holding in self.holdings.values()
            for side in (holding.long, holding.short)
        )
        fen = {
            "pre_balance": self.pre_balance,
            "static_balance": self.static_balance,
            "balance": balance,
            "available": available,
            "float_profit": floating,
            "position_profit": self.position_profit,
            "close_profit": self.close_profit,
            "frozen_margin": self.frozen_margin,
            "margin": margin,
            "frozen_commission": self.frozen_commission,
            "commission": self.commission,
            "frozen_premium": 0,
            "premium": 0,
            "deposit": 0,
            "withdraw": 0,
            "market_value": 0,
            "ctp_balance": balance,
            "ctp_available": available,
        }
        row: dict[str, Any] = {name: value / 100 for name, value in fen.items()}
        row["currency"] = "CNY"
        row["risk_ratio"] = margin / balance if balance > 0 else 0.0
        return row


def _merged(details: list[Lots], settlement: int) -> list[Lots]:
    """Lots of earlier days, marked to the settlement price; equal open prices are merged."""
    volumes: dict[int, int] = defaultdict(int)
    for lots in details:
        volumes[lots.open_price] += lots.volume
    return [Lots(volume, price, settlement, False) for price, volume in volumes.items()]
