"""Settings of Backtrader's simulated broker that an account does not have: refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import ConfigError

_FUNDS = "the account's funds are what they are; MyStore.sandbox(balance=...) begins with others"
_FILLS = "orders are filled by the exchange, at its prices and volumes"
_OPEN = (
    "a live bar is known when it has ended, nothing trades at its open any more; order in next()"
)
_MONEY = "the exchange and the account's broker say what is paid and asked for"
_UNITS = "an account is not kept in shares of a fund"
_PAST = "what was traded before is in the account, and in the records"


def _refused(name: str, why: str) -> Callable[..., None]:
    def refuse(self: Any, *_: Any, **__: Any) -> None:
        raise ConfigError(f"{name} is for Backtrader's simulated broker: {why}")

    refuse.__name__ = name
    refuse.__doc__ = f"Refused: {why}.\n\nRaises:\n    ConfigError: Always."
    return refuse


class SimulationSettings:
    """What scripts say to ``cerebro.broker`` before a back-test; a part of ``MyBroker``."""

    comminfo: dict[Any, Any]

    setcash = _refused("setcash", _FUNDS)
    set_cash = _refused("set_cash", _FUNDS)
    add_cash = _refused("add_cash", _FUNDS)
    set_coc = _refused("set_coc", _FILLS)
    set_coo = _refused("set_coo", _OPEN)
    set_slippage_perc = _refused("set_slippage_perc", _FILLS)
    set_slippage_fixed = _refused("set_slippage_fixed", _FILLS)
    set_filler = _refused("set_filler", _FILLS)
    set_eosbar = _refused("set_eosbar", _FILLS)
    set_checksubmit = _refused("set_checksubmit", _FILLS)
    set_shortcash = _refused("set_shortcash", _MONEY)
    set_int2pnl = _refused("set_int2pnl", _MONEY)
    set_fundmode = _refused("set_fundmode", _UNITS)
    set_fundstartval = _refused("set_fundstartval", _UNITS)
    set_fund_history = _refused("set_fund_history", _UNITS)
    add_order_history = _refused("add_order_history", _PAST)

    def setcommission(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        """Backtrader's own, for the feed of a name: what sizes and values are counted with.

        Raises:
            ConfigError: Without a name: TianQin's are known of every contract.
        """
        _must_be_named("setcommission", name)
        super().setcommission(*args, name=name, **kwargs)  # type: ignore[misc]

    def addcommissioninfo(self, comminfo: Any, name: str | None = None) -> None:
        """As ``setcommission``, with a ``bt.CommissionInfo``."""
        _must_be_named("addcommissioninfo", name)
        self.comminfo[name] = comminfo


def _must_be_named(what: str, name: str | None) -> None:
    if name is None:
        raise ConfigError(
            f"{what} needs the name of a feed here (name=...): margin and commission of every "
            "contract are TianQin's"
        )
