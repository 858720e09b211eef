"""Call auctions: before the night or the day opens, and at the close of index options."""

from datetime import datetime

import pytest

from tianqin_backtrader import session_calendar as calendar

HELD = [
    ("SHFE.cu2701", "2026-11-10 20:55:00", "orders before the night"),
    ("SHFE.cu2701", "2026-11-10 20:59:30", "matching before the night"),
    ("SHFE.cu2701", "2026-11-13 20:55:00", "before Friday's night"),
    ("SHFE.cu2701", "2026-11-11 08:55:00", "SHFE gathers orders in the morning, too"),
    ("SHFE.cu2701", "2026-11-16 08:58:00", "on Monday after Friday's night"),
    ("INE.sc2701", "2026-11-11 08:58:00", "INE too"),
    ("DCE.m2701", "2026-11-11 08:58:00", "DCE too"),
    ("CZCE.AP701", "2026-11-11 08:55:00", "a product without a night"),
    ("GFEX.lc2701", "2026-11-11 08:59:59", "a product without a night"),
    ("CZCE.SR611", "2026-10-08 08:56:00", "a night product on a day without a night"),
    ("CZCE.SR905", "2019-01-02 08:55:00", "CZCE notice 2018 no. 503"),
    ("SHFE.cu2003", "2020-02-04 08:55:00", "while nights were suspended"),
    ("SHFE.cu2307", "2023-05-26 08:55:00", "the first morning of the new rule"),
    ("CFFEX.IF2612", "2026-11-11 09:25:00", "index futures"),
    ("CFFEX.T2612", "2026-11-11 09:29:59", "bonds"),
    ("CFFEX.T1912", "2019-09-16 09:10:00", "bonds when they opened at 09:15"),
    ("CFFEX.IO2612-C-4500", "2026-11-11 14:57:00", "the close of index options"),
    ("SHFE.cu2701C78000", "2026-11-10 20:56:00", "an option with its underlying"),
    ("KQ.m@SHFE.cu", "2026-11-10 20:56:00", "a main contract with its product"),
]
NOT_HELD = [
    ("SHFE.cu2701", "2026-11-10 20:54:59", "too early"),
    ("SHFE.cu2701", "2026-11-10 21:00:00", "trading"),
    ("SHFE.cu2701", "2026-11-10 13:28:00", "none after lunch"),
    ("SHFE.cu2701", "2026-11-16 09:00:00", "trading"),
    ("SHFE.cu2701", "2026-11-15 20:56:00", "a Sunday"),
    ("SHFE.cu2611", "2026-09-30 20:56:00", "no night, no auction"),
    ("CZCE.SR701", "2026-11-11 08:56:00", "CZCE only cancels after a night"),
    ("SHFE.cu2307", "2023-05-25 08:56:00", "before the new rule"),
    ("CZCE.AP701", "2026-11-10 20:56:00", "no night"),
    ("CFFEX.IF2612", "2026-11-11 09:30:00", "trading"),
    ("CFFEX.IF2612", "2026-11-11 08:56:00", "too early for CFFEX"),
    ("CFFEX.IF2612", "2026-11-11 14:58:00", "futures have no closing auction"),
    ("CFFEX.T1912", "2019-09-16 09:25:00", "bonds of 2019 are open by then"),
    ("CFFEX.IO2612-C-4500", "2026-11-11 15:00:00", "closed"),
]


@pytest.mark.parametrize(("symbol", "now", "why"), HELD)
def test_an_auction_is_held(symbol, now, why):
    moment = datetime.fromisoformat(now)
    assert calendar.is_auction(symbol, moment), why
    at_the_close = moment.hour == 14
    assert calendar.is_trading_now(symbol, moment) is at_the_close


@pytest.mark.parametrize(("symbol", "now", "why"), NOT_HELD)
def test_no_auction_is_held(symbol, now, why):
    assert not calendar.is_auction(symbol, datetime.fromisoformat(now)), why
