"""Specifications of what is derived from a product's contracts: its main contract and index."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ..session_calendar import Product

if TYPE_CHECKING:
    from .instruments import Instrument

_NEVER = datetime(2099, 12, 31, 15)


def main_of(product: Product, first: Instrument) -> Instrument:
    """``KQ.m@`` of a product; its days begin with those of the ``first`` contract."""
    return replace(
        first,
        symbol=f"KQ.m@{product.key}",
        exchange_id="KQ",
        code=f"m@{product.key}",
        ins_class="CONT",
        name=f"{product.name}主连",
        expire=_NEVER,
    )


def index_of(product: Product, first: Instrument) -> Instrument:
    """``KQ.i@`` of a product; its days begin with those of the ``first`` contract."""
    return replace(
        main_of(product, first),
        symbol=f"KQ.i@{product.key}",
        code=f"i@{product.key}",
        ins_class="INDEX",
        name=f"{product.name}指数",
        max_limit_order_volume=0,
        max_market_order_volume=0,
    )
