"""The commission of a trade at a counter."""

from __future__ import annotations

from .account import Side, commission_fen
from .counter import CLOSES_TODAY_APART, Counter
from .order_rules import Order


def trade_fee(
    counter: Counter,
    side: Side,
    order: Order,
    ticks: int,
    lots: int,
    *,
    today: bool,
    settlement: int,
) -> int:
    """Commission in fen of the lots that an order trades.

    Args:
        counter: Determines how commission is charged.
        side: The lots held before the trade.
        order: The order that trades.
        ticks: The trade's price.
        lots: The number of lots.
        today: Whether the closed lots were opened today.
        settlement: The last settlement price in ticks.
    """
    ins = order.instrument
    if counter.fee == "settlement":
        return commission_fen(ins, settlement, lots, closes_today=False)
    if order.opens:
        return commission_fen(ins, ticks, lots, closes_today=False)
    if counter.fee == "today" and ins.exchange_id not in CLOSES_TODAY_APART:
        as_today = min(lots, side.fee_today)
        earlier = lots - as_today
        charged = commission_fen(ins, ticks, as_today, closes_today=True)
        return charged + commission_fen(ins, ticks, earlier, closes_today=False)
    return commission_fen(ins, ticks, lots, closes_today=today)
