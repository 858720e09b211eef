"""An account in a few lines of text, for messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAN = float("nan")


def account_lines(
    account: Mapping[str, Any], positions: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """Equity, the day's profit and fees, funds and positions; no account number.

    Args:
        account: Fields as TqSdk names them, yuan.
        positions: By symbol, fields as TqSdk names them.
    """
    if "balance" not in account:
        return ("the account is not known",)
    balance, available = float(account["balance"]), float(account.get("available", _NAN))
    profit = balance - float(account.get("static_balance", _NAN))
    held = [
        f"{symbol} {side} {int(one[f'pos_{side}'])}"
        for symbol, one in positions.items()
        for side in ("long", "short")
        if one[f"pos_{side}"]
    ]
    return (
        f"equity {balance:,.2f} yuan, of the day {profit:+,.2f}",
        f"fees {float(account.get('commission', _NAN)):,.2f}, available {available:,.2f}",
        f"positions: {', '.join(held) or 'none'}",
    )
