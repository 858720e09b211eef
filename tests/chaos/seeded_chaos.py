"""Run a trading program in real time under random faults that a seed determines.

``run_chaos(seed, counter, folder)`` starts a sandbox, and ``chaos_program.py`` in another process.
It breaks links, rejects orders, lets other clients trade, kills and restarts the program and fills
its disk. Then it waits until nothing changes any more and returns the result of ``chaos_check``.
"""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaos_check import OURS, Evidence, RunEnd, check

from tianqin_backtrader.errors import SandboxError
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

PROGRAMS = Path(__file__).parents[1]
USER = "chaos"
CAP, OTHERS = 5, 2
#: Bytes of the disk for the records, and seconds between two looks at the exchange.
DISK, LOOK = 6_000_000, 0.25
#: Seconds until everything must be at rest, and seconds without a change that count as rest.
REST, STILL = 150.0, 5.0
#: Seconds after a broken link in which a starting program may fail because of it.
EXCUSED = 150.0
#: After this many runs the test stops.
RUNS = 9
#: Start times, and contracts that trade then.
STARTS = (
    ("2026-11-10 09:31:00", ("SHFE.cu2612", "INE.sc2701"), ("CFFEX.IF2612", "DCE.m2701")),
    ("2026-11-10 13:31:00", ("SHFE.rb2701", "SHFE.cu2612"), ("CZCE.SR701", "CFFEX.IF2612")),
    ("2026-11-09 21:05:00", ("INE.sc2701", "SHFE.rb2701"), ("DCE.m2701", "CZCE.SR701")),
    ("2026-11-10 10:14:20", ("SHFE.cu2612", "INE.sc2701"), ("CFFEX.IF2612",)),
)
#: Texts of a temporary and of a permanent rejection.
BUSY, POOR = "CTP:综合交易平台：系统繁忙", "CTP:资金不足"
KILLS = (0, 0, 1, 1, 2)
#: Seconds without an answer after which the library gives a connection up, and seconds of market
#: time after that in which a new session may still see an order sent on the old connection.
DEAD, LATE = 5.0, 2.5


