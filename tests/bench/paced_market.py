"""Ticks of many contracts, two a second each, as the sandbox replays them, and its run."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from silent_server import started

from tianqin_backtrader.core.clock import SECOND, to_ns

#: The traded contract: the others are spread over the exchanges.
TRADED = "SHFE.cu2612"
_PROGRAM = Path(__file__).with_name("stamped_server.py")
_MONTHS = ("2612", "2701", "2702", "2703", "2705", "2706", "2707")
_SHANGHAI = "cu al zn pb ni sn rb hc ag au ru sp bu fu ss".split()
_DALIAN = "m y p i jm j l v pp eg eb c cs a".split()


def contracts(count):
    """The traded contract, and others."""
    names = [f"SHFE.{product}{month}" for month in _MONTHS for product in _SHANGHAI]
    names += [f"DCE.{product}{month}" for month in _MONTHS[1:] for product in _DALIAN]
    order = np.random.default_rng(1).permutation(len(names) - 1) + 1
    return [TRADED, *(names[number] for number in order[: count - 1])]


def write_market(path, symbols, start, minutes):
    """Write a CSV file of ticks.

    Args:
        path: The file.
        symbols: The contracts.
        start: When ticks begin, naive Beijing time.
        minutes: How many.
    """
    count, rng = minutes * 120, np.random.default_rng(7)
    frames, offsets = [], {}
    for symbol in symbols:
        # An exchange sends its contracts together; exchanges are not in step.
        exchange = symbol.partition(".")[0]
        offset = offsets.setdefault(exchange, int(rng.integers(0, 500)) * SECOND // 1000)
        steps = rng.integers(-2, 3, count).cumsum()
        last = 80_000.0 + 10 * (steps - steps.min() if symbol == TRADED else steps)
        volume = rng.integers(1, 9, count).cumsum()
        frames.append(
            pd.DataFrame({
                "symbol": symbol,
                "datetime": to_ns(start) + offset + np.arange(count) * (SECOND // 2),
                "last_price": last, "volume": volume, "amount": volume * last * 5,
                "open_interest": 100_000 + rng.integers(-3, 4, count).cumsum(),
                "bid_price1": last - 10, "ask_price1": last + 10,
                "bid_volume1": 20, "ask_volume1": 20,
            })
        )  # fmt: skip
    pd.concat(frames).to_csv(path, index=False)


@contextmanager
def stamped_server(market, stamps, symbol, start):
    """Run ``stamped_server.py`` in real time, without telling it; yields what it says at first.

    Args:
        market: A file of ticks.
        stamps: The file STAMPS.
        symbol: The contract.
        start: The market's time at the start.
    """
    pace = ("--speed", "1", "--start", start, "--replay", market)
    with started(_PROGRAM, stamps, symbol, *pace) as said:
        yield said
