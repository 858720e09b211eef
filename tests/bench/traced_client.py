"""``answering_client.py`` that also tells how long each part of the way of a tick takes.

The arguments are the same. Besides, the printed JSON object has ``stages``: the median of the
milliseconds from the part before, by the names of ``STAGES``.
"""

import asyncio.selector_events
import json
import statistics
import sys
import time

import answering_client
from tqsdk import TqApi

from tianqin_backtrader.core.clock import live_on
from tianqin_backtrader.gateway.client import Client
from tianqin_backtrader.gateway.loop import EventLoop

#: What each part ends with, by the side: bytes have come; TqSdk has merged them; our round is over;
#: the strategy is called; the order is made (and written down); its bytes are handed to the system.
STAGES = {
    "bare": ("read", "merged", "order", "written"),
    "ours": ("read", "merged", "round", "strategy", "order", "written"),
}
MARKS = []


def mark(name):
    MARKS.append((name, time.perf_counter()))


def marking(owner, method, *, before="", after=""):
    """Let a method leave marks."""
    plain = getattr(owner, method)

    def marked(*args, **kwargs):
        if before:
            mark(before)
        try:
            return plain(*args, **kwargs)
        finally:
            if after:
                mark(after)

    setattr(owner, method, marked)


def mark_everything(side):
    transport = asyncio.selector_events._SelectorSocketTransport
    marking(transport, "_read_ready", before="read")
    marking(transport, "write", after="written")
    marking(TqApi, "_wait_update", after="merged")
    if side == "bare":
        marking(TqApi, "insert_order", after="order")
        return
    marking(EventLoop, "poll", after="round")
    marking(answering_client.Answer, "next", before="strategy")
    answering_client.Answer.prenext = answering_client.Answer.next
    marking(Client, "send_now", before="order")


def ways(stages):
    """Of each order: when each part ended, from the pack's first byte to its own last one."""
    *parts, _ = stages
    for place, (name, _) in enumerate(MARKS):
        written = next((at for what, at in MARKS[place:] if what == "written"), None)
        if name != "order" or written is None:
            continue
        found, back = {"written": written}, place
        for part in reversed(parts):
            while back >= 0 and MARKS[back][0] != part:
                back -= 1
            found[part] = MARKS[back][1]
        while back > 0 and MARKS[back - 1][0] in ("read", "written"):
            back -= 1  # a large pack comes in pieces; a request for the next one is sent at once
            if found["read"] - MARKS[back][1] < 0.01 and MARKS[back][0] == "read":
                found["read"] = MARKS[back][1]
        yield [found[part] for part in stages]


def medians(side):
    stages = STAGES[side]
    rows = list(ways(stages))
    rows = rows[len(rows) // 2 :]
    return {
        name: statistics.median(1e3 * (row[number + 1] - row[number]) for row in rows)
        for number, name in enumerate(stages[1:])
    }


if __name__ == "__main__":
    SIDE, PLAN = sys.argv[1], json.loads(sys.argv[2])
    CLOCK = answering_client.MovedMachine(PLAN["clock_port"])
    live_on(CLOCK)
    mark_everything(SIDE)
    REPORT = getattr(answering_client, SIDE)(PLAN, CLOCK)
    print(json.dumps(REPORT | {"stages": medians(SIDE)}))
