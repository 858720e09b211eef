"""What working orders bind of an account: money to open lots, and the lots they are to close."""

from __future__ import annotations

from .account import Account
from .order_rules import CLOSES_TODAY_APART, Order, frozen_per_lot


def freeze(account: Account, order: Order, upper: int) -> None:
    """Bind what a new order needs; ``upper`` is the day's limit in ticks."""
    if order.opens:
        order.frozen_margin_per_lot, order.frozen_fee_per_lot = frozen_per_lot(order, upper)
        account.frozen_margin += order.frozen_margin_per_lot * order.volume
        account.frozen_commission += order.frozen_fee_per_lot * order.volume
        return
    side = account.holding(order.instrument).side(long=order.long)
    if order.offset == "CLOSETODAY":
        order.frozen_today = order.volume
    elif order.instrument.exchange_id not in CLOSES_TODAY_APART:
        order.frozen_today = max(0, order.volume - side.closable(today=False))
    side.frozen_today += order.frozen_today
    side.frozen_his += order.volume - order.frozen_today


def unfreeze(account: Account, order: Order, volume: int) -> int:
    """Release what some of its lots bind; returns how many are lots of earlier days."""
    if order.opens:
        account.frozen_margin -= order.frozen_margin_per_lot * volume
        account.frozen_commission -= order.frozen_fee_per_lot * volume
        return 0
    side = account.holding(order.instrument).side(long=order.long)
    his = min(volume, order.volume_left - order.frozen_today)
    side.frozen_his -= his
    side.frozen_today -= volume - his
    order.frozen_today -= volume - his
    return his
