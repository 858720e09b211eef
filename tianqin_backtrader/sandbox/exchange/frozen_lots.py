"""What working orders freeze in an account: money to open lots, and the lots to close."""

from __future__ import annotations

from .account import Account, commission_fen
from .counter import PLAIN, Counter
from .order_rules import Order, frozen_per_lot


def freeze(
    account: Account, order: Order, upper: int, counter: Counter = PLAIN, settlement: int = 0
) -> None:
    """Freeze what a new order needs, given upper limit and last settlement price in ticks."""
    if order.opens:
        order.frozen_margin_per_lot, order.frozen_fee_per_lot = frozen_per_lot(order, upper)
        account.frozen_margin += order.frozen_margin_per_lot * order.volume
        account.frozen_commission += order.frozen_fee_per_lot * order.volume
        return
    if counter.freezes_closing_fee:
        ins = order.instrument
        order.frozen_fee_per_lot = commission_fen(ins, settlement, 1, closes_today=False)
        account.frozen_commission += order.frozen_fee_per_lot * order.volume
    side = account.holding(order.instrument).side(long=order.long)
    order.today_first = counter.takes_today_first(order.instrument.exchange_id)
    if order.closes == "today":
        order.frozen_today = order.volume
    elif order.closes == "any" and order.today_first:
        order.frozen_today = min(order.volume, side.closable(today=True))
    elif order.closes == "any":
        order.frozen_today = max(0, order.volume - side.closable(today=False))
    side.frozen_today += order.frozen_today
    side.frozen_his += order.volume - order.frozen_today


def unfreeze(account: Account, order: Order, volume: int) -> int:
    """Release what these lots have frozen; returns how many are lots of earlier days."""
    account.frozen_margin -= order.frozen_margin_per_lot * volume
    account.frozen_commission -= order.frozen_fee_per_lot * volume
    if order.opens:
        return 0
    side = account.holding(order.instrument).side(long=order.long)
    if order.today_first:
        his = volume - min(volume, order.frozen_today)
    else:
        his = min(volume, order.volume_left - order.frozen_today)
    side.frozen_his -= his
    side.frozen_today -= volume - his
    order.frozen_today -= volume - his
    return his
