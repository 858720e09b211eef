"""The state of an account, for ``positions`` and ``flatten``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ..core.fields import Fields, number
from .shell import console, table

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..orders.leg import OrderLeg
    from ..store import MyStore

#: The fields of the account that are shown, with TqSdk's names.
FUNDS = ("balance", "available", "margin", "float_profit", "close_profit", "commission")


class Held(TypedDict):
    """One side of a contract; NaN if the counter has not sent the value."""

    symbol: str
    side: str
    lots: int
    today: int
    last_price: float
    open_price: float
    float_profit: float
    margin: float


class Working(TypedDict):
    """An unfinished order."""

    order_id: str
    symbol: str
    direction: str
    offset: str
    lots: int
    filled: int
    price: float | str | None


class Picture(TypedDict):
    """An account, in the format of ``--json``."""

    account: str
    currency: str
    funds: dict[str, float]
    risk_ratio: float
    positions: list[Held]
    working_orders: list[Working]


def picture(store: MyStore, settings: Settings, *, live: bool) -> Picture:
    """Funds, positions and working orders of a store's account.

    Args:
        store: A ``MyStore`` whose broker has started.
        settings: The configuration that names the account.
        live: Whether it is the futures account.
    """
    account, ours = store.getbroker().get_account(), settings.account
    paper = f"paper account of {ours.user}"
    return {
        "account": f"{ours.number} with {ours.broker}" if live else paper,
        "currency": str(account.get("currency", "CNY")),
        "funds": {name: number(account, name) for name in FUNDS},
        "risk_ratio": number(account, "risk_ratio"),
        "positions": [
            row
            for symbol, held in store.getbroker().get_account_positions().items()
            for row in _sides(symbol, held)
        ],
        "working_orders": [_order(order_id, leg) for order_id, leg in working(store).items()],
    }


def _sides(symbol: str, held: Fields) -> list[Held]:
    """One row for each side that is not flat."""
    return [
        {
            "symbol": symbol,
            "side": side,
            "lots": int(number(held, f"pos_{side}", 0)),
            "today": int(number(held, f"pos_{side}_today", 0)),
            "last_price": number(held, "last_price"),
            "open_price": number(held, f"open_price_{side}"),
            "float_profit": number(held, f"float_profit_{side}"),
            "margin": number(held, f"margin_{side}"),
        }
        for side in ("long", "short")
        if held[f"pos_{side}"]
    ]


def working(store: MyStore) -> dict[str, OrderLeg]:
    """The account's unfinished orders, also those of other programs, by id."""
    ours = {leg.order_id: leg for order in store.getbroker().get_all_orders() for leg in order.legs}
    return {
        order_id: leg
        for order_id, leg in (store.getbroker().foreign_orders | ours).items()
        if not leg.over
    }


def _order(order_id: str, leg: OrderLeg) -> Working:
    return {
        "order_id": order_id,
        "symbol": leg.symbol,
        "direction": str(leg.direction),
        "offset": str(leg.offset),
        "lots": leg.volume,
        "filled": leg.filled,
        "price": leg.limit_price,
    }


def show(found: Picture) -> None:
    """Print the account as text."""
    out = console()
    out.print(found["account"], soft_wrap=True)
    funds = table("funds", found["currency"], right=(found["currency"],))
    for name, value in found["funds"].items():
        funds.add_row(name.replace("_", " "), _money(value))
    out.print(funds)
    out.print()
    if found["positions"]:
        columns = ("lots", "today", "opened at", "last", "profit", "margin")
        held = table("position", "", *columns, right=columns)
        for row in found["positions"]:
            prices = (_price(row["open_price"]), _price(row["last_price"]))
            money = (_money(row["float_profit"]), _money(row["margin"]))
            lots = (str(row["lots"]), str(row["today"]))
            held.add_row(row["symbol"], row["side"], *lots, *prices, *money)
        out.print(held)
    else:
        out.print("no positions")
    out.print()
    if found["working_orders"]:
        numbers = ("lots", "filled", "price")
        orders = table("working order", "symbol", "", *numbers, right=numbers)
        for order in found["working_orders"]:
            price = order["price"]
            orders.add_row(
                order["order_id"],
                order["symbol"],
                f"{order['direction']} {order['offset']}",
                str(order["lots"]),
                str(order["filled"]),
                price if isinstance(price, str) else _price(price),
            )
        out.print(orders)
    else:
        out.print("no working orders")


def _money(value: float | None) -> str:
    return f"{value:,.2f}" if value is not None and value == value else "-"


def _price(value: float | None) -> str:
    return f"{value:g}" if value is not None and value == value else "-"
