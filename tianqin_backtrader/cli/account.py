"""The state of an account, for ``positions`` and ``flatten``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .shell import console, table

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..store import MyStore

#: The fields of the account that are shown, with TqSdk's names.
FUNDS = ("balance", "available", "margin", "float_profit", "close_profit", "commission")
_HELD = ("open_price", "float_profit", "margin")


def picture(store: MyStore, settings: Settings, *, live: bool) -> dict[str, Any]:
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
        "currency": account.get("currency", "CNY"),
        "funds": {name: account.get(name) for name in FUNDS},
        "risk_ratio": account.get("risk_ratio"),
        "positions": [
            row
            for symbol, held in store.getbroker().get_account_positions().items()
            for row in _sides(symbol, held)
        ],
        "working_orders": [_order(order_id, leg) for order_id, leg in working(store).items()],
    }


def _sides(symbol: str, held: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each side that is not flat."""
    return [
        {
            "symbol": symbol,
            "side": side,
            "lots": held[f"pos_{side}"],
            "today": held[f"pos_{side}_today"],
            "last_price": held.get("last_price"),
            **{name: held.get(f"{name}_{side}") for name in _HELD},
        }
        for side in ("long", "short")
        if held[f"pos_{side}"]
    ]


def working(store: MyStore) -> dict[str, Any]:
    """The account's unfinished orders, also those of other programs, by id."""
    ours = {leg.order_id: leg for order in store.getbroker().get_all_orders() for leg in order.legs}
    return {
        order_id: leg
        for order_id, leg in {**store.getbroker().foreign_orders, **ours}.items()
        if not leg.over
    }


def _order(order_id: str, leg: Any) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "symbol": leg.symbol,
        "direction": str(leg.direction),
        "offset": str(leg.offset),
        "lots": leg.volume,
        "filled": leg.filled,
        "price": leg.limit_price,
    }


def show(found: dict[str, Any]) -> None:
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
        for row in found["working_orders"]:
            price = row["price"]
            orders.add_row(
                row["order_id"],
                row["symbol"],
                f"{row['direction']} {row['offset']}",
                str(row["lots"]),
                str(row["filled"]),
                price if isinstance(price, str) else _price(price),
            )
        out.print(orders)
    else:
        out.print("no working orders")


def _money(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, int | float) and value == value else "-"


def _price(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and value == value else "-"