@dataclass(frozen=True)
class Event:
    """A fault of the program or its environment, ``at`` seconds after the start."""

    at: float
    what: str
    params: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The run that a seed determines."""

    seed: int
    counter: str
    start: str
    speed: float
    symbols: tuple
    seconds: float
    flatten: bool
    on_restart: str
    events: tuple
    others: tuple

    @property
    def other_lots(self):
        """The most net lots that other terminals hold, by contract."""
        lots = Counter(dict.fromkeys(self.others, OTHERS))
        for event in self.events:
            if event.what.startswith("foreign"):
                lots[event.params["symbol"]] += event.params["volume"]
        return dict(lots)

    @property
    def text(self):
        events = ", ".join(f"{event.at:.1f} {event.what} {event.params}" for event in self.events)
        return (
            f"{self.counter} {self.seed}: {self.start} x{self.speed} {self.symbols} "
            f"others {self.others} flatten {self.flatten}: {events}"
        )


@dataclass
class Outcome:
    """The result of a plan."""

    plan: Plan
    violations: list
    figures: dict


def make_plan(seed, counter, seconds=15.0):
    """Draw the events; the same seed gives the same plan."""
    rng = random.Random(f"plan {counter} {seed}")
    start, firsts, seconds_of = rng.choice(STARTS)
    symbols = (rng.choice(firsts), rng.choice(seconds_of))
    events = []
    for _ in range(rng.choice((0, 1, 2, 3, 3, 4, 5))):
        drawn = draw_fault(rng, counter, rng.uniform(2.0, seconds), symbols)
        if not (_of_logins(drawn) and _of_logins(events)):  # two would stop trading for good
            events += drawn
    for _ in range(rng.choice(KILLS)):
        events.append(Event(rng.uniform(1.0, seconds), "kill", {"away": rng.uniform(0.0, 3.0)}))
    if rng.random() < 0.2:
        full = rng.uniform(2.0, seconds - 3)
        events += [Event(full, "disk full"), Event(full + rng.uniform(0.5, 6.0), "disk free")]
    others = ()
    if rng.random() < 0.4:
        same, apart = rng.choice(symbols), "DCE.i2701"
        others = rng.choice(((same,), (apart,), (same, apart)))
    return Plan(
        seed, counter, start, rng.choice((1, 2, 4)), symbols, seconds, rng.random() < 0.5,
        rng.choice(("expire", "resend")), tuple(sorted(events, key=lambda one: one.at)), others,
    )  # fmt: skip


def _of_logins(events):
    return any(event.what in ("second_login", "refuse_login") for event in events)


def draw_fault(rng, counter, at, symbols):
    """Draw one kind of fault with its parameters: events at ``at`` and shortly after."""
    conn = rng.choice(("md", "td", "all"))
    count, symbol = rng.randint(1, 3), rng.choice(symbols)
    drop = ("drop", {"conn": conn, "how": rng.choice(("abrupt", "clean"))})
    foreign = {"symbol": symbol, "direction": rng.choice(("BUY", "SELL")), "volume": count}
    kinds = {
        "drop": [drop],
        "cut": [("cut", {"conn": conn})],
        "freeze": [("freeze", {"conn": conn, "seconds": rng.uniform(0.5, 7.0)})],
        "refuse": [("refuse", {"conn": conn, "attempts": rng.randint(1, 2)}), drop],
        "refuse_token": [("refuse_token", {"status": rng.choice((401, 503))}), drop],
        "repeat": [("repeat", {"conn": conn})],
        "delay": [("delay", {"conn": conn, "seconds": rng.uniform(0.1, 1.5)})],
        "reject_order": [
            ("reject_order", {"count": count, "message": rng.choice((BUSY, BUSY, POOR))})
        ],
        "fill_away": [("fill_away", {"conn": conn, "seconds": rng.randint(5, 60)})],
        "cancel_away": [("cancel_away", {"conn": "td"})],
        "hole": [("hole", {"count": rng.randint(1, 5)})],
        "limit": [
            (rng.choice(("limit_up", "limit_down")),
             {"symbol": symbol, "seconds": rng.randint(5, 20)})
        ],
        "swallow_order": [("swallow_order", {"count": rng.randint(1, 2)})],
        "swallow_cancel": [("swallow_cancel", {"count": rng.randint(1, 2)})],
        "refuse_by_notice": [("refuse_by_notice", {"count": rng.randint(1, 2)})],
        "late_positions": [("late_positions", {"seconds": rng.uniform(0.5, 3.0)}), drop],
        "refuse_login": [("refuse_login", {}), drop],
        "second_login": [("second_login", {})],
        "foreign_order": [("foreign_order", {**foreign, "trade_first": rng.random() < 0.5})],
        "foreign_trade": [("foreign_trade", foreign)],
    }  # fmt: skip
    if counter == "ctp":
        lost = {"seconds": rng.uniform(2.0, 15.0), "notice": rng.random() < 0.5}
        kinds |= {"front_lost": [("front_lost", lost)],
                  "forget_order_ids": [("forget_order_ids", {})]}  # fmt: skip
    drawn = kinds[rng.choice(sorted(kinds))]
    events = [Event(at + 0.01 * place, *what) for place, what in enumerate(drawn)]
    if drawn[0][0] == "delay":
        events.append(Event(at + rng.uniform(1, 5), "delay", {"conn": conn, "seconds": 0.0}))
    return events


class Disk:
    """A small disk for the records, if this machine allows a mount."""

    def __init__(self, folder):
        self.folder, self._ballast = folder, folder / "ballast"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", str(folder)]
        self.mounted = not subprocess.run(command, capture_output=True, check=False).returncode

    def fill(self):
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def free(self):
        self._ballast.unlink(missing_ok=True)

    def end(self):
        """Unmount it; its files are copied to a folder beside it."""
        if self.mounted:
            kept = self.folder.with_name("records")
            shutil.copytree(self.folder / "records", kept, dirs_exist_ok=True)
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)


class Books:
    """The account's orders, trades and positions at the exchange, collected by polling."""

    def __init__(self, box):
        self._box = box
        self.orders, self.trades, self.positions, self.account = {}, {}, {}, {}
        self.changed_at, self._seen = time.monotonic(), None
        self.account_told = True

    def look(self):
        accounts = self._box.state()["accounts"]
        if not accounts:
            return
        [found] = accounts.values()
        if found["orders"] != {name: self.orders.get(name) for name in found["orders"]}:
            self.account_told = True
        alone = [one for one in found["trades"].values() if one["order_id"] not in found["orders"]]
        if any(one["trade_id"] not in self.trades for one in alone):
            self.account_told = self._box.counter != "ctp"
        self.orders |= found["orders"]
        self.trades |= found["trades"]
        self.positions, self.account = found["positions"], found["account"]
        held = {s: [p.get(n) for n in sorted(p) if n.startswith("pos_")]
                for s, p in self.positions.items()}  # fmt: skip
        seen = json.dumps([held, sorted(found["trades"]), self.alive])
        if seen != self._seen:
            self._seen, self.changed_at = seen, time.monotonic()

    def lots(self, symbol, side):
        held = self.positions.get(symbol, {})
        return [int(held.get(f"pos_{side}_{age}", 0)) for age in ("today", "his")]

    @property
    def alive(self):
        return sorted(i for i, order in self.orders.items() if order["status"] == "ALIVE")


