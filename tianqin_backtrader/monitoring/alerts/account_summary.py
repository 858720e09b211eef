"""A summary of an account in a few lines of text, for messages."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.fields import Fields, number


def account_lines(account: Fields, positions: Mapping[str, Fields]) -> tuple[str, ...]:
    """Equity, the day's profit and fees, funds and positions; no account number.

    Args:
        account: Fields with TqSdk's names, yuan.
        positions: By symbol, fields with TqSdk's names.
    """
    if "balance" not in account:
        return ("the account is unknown",)
    balance = number(account, "balance")
    profit = balance - number(account, "static_balance")
    held = [
        f"{symbol} {side} {number(one, f'pos_{side}'):.0f}"
        for symbol, one in positions.items()
        for side in ("long", "short")
        if one[f"pos_{side}"]
    ]
    fees, available = number(account, "commission"), number(account, "available")
    return (
        f"equity {balance:,.2f} yuan, today {profit:+,.2f}",
        f"fees {fees:,.2f}, available {available:,.2f}",
        f"positions: {', '.join(held) or 'none'}",
    )
