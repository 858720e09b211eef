"""The other side of the comparisons: tqsdk without anything of ours."""

import os
import time

from tqsdk import TqApi, TqAuth, TqKq


def bare_api(server):
    """A TqApi on an embedded exchange."""
    before = dict(os.environ)
    os.environ.update(server.urls)
    try:
        return TqApi(TqKq(), auth=TqAuth("u", "p"), disable_print=True, debug=False)
    finally:
        os.environ.clear()
        os.environ.update(before)


def bare_rate(server, symbols, wanted, durations=()):
    """Ticks per second through ``wait_update``.

    Args:
        server: An embedded exchange.
        symbols: Contracts whose ticks are subscribed.
        wanted: Ticks to wait for, at least.
        durations: Seconds of bars that are subscribed as well.
    """
    with bare_api(server) as api:
        serials = [api.get_tick_serial(symbol) for symbol in symbols]
        for symbol in symbols:
            for seconds in durations:
                api.get_kline_serial(symbol, seconds)

        def taken():
            return sum(max(0, int(serial["id"].iloc[-1])) for serial in serials)

        first, began, packs = taken(), time.perf_counter(), 0
        while packs % 10 or taken() - first < wanted:
            api.wait_update()
            packs += 1
        return (taken() - first) / (time.perf_counter() - began)
