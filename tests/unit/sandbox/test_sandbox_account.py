"""Lots and money of one account, in whole fen."""

import dataclasses
import json
from datetime import date

import pytest

from tianqin_backtrader.sandbox.exchange.account import (
    Account,
    commission_fen,
    fen_per_tick,
    to_price,
    to_ticks,
)
from tianqin_backtrader.sandbox.market.listing import Fees, Instrument, build_instruments
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
INSTRUMENTS = build_instruments(CALENDAR, DAY, DAY)
CU, IF = INSTRUMENTS["SHFE.cu2612"], INSTRUMENTS["CFFEX.IF2612"]
AU = next(ins for name, ins in INSTRUMENTS.items() if name.startswith("SHFE.au"))
#: Fields of the documents, section 5 of the protocol.
ACCOUNT_FIELDS = {
    "currency", "pre_balance", "static_balance", "balance", "available", "ctp_balance",
    "ctp_available", "float_profit", "position_profit", "close_profit", "frozen_margin", "margin",
    "frozen_commission", "commission", "frozen_premium", "premium", "deposit", "withdraw",
    "risk_ratio", "market_value",
}  # fmt: skip
SIDE_FIELDS = (
    "pos_{}_his", "pos_{}_today", "volume_{}_today", "volume_{}_his", "volume_{}",
    "volume_{}_frozen_today", "volume_{}_frozen_his", "volume_{}_frozen", "open_price_{}",
    "open_cost_{}", "position_price_{}", "position_cost_{}", "float_profit_{}",
    "position_profit_{}", "margin_{}", "market_value_{}",
)  # fmt: skip
BOTH_FIELDS = {
    "exchange_id", "instrument_id", "last_price", "float_profit", "position_profit", "margin",
    "market_value",
}  # fmt: skip


def marked(account: Account, instrument: Instrument, ticks: int) -> Account:
    """Move the last price."""
    account.holding(instrument).last = ticks
    return account


def test_a_tick_of_a_lot_is_worth_whole_fen() -> None:
    for instrument in INSTRUMENTS.values():
        exact = instrument.price_tick * instrument.volume_multiple * 100
        assert fen_per_tick(instrument) == pytest.approx(exact, abs=1e-6), instrument.symbol


@pytest.mark.parametrize("instrument", [CU, IF, AU], ids=lambda ins: ins.symbol)
def test_prices_survive_being_counted_in_ticks(instrument: Instrument) -> None:
    for ticks in range(20_000, 20_500):
        assert to_ticks(to_price(ticks, instrument), instrument) == ticks


def test_commission_is_per_lot_or_per_turnover_and_rounded_to_the_fen_once_a_trade() -> None:
    both = dataclasses.replace(
        CU, fees=Fees(per_lot=1.5, ratio=1e-5, today_per_lot=0.0, today_ratio=2e-5)
    )
    # 3 lots of 5 tons at 78010 yuan: 4.5 + 11.7015 yuan
    assert commission_fen(both, 7801, 3, closes_today=False) == 1620
    assert commission_fen(both, 7801, 3, closes_today=True) == 2340


def test_an_opened_lot_binds_margin_and_costs_its_commission() -> None:
    account = Account("u", 100_000_000)
    fee = account.open(CU, 2, 7800, long=True)
    marked(account, CU, 7800)
    assert fee == round(2 * 78000 * 5 * 100 * 5e-5)
    assert account.margin == round(2 * 78000 * 5 * 100 * CU.margin_ratio)
    assert account.balance == 100_000_000 - fee
    assert account.available == account.balance - account.margin


def test_long_lots_gain_and_short_lots_lose_when_the_price_rises() -> None:
    account = Account("u", 100_000_000)
    account.open(CU, 2, 7800, long=True)
    account.open(CU, 1, 7800, long=False)
    marked(account, CU, 7810)
    row = account.holding(CU).wire()
    assert (row["float_profit_long"], row["float_profit_short"]) == (1000.0, -500.0)
    assert row["position_profit"] == 500.0
    assert account.position_profit == 50_000


def test_the_oldest_lots_are_closed_first() -> None:
    account = Account("u", 100_000_000)
    account.open(CU, 1, 7800, long=True)
    account.open(CU, 1, 7900, long=True)
    account.close(CU, 1, 7850, long=True, today=True)
    marked(account, CU, 7850)
    assert account.close_profit == 50 * 5000
    assert account.holding(CU).wire()["open_price_long"] == 79000.0


