"""Refuse settings of Backtrader's simulated broker that an account does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConfigError

_FUNDS = "the account has its own funds; in the sandbox, MyStore.sandbox(balance=...) sets them"
_FILLS = "orders are filled by the exchange, at its prices and volumes"
_OPEN = "a live bar is known only after it has ended, so no order can trade at its open; use next()"
_MONEY = "the exchange and the futures company determine margin and payments"
_UNITS = "an account is not kept in shares of a fund"
_PAST = "earlier trades are in the account and in the records"


_WHY = {
    "setcash": _FUNDS,
    "set_cash": _FUNDS,
    "add_cash": _FUNDS,
    "set_coc": _FILLS,
    "set_coo": _OPEN,
    "set_slippage_perc": _FILLS,
    "set_slippage_fixed": _FILLS,
    "set_filler": _FILLS,
    "set_eosbar": _FILLS,
    "set_checksubmit": _FILLS,
    "set_shortcash": _MONEY,
    "set_int2pnl": _MONEY,
    "set_fundmode": _UNITS,
    "set_fundstartval": _UNITS,
    "set_fund_history": _UNITS,
    "add_order_history": _PAST,
}


def refused(name: str) -> Callable[..., None]:
    """Make a method that refuses the setting of that name and says why."""
    why = _WHY[name]

    def refuse(self: Any, *_: Any, **__: Any) -> None:
        raise ConfigError(f"{name} is for Backtrader's simulated broker: {why}")

    refuse.__name__ = name
    refuse.__doc__ = f"Refused: {why}.\n\nRaises:\n    ConfigError: Always."
    return refuse


def must_be_named(what: str, name: str | None) -> None:
    """Refuse commissions for all contracts.

    Raises:
        ConfigError: No name was given.
    """
    if name is None:
        raise ConfigError(
            f"{what} needs the name of a feed here (name=...): margin and commission of every "
            "contract are TianQin's"
        )
