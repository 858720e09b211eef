"""Settings of Backtrader's simulated broker that an account does not have: refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConfigError

_FUNDS = "the account's funds are what they are; MyStore.sandbox(balance=...) begins with others"
_FILLS = "orders are filled by the exchange, at its prices and volumes"
_OPEN = (
    "a live bar is known when it has ended, nothing trades at its open any more; order in next()"
)
_MONEY = "the exchange and the account's broker say what is paid and asked for"
_UNITS = "an account is not kept in shares of a fund"
_PAST = "what was traded before is in the account, and in the records"


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
    """What a setting of that name does here: it says why it has no meaning."""
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