class Chaos:
    """One run of a plan."""

    def __init__(self, plan, folder, box, disk):
        self.plan, self.folder, self.box, self.disk = plan, folder, box, disk
        self.books = Books(box)
        self.began = time.monotonic()
        self.ends, self.run, self.program, self.other = [], 0, None, None
        self.start_at, self.killed = self.began, False
        self.queue = list(plan.events)
        self.disk_full, self.troubles, self.calm_at = False, [], 0.0

    # -- processes ----------------------------------------------------------------------------

    def start_program(self):
        self.run += 1
        options = {
            "urls": self.box.urls, "folder": str(self.folder), "user": USER, "run": self.run,
            "records": str(self.disk.folder / "records"), "seed": self.plan.seed, "cap": CAP,
            "counter": self.plan.counter, "symbols": self.plan.symbols,
            "flatten": self.plan.flatten, "on_restart": self.plan.on_restart,
            "traded": sorted({*self.plan.symbols, *self.plan.others}),
        }  # fmt: skip
        with (self.folder / f"stderr_{self.run}").open("wb") as errors:
            self.program = subprocess.Popen(
                [sys.executable, PROGRAMS / "chaos_program.py", json.dumps(options)],
                stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        self.start_at, self.killed = None, False

    def start_other(self):
        options = {
            "folder": str(self.folder), "user": USER, "seed": self.plan.seed, "limit": OTHERS,
            "counter": self.plan.counter, "symbols": self.plan.others,
        }  # fmt: skip
        with (self.folder / "stderr_other").open("wb") as errors:
            self.other = subprocess.Popen(
                [sys.executable, PROGRAMS / "chaos_other.py", json.dumps(options)],
                env=os.environ | self.box.urls, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip

    def watch_program(self):
        """Note the program's end, and restart it as a supervisor would."""
        now = time.monotonic()
        if self.program is None:
            if self.start_at is not None and now >= self.start_at:
                self.start_program()
            return
        code = self.program.poll()
        if code is None:
            return
        words = (self.folder / f"stderr_{self.run}").read_text("utf-8", "replace").strip()
        last = words.splitlines()[-1] if words else ""
        self.ends.append(RunEnd(self.run, code, now, self.killed, self.excuse(last), last))
        self.program = None
        if code or self.killed:
            self.start_at = now + (self.killed or 1.0)

    def excuse(self, last):
        """Return why a failure at the program's start is allowed, "" if it is not."""
        recent = [what for at, what in self.troubles if time.monotonic() - at < EXCUSED]
        if "JournalError" in last and (self.disk_full or "disk full" in recent):
            return "disk full"
        links = ("LoginRefused", "LinkLost", "LinkTimeout")
        if any(name in last for name in links) and any(what != "disk full" for what in recent):
            return "links"
        return ""

    def kill(self, away):
        if self.program is not None and self.program.poll() is None:
            self.killed = away + 0.001
            self.program.kill()
            self.program.wait()

    # -- events -------------------------------------------------------------------------------

    def apply(self, event):
        self.troubles.append((time.monotonic(), event.what))
        if event.what == "kill":
            self.kill(event.params["away"])
        elif event.what == "disk full":
            if self.disk.mounted:
                self.disk_full = True
                self.disk.fill()
        elif event.what == "disk free":
            self.disk_full = False
            self.disk.free()
        elif event.what.startswith("foreign"):
            try:
                self.box.fault(event.what, offset=self.offset_of(event.params), **event.params)
            except SandboxError:  # an order has frozen the lots meanwhile
                self.box.fault(event.what, offset="OPEN", **event.params)
        elif event.what == "freeze":  # a faster market does not have a slower network
            longest = DEAD + LATE / self.plan.speed
            seconds = min(event.params["seconds"], longest)
            self.box.fault("freeze", **event.params | {"seconds": seconds})
        else:
            self.box.fault(event.what, **event.params)
        if event.what == "front_lost":
            ends = time.monotonic() + event.params["seconds"] / self.plan.speed
            self.calm_at = max(self.calm_at, ends)

    def offset_of(self, foreign):
        """Return the offset of another terminal's order: a close if possible, else an open."""
        side = "short" if foreign["direction"] == "BUY" else "long"
        today, his = self.books.lots(foreign["symbol"], side)
        apart = foreign["symbol"].startswith(("SHFE.", "INE."))
        if apart and today >= foreign["volume"]:
            return "CLOSETODAY"
        held = his if apart else today + his
        return "CLOSE" if held >= foreign["volume"] else "OPEN"

    def turn(self):
        now = time.monotonic() - self.began
        while self.queue and self.queue[0].at <= now:
            self.apply(self.queue.pop(0))
        self.watch_program()
        self.books.look()
        time.sleep(LOOK)

    def play(self):
        self.start_program()
        if self.plan.others:
            self.start_other()
        self.wait_until_it_trades()
        self.began = time.monotonic()
        while time.monotonic() - self.began < self.plan.seconds:
            self.turn()
        self.settle()

    def wait_until_it_trades(self):
        """Wait until the program runs; the times of events count from then on."""
        deadline = time.monotonic() + REST
        while time.monotonic() < deadline:
            if any(line["kind"] == "data" for line in self.diary()):
                return
            self.watch_program()
            time.sleep(LOOK)

    def settle(self):
        """End all faults, wait for rest, and let the program end by itself."""
        for event in self.queue:
            if event.what in ("disk free", "delay"):
                self.apply(event)
        self.queue.clear()
        self.box.fault("thaw", conn="all")
        self.box.fault("delay", conn="all", seconds=0.0)
        day, _, time_of_day = self.box.state()["now"].partition(" ")
        if "10:13" < time_of_day < "10:30":  # no notifications for a feed without a bar
            self.box.advance(to=f"{day} 10:30:01")
        (self.folder / "drain").touch()
        deadline = time.monotonic() + REST
        while time.monotonic() < deadline and not self.at_rest() and self.run < RUNS:
            self.turn()
        (self.folder / "finish").touch()
        deadline = time.monotonic() + REST
        while time.monotonic() < deadline and self.run < RUNS and self.goes_on:
            self.turn()
        if self.program is not None:  # having to kill it is a violation
            self.program.kill()
            self.program.wait()
            self.watch_program()

    @property
    def goes_on(self):
        """Whether the program runs, or will be restarted."""
        return self.program is not None or bool(self.ends[-1].code)

    def at_rest(self):
        """Return whether exchange and program have had no open orders for a while."""
        if self.books.alive or self.program is None:
            return False
        if self.other is not None and self.other.poll() is None:
            return False
        quiet = [line["t"] for line in self.diary() if line["kind"] == "quiet"]
        since = max([self.books.changed_at, self.calm_at, *quiet[-1:]])
        return bool(quiet) and time.monotonic() - since > STILL

    # -- the end ------------------------------------------------------------------------------

    def diary(self):
        path = self.folder / "diary.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def evidence(self):
        self.books.look()
        tables = {}
        for path in (self.disk.folder / "records" / "chaos").glob("*.csv"):
            with path.open(encoding="utf-8", newline="") as file:
                tables[path.stem] = list(csv.DictReader(file))
        return Evidence(
            self.diary(), self.ends, self.books.orders, self.books.trades, self.books.positions,
            self.books.account, tables, CAP, self.plan.other_lots, self.books.account_told,
        )  # fmt: skip

    def figures(self, evidence):
        rounds = [line["took"] for line in evidence.diary if line["kind"] == "round"]
        rounds += [line["longest"] for line in evidence.diary if line["kind"] in ("final", "end")]
        return {
            "orders": sum(i.startswith(OURS) for i in evidence.orders),
            "fills": sum(t["order_id"].startswith(OURS) for t in evidence.trades.values()),
            "other orders": sum(not i.startswith(OURS) for i in evidence.orders),
            "runs": self.run,
            "kills": sum(bool(end.killed) for end in self.ends),
            "faults": len(self.plan.events),
            "longest round": max(rounds, default=0.0),
            "seconds": time.monotonic() - self.began,
        }

    def end(self):
        for process in (self.program, self.other):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


def run_chaos(seed, counter, folder, seconds=15.0):
    """Run a seed to its end.

    Args:
        seed: Determines the events.
        counter: ``"kq"``, ``"ctp"`` or ``"plain"``.
        folder: An empty folder.
        seconds: How long faults occur.
    """
    plan = make_plan(seed, counter, seconds)
    with ExitStack() as ends:
        disk = Disk(folder / "disk")
        ends.callback(disk.end)
        box = ends.enter_context(
            EmbeddedSandbox(
                start=plan.start,
                days=2,
                speed=plan.speed,
                seed=seed,
                balance=1e7,
                counter=counter,
            )
        )
        chaos = Chaos(plan, folder, box, disk)
        ends.callback(chaos.end)
        chaos.play()
        evidence = chaos.evidence()
        figures = chaos.figures(evidence)
    return Outcome(plan, check(evidence), figures)
