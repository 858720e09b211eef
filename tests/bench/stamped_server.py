"""A sandbox that notes when the ticks of a contract leave and when orders arrive.

``python stamped_server.py STAMPS SYMBOL ...``: the other arguments are those of
``python -m tianqin_backtrader.sandbox``. Each line of the file STAMPS has a word, a moment of this
machine's monotonic clock and a number, both in nanoseconds where they are times: ``tick`` when a
pack with a tick of SYMBOL is about to be written, with the tick's own stamp; ``order`` when an
order has arrived, with its price; ``pack`` when a pack of market data is about to be written, with
its bytes.
"""

import json
import sys
import time
from pathlib import Path

from tianqin_backtrader.sandbox.__main__ import main
from tianqin_backtrader.sandbox.engine import Engine
from tianqin_backtrader.sandbox.wire.connection import Connection


def note(path, symbol):
    """Let the server of this process write its stamps."""
    lines = Path(path).open("w", encoding="ascii", buffering=1)  # until the process ends
    write, receive = Connection._write_frame, Engine.receive
    mark = f'"{symbol}":{{"data":'.encode()

    def write_and_note(link, frame):
        # Before the write: it may return long after the client was woken.
        left = time.monotonic_ns()
        write(link, frame)
        if link.kind != "md":
            return
        print("pack", left, len(frame), file=lines)
        if mark in frame:
            pack = json.loads(frame[frame.index(b'{"') :])  # a header may have a brace
            for row in _rows(pack, symbol):
                print("tick", left, row["datetime"], file=lines)

    def receive_and_note(engine, link, pack):
        if pack["aid"] == "insert_order":
            print("order", time.monotonic_ns(), pack["limit_price"], file=lines, flush=True)
        receive(engine, link, pack)

    Connection._write_frame, Engine.receive = write_and_note, receive_and_note


def _rows(pack, symbol):
    for difference in pack.get("data", ()):
        yield from difference.get("ticks", {}).get(symbol, {}).get("data", {}).values()


if __name__ == "__main__":
    note(*sys.argv[1:3])
    sys.exit(main(sys.argv[3:]))