def test_more_than_is_held_cannot_be_closed() -> None:
    account = Account("u", 100_000_000)
    account.open(CU, 1, 7800, long=True)
    with pytest.raises(ValueError, match="1 lots more"):
        account.close(CU, 2, 7800, long=True, today=True)
    with pytest.raises(ValueError, match="1 lots more"):
        Account("v", 0).close(CU, 1, 7800, long=True, today=False)


def test_asking_what_may_be_closed_makes_no_position() -> None:
    account = Account("u", 100_000_000)
    assert account.closable(CU, long=True, today=True) == 0
    assert account.holdings == {}
    account.open(CU, 3, 7800, long=True)
    account.holding(CU).long.frozen_today = 2
    assert account.closable(CU, long=True, today=True) == 1
    assert account.closable(CU, long=False, today=True) == 0


def test_settlement_moves_profit_into_the_static_balance() -> None:
    account = Account("u", 100_000_000)
    fee = account.open(CU, 2, 7800, long=True)
    marked(account, CU, 7805)
    account.settle({CU.symbol: 7810})
    assert account.static_balance == account.pre_balance == 100_000_000 - fee + 2 * 10 * 5000
    assert (account.position_profit, account.close_profit, account.commission) == (0, 0, 0)
    row = account.holding(CU).wire()
    assert (row["pos_long_today"], row["pos_long_his"]) == (0, 2)
    assert (row["open_price_long"], row["position_price_long"]) == (78000.0, 78100.0)
    assert row["margin_long"] == round(2 * 78100 * 5 * CU.margin_ratio, 2)


def test_profit_since_the_opening_outlives_settlements_and_profit_of_the_day_does_not() -> None:
    account = Account("u", 100_000_000)
    account.open(CU, 1, 7800, long=False)
    account.settle({CU.symbol: 7790})
    marked(account, CU, 7795)
    row = account.holding(CU).wire()
    assert (row["float_profit_short"], row["position_profit_short"]) == (250.0, -250.0)
    account.close(CU, 1, 7795, long=False, today=False)
    assert account.close_profit == -25_000


def test_without_a_settlement_price_the_last_one_counts() -> None:
    account = Account("u", 100_000_000)
    account.open(CU, 1, 7800, long=True)
    marked(account, CU, 7807)
    balance = account.balance
    account.settle({})
    assert account.static_balance == balance


def test_a_closed_position_stays_with_zeros_until_settlement() -> None:
    account = Account("u", 100_000_000)
    account.open(CU, 1, 7800, long=True)
    account.close(CU, 1, 7800, long=True, today=True)
    row = account.holding(CU).wire()
    assert {row[f"pos_{side}_{kind}"] for side in ("long", "short") for kind in ("his", "today")} \
        == {0}  # fmt: skip
    assert row["open_price_long"] is None
    account.settle({CU.symbol: 7800})
    assert account.holdings == {}


@pytest.mark.parametrize("ticks", [22501, 22503, 22507, 23011])
def test_prices_of_lots_carry_no_binary_dust(ticks: int) -> None:
    account = Account("u", 100_000_000)
    account.open(IF, 1, ticks, long=True)
    account.open(IF, 2, ticks, long=True)
    assert account.holding(IF).wire()["open_price_long"] == round(ticks * 0.2, 1)


def test_the_wire_has_every_field_and_only_what_json_knows() -> None:
    account = Account("u", 100_000_000)
    account.open(AU, 1, 39_000, long=False)
    marked(account, AU, 39_010)
    row = account.holding(AU).wire()
    sides = {name.format(side) for name in SIDE_FIELDS for side in ("long", "short")}
    assert set(row) == sides | BOTH_FIELDS
    assert set(account.wire()) == ACCOUNT_FIELDS
    for told in (row, account.wire()):
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        assert {type(value) for value in told.values()} <= {int, float, str, type(None)}


def test_the_risk_is_margin_over_balance() -> None:
    account = Account("u", 10_000_000)
    assert account.wire()["risk_ratio"] == 0.0
    account.open(CU, 1, 7800, long=True)
    marked(account, CU, 7800)
    assert account.wire()["risk_ratio"] == account.margin / account.balance
