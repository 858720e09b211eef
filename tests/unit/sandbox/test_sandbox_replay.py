"""A market played from files."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tianqin_backtrader.errors import SandboxError
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox
from tianqin_backtrader.sandbox.market.bars import BarSeries
from tianqin_backtrader.sandbox.market.listing import build_instruments
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.sandbox.market.replay import FileMarket
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.session_calendar import CALENDAR

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded"
DAYS = [date(2026, 11, 9), date(2026, 11, 10)]
SYMBOL = "SHFE.cu2612"


@pytest.fixture(scope="module")
def market():
    return Market(CALENDAR, build_instruments(CALENDAR, DAYS[-1], DAYS[-1]), 1)


def frame(market, day):
    ticks = market.day(SYMBOL, day)
    table = {
        "id": ticks.first_id + np.arange(len(ticks)),
        "datetime": ticks.time,
        "last_price": ticks.last_price,
        "highest": ticks.highest,
        "lowest": ticks.lowest,
        "average": ticks.average,
        "volume": ticks.volume,
        "amount": ticks.amount,
        "open_interest": ticks.open_interest,
    }
    for name in ("bid_price", "bid_volume", "ask_price", "ask_volume"):
        for level in range(5):
            table[f"{name}{level + 1}"] = getattr(ticks, name)[:, level]
    return pd.DataFrame(table)


@pytest.fixture(params=["csv", "parquet"])
def folder(request, market, tmp_path):
    for day in DAYS:
        table = frame(market, day)
        path = tmp_path / f"ticks_{SYMBOL}_{day:%Y%m%d}.{request.param}"
        table.to_csv(path, index=False) if request.param == "csv" else table.to_parquet(path)
    return tmp_path


def test_what_was_written_is_played_again(market, folder):
    played = FileMarket(str(folder), CALENDAR)
    assert played.days(SYMBOL) == tuple(DAYS)
    assert played.first_day == DAYS[0]
    for day in DAYS:
        one, two = market.day(SYMBOL, day), played.day(SYMBOL, day)
        assert two.first_id == one.first_id
        for name in ("time", "last_price", "volume", "bid_price", "ask_volume", "open_interest"):
            assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True), name
    last = len(market.day(SYMBOL, DAYS[1])) - 1
    rows = []
    for source in (market, played):
        series = BarSeries(source, SYMBOL, 300_000_000_000)
        first = series.running_id(DAYS[1], -1) + 1
        rows.append(list(series.rows(first, first + 1000, DAYS[1], last).values()))
    assert rows[0] == rows[1]


def test_a_column_may_name_the_contract(market, tmp_path):
    table = frame(market, DAYS[0]).assign(symbol=SYMBOL)
    table.to_csv(tmp_path / "day.csv", index=False)
    assert FileMarket(str(tmp_path / "day.csv"), CALENDAR).days(SYMBOL) == (DAYS[0],)


def test_what_is_missing_is_said(market, tmp_path):
    with pytest.raises(SandboxError, match=r"no \.csv or \.parquet"):
        FileMarket(str(tmp_path), CALENDAR)
    table = frame(market, DAYS[0])
    table.to_csv(tmp_path / "day.csv", index=False)
    with pytest.raises(SandboxError, match="no contract like"):
        FileMarket(str(tmp_path), CALENDAR)
    table.drop(columns="volume").to_csv(tmp_path / "day.csv", index=False)
    with pytest.raises(SandboxError, match="no column volume"):
        FileMarket(str(tmp_path), CALENDAR)


@pytest.mark.parametrize(
    ("start", "days"),
    [(None, 3), (DAYS[0] - timedelta(days=7), 1), (DAYS[-1] + timedelta(days=7), 1)],
)
def test_days_that_were_not_recorded_are_not_played(market, tmp_path, start, days):
    """Nothing would happen in these days, for hours."""
    for day in DAYS:
        frame(market, day).to_csv(tmp_path / f"{day}_SHFE.cu2612.csv", index=False)
    with pytest.raises(SandboxError, match="hold trading days from"):
        make_engine(SandboxOptions(start=start, days=days, replay=str(tmp_path)))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded data is not here")
def test_a_recorded_day_is_served():
    path = RECORDED / "ticks_SHFE.cu1909_20190916.csv"
    with EmbeddedSandbox(replay=str(path)) as server:
        ticks = server.ticks("SHFE.cu1909", trading_day="2019-09-16")
        assert server.state()["trading_day"] == "2019-09-16"
    assert ticks == [] or ticks[0]["id"] >= 2822752


ONE, HALF = 10**9, 10**9 // 2
NINE = int(pd.Timestamp("2026-11-10 09:00", tz="Asia/Shanghai").value)
SUGAR = "CZCE.SR701"


def rows_of(*rows, ids=True):
    """(stamp after nine in nanoseconds, price, volume) as in a file."""
    return pd.DataFrame(
        {
            "datetime": NINE + stamp, "last_price": price, "volume": volume,
            "amount": volume * 100.0, "open_interest": 1000,
        } | ({"id": 70 + number} if ids else {})
        for number, (stamp, price, volume) in enumerate(rows)
    )  # fmt: skip


def played(tmp_path, *files):
    for number, file in enumerate(files):
        file.to_csv(tmp_path / f"{number}_{SUGAR}.csv", index=False)
    day = FileMarket(str(tmp_path), CALENDAR).day(SUGAR, DAYS[1])
    return [
        (int(stamp) - NINE, float(price), int(volume))
        for stamp, price, volume in zip(day.time, day.last_price, day.volume, strict=True)
    ]


@pytest.mark.parametrize("ids", [True, False])
def test_ticks_of_one_stamp_are_all_played_in_order(tmp_path, ids):
    """Exchanges that stamp to the second; the second one has a lower price and a later volume."""
    rows = [
        (0, 5900.0, 1), (0, 5895.0, 2), (0, 5905.0, 2), (ONE, 5901.0, 3), (ONE, 5901.0, 3),
        (60 * ONE, 5902.0, 4), (60 * ONE, 5903.0, 5),
    ]  # fmt: skip
    assert played(tmp_path, rows_of(*rows, ids=ids)) == [
        (-2_000, 5900.0, 1), (-1_000, 5895.0, 2), (0, 5905.0, 2), (ONE - 1_000, 5901.0, 3),
        (ONE, 5901.0, 3), (60 * ONE - 1_000, 5902.0, 4), (60 * ONE, 5903.0, 5),
    ]  # fmt: skip


def test_what_tianqin_has_already_told_apart_stays_as_it_is(tmp_path):
    rows = [(0, 5900.0, 1), (1_000, 5901.0, 2), (HALF, 5902.0, 3)]
    assert played(tmp_path, rows_of(*rows)) == rows


@pytest.mark.parametrize("ids", [True, False])
def test_files_that_overlap_are_one(tmp_path, ids):
    rows = [
        (0, 5900.0, 1),
        (0, 5901.0, 2),
        (ONE, 5901.0, 2),
        (ONE, 5901.0, 2),
        (2 * ONE, 5902.0, 3),
    ]
    whole = rows_of(*rows, ids=ids)
    found = played(tmp_path, whole[:4], whole[1:])
    assert [row[1:] for row in found] == [row[1:] for row in rows]


def test_minutes_hold_both_ticks_of_each_second(tmp_path):
    """Both ticks that are stamped with its end are in a minute."""
    rows = [
        (second * ONE, 5900.0 + 5 * (number % 2), number)
        for number, second in enumerate(sorted([*range(301), *range(301)]))
    ]
    rows_of(*rows).to_csv(tmp_path / f"{SUGAR}.csv", index=False)
    market = FileMarket(str(tmp_path), CALENDAR)
    series = BarSeries(market, SUGAR, 60 * ONE)
    last = market.tick_count(SUGAR, DAYS[1]) - 1
    first = series.running_id(DAYS[1], -1) + 1
    minutes = [
        row for row in series.rows(first, first + 1000, DAYS[1], last).values()
        if NINE <= row["datetime"] < NINE + 300 * ONE
    ]  # fmt: skip
    assert [(row["high"], row["low"]) for row in minutes] == [(5905.0, 5900.0)] * 5
    # The first tick of the file is the day's first: the volume before it is in the first minute.
    assert [row["close"] for row in minutes] == [5905.0] * 5
    assert [row["volume"] for row in minutes][1:] == [120] * 4
