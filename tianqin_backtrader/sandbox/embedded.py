"""Start the embedded exchange from a program, and talk to it.

The exchange runs in a process of its own, which ends with this one whatever happens to it.

    with EmbeddedSandbox(start="2026-11-10") as sandbox:
        os.environ.update(sandbox.urls)      # or hand the addresses to TqApi
        ...

Nothing here touches the environment, and nothing of the exchange is imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlencode

from ..core.clock import live_on, machine
from ..core.http import ask
from ..core.shared_clock import SharedClock
from ..errors import SandboxError

_START_SECONDS = 60.0
_STOP_SECONDS = 2.0
_REQUEST_SECONDS = 60.0


class EmbeddedSandbox:
    """A running exchange.

    Args:
        port: 0 takes any free one.
        seed: Names the market: equal seeds have equal ticks. Default 20261110.
        start: A trading day (``date`` or ``"2026-11-10"``), which begins with its night, or a
            moment (``datetime`` or ``"2026-11-10 09:30:00"``), Beijing time.
        days: Trading days until the market stands still.
        speed: Times real time; ``None`` is as fast as the client asks.
        ticks_per_pack: Market steps gathered into one pack: how many ticks come at once.
        balance: What a new account begins with, yuan.
        users: Passwords by name; without it everybody is let in.
        script: Faults and when they come, ``{"at": {"step": 5}, "fault": "drop"}``.
        replay: A file or folder of recorded ticks.
        counter: ``"plain"`` shows the exchange's books as they are, at once; ``"kq"`` is like
            TianQin's paper account, ``"ctp"`` like a futures company's (docs/counters.md).
        query_seconds: At ``ctp`` how old every queried figure is, market seconds; None is between
            0.1 and 2.3 by the seed.
        commission: At ``ctp`` what stands in a trade: ``"zero"``, ``"dash"`` (no value) or
            ``"absent"``; None is each in its turn.
        account_file: A JSON file of a recorded account (``accounts``, ``positions``, ``orders``,
            ``trades``), which every user is shown at the login; it cannot be traded.
        tells_time: False is like the real TianQin: no pack tells the market's time. The whole
            library then lives on the sandbox's clock in this process, until ``close``: so many
            times as fast as ``speed`` says; without a speed it goes on while the program waits
            (docs/sandbox.md, "Silent about the time").
        clock_ahead: Then: seconds by which the machine's clock is ahead of the market's at the
            start; below 0 it is behind.
        clock_drift: Then: seconds that the machine's clock gains in each second.

    Attributes:
        urls: The environment variables that lead TqSdk to the exchange.
        port: Where it listens, on 127.0.0.1.
        pid: Its process.
        counter: As given.
        clock_port: Where the clock is that it shares; 0 where it tells the time.
        clock: The machine's clock of this process then, else None.

    Raises:
        SandboxError: It did not start; the message says why.
    """

    urls: dict[str, str]
    port: int
    pid: int
    counter: str
    clock_port: int
    clock: SharedClock | None

    def __init__(
        self,
        *,
        port: int = 0,
        seed: int | None = None,
        start: date | datetime | str | None = None,
        days: int = 1,
        speed: float | None = None,
        ticks_per_pack: int = 1,
        balance: float = 1_000_000.0,
        users: Mapping[str, str] | None = None,
        script: Iterable[Mapping[str, Any]] = (),
        replay: str | Path | None = None,
        counter: str = "kq",
        query_seconds: float | None = None,
        commission: str | None = None,
        account_file: str | Path | None = None,
        tells_time: bool = True,
        clock_ahead: float = 0.0,
        clock_drift: float = 0.0,
    ) -> None:
        if tells_time and (clock_ahead or clock_drift):
            raise SandboxError("clock_ahead and clock_drift need tells_time=False")
        if not tells_time and isinstance(machine(), SharedClock):
            raise SandboxError("this process lives on another sandbox's clock; close that first")
        command = [sys.executable, "-m", "tianqin_backtrader.sandbox", "--json", "--parent-pipe"]
        command += ["--port", str(port), "--days", str(days), "--balance", repr(balance)]
        command += ["--ticks-per-pack", str(ticks_per_pack)]
        command += ["--counter", counter]
        optional = {
            "--seed": seed,
            "--start": start,
            "--speed": speed,
            "--replay": replay,
            "--query-seconds": query_seconds,
            "--commission": commission,
            "--account-file": account_file,
        }
        for option, value in optional.items():
            if value is not None:
                command.append(f"{option}={value}")
        if not tells_time:
            command.append("--silent")
        for name, password in (users or {}).items():
            command.append(f"--user={name}:{password}")
        with tempfile.TemporaryDirectory(prefix="tianqin_sandbox_") as folder:
            planned = list(script)
            if planned:
                path = Path(folder, "script.json")
                path.write_text(json.dumps(planned), encoding="utf-8")
                command += ["--script", str(path)]
            process, ready, errors = _launch(command)
        self.counter = counter
        self.port = int(ready["port"])
        self.urls = dict(ready["urls"])
        self.pid = process.pid
        self._process = process
        self._errors = errors
        self.clock_port, self.clock = int(ready["clock_port"]), None
        if not tells_time:
            self.clock = SharedClock(self.clock_port, ahead=clock_ahead, drift=clock_drift)
            live_on(self.clock)
        self._finalizer = weakref.finalize(
            self, _end, process, errors, os.getpid(), clock=self.clock
        )

    def state(self) -> dict[str, Any]:
        """Clock, connections, faults, and the books of all accounts, as they are now.

        Returns:
            A dict; its keys are in docs/sandbox.md, "Looking behind the counter": ``now`` (naive
            Beijing text), ``phase``, ``accounts`` by user, ...

        Raises:
            SandboxError: The exchange has ended, or does not answer within 60 s; from every method.
        """
        return self._ask("GET", "/sandbox/state")

    def fault(self, name: str, /, **params: Any) -> dict[str, Any]:
        """Make something go wrong now.

        Args:
            name: ``"drop"``, ``"cut"``, ``"refuse"``, ``"freeze"``, ``"thaw"``, ``"delay"``,
                ``"latency"``, ``"stop_program"``,
                ``"repeat"``, ``"batch"``, ``"refuse_token"``, ``"slow_login"``, ``"licence"``,
                ``"clock"``,
                ``"reject_order"``, ``"advance"``, ``"fill_away"``, ``"cancel_away"``, ``"hole"``,
                ``"shuffle"``, ``"odd_tick"``, ``"limit_up"``, ``"limit_down"``, and those of the
                counters:
                ``"refuse_login"``, ``"password_change"``, ``"second_login"``, ``"front_lost"``,
                ``"swallow_order"``, ``"swallow_cancel"``, ``"refuse_by_notice"``,
                ``"late_positions"``, ``"forget_order_ids"``, ``"foreign_order"``,
                ``"foreign_trade"``: what they do is in docs/sandbox.md, "Faults".
            params: Of that fault: ``conn`` (``"md"``, ``"td"`` or ``"all"``), ``seconds``, ...

        Returns:
            What was hit, such as ``{"connections": 2}``.

        Raises:
            SandboxError: No such fault, or no such parameter; the message says what there is.
        """
        return self._ask("POST", "/sandbox/fault", {"fault": name, **params})

    def advance(
        self,
        *,
        seconds: float | None = None,
        to: datetime | str | None = None,
        steps: int | None = None,
    ) -> dict[str, Any]:
        """Let the market run on without waiting for its clients; one argument must be given.

        Args:
            seconds: Of market time.
            to: A market time, ``"2026-11-10 09:30:00"``, naive Beijing.
            steps: Market steps; one brings the next ticks that share a stamp.

        Returns:
            ``steps`` made and ``now_ns``, the market's time in nanoseconds since 1970 UTC.

        Raises:
            SandboxError: None of them was given, or it is no time.
        """
        moment = None if to is None else str(to)
        params = {"seconds": seconds, "to": moment, "steps": steps}
        return self._ask("POST", "/sandbox/advance", params)

    def bars(
        self,
        symbol: str,
        seconds: int = 60,
        *,
        trading_day: date | str | None = None,
        left: int | None = None,
        right: int | None = None,
    ) -> list[dict[str, Any]]:
        """The official bars, oldest first: of a trading day, by id, or the newest 200.

        Args:
            symbol: ``"SHFE.cu2612"``.
            seconds: Length of a bar: 60, 180, ... 3600, or 86400 for trading days.
            trading_day: ``"2026-11-10"``, the night before it included.
            left, right: First and last id, both included.

        Returns:
            Rows as TianQin names them: ``id``, ``datetime`` (the bar's beginning, nanoseconds
            since 1970 UTC), ``open high low close``, ``volume`` in lots, ``open_oi close_oi``.

        Raises:
            SandboxError: No such symbol.
        """
        ask = {"symbol": symbol, "seconds": seconds}
        return self._rows("/sandbox/bars", ask, trading_day, left, right)

    def ticks(
        self,
        symbol: str,
        *,
        trading_day: date | str | None = None,
        left: int | None = None,
        right: int | None = None,
    ) -> list[dict[str, Any]]:
        """The ticks so far, oldest first: of a trading day, by id, or the newest 200.

        Args:
            symbol, trading_day, left, right: As for ``bars``.

        Returns:
            Rows as TianQin names them: ``id``, ``datetime`` (nanoseconds since 1970 UTC),
            ``last_price``, ``volume`` and ``amount`` of the day so far, ``open_interest``,
            ``bid_price1`` ... ``ask_volume5``.

        Raises:
            SandboxError: No such symbol.
        """
        return self._rows("/sandbox/ticks", {"symbol": symbol}, trading_day, left, right)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the exchange; may be called again."""
        self._finalizer()

    def __enter__(self) -> EmbeddedSandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _rows(
        self,
        path: str,
        ask: dict[str, Any],
        trading_day: date | str | None,
        left: int | None,
        right: int | None,
    ) -> list[dict[str, Any]]:
        ask |= {"trading_day": trading_day, "left": left, "right": right}
        query = urlencode({name: value for name, value in ask.items() if value is not None})
        rows: list[dict[str, Any]] = self._ask("GET", f"{path}?{query}")["rows"]
        return rows

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            answer = ask(method, url, seconds=_REQUEST_SECONDS, json=body)
        except OSError as error:
            what = "does not answer" if self.running else f"has ended{self._last_words()}"
            raise SandboxError(f"the embedded exchange {what}; start a new one") from error
        if answer.status >= 400:
            reason = answer.body.decode(errors="replace")
            raise SandboxError(f"{method} {path} was refused: {reason}")
        if self.clock is not None:
            self.clock.listen()  # it may have jumped
        value: dict[str, Any] = json.loads(answer.body)
        return value

    def _last_words(self) -> str:
        words = "" if self._errors.closed else _read_all(self._errors)
        return f", saying: {words}" if words else ""


def _launch(command: list[str]) -> tuple[subprocess.Popen[bytes], dict[str, Any], IO[bytes]]:
    """Start the process and wait for its first line; the file holds what it writes to stderr."""
    errors = tempfile.TemporaryFile()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
    )
    assert process.stdout is not None
    first: Queue[bytes] = Queue()
    reader = threading.Thread(target=_first_line, args=(process.stdout, first), daemon=True)
    reader.start()
    try:
        line = first.get(timeout=_START_SECONDS)
    except Empty:
        line = b""
    if line:
        ready: dict[str, Any] = json.loads(line)
        return process, ready, errors
    process.kill()
    reader.join()
    process.wait()
    words = _read_all(errors) or "it said nothing"
    if words.startswith("usage: "):  # of a command line that nobody has typed
        words = words.rpartition("error: argument ")[2]
    _end(process, errors, os.getpid())
    raise SandboxError(f"the embedded exchange did not start: {words}")


def _read_all(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode(errors="replace").strip()


def _first_line(stream: IO[bytes], first: Queue[bytes]) -> None:
    first.put(stream.readline())


def _end(
    process: subprocess.Popen[bytes],
    errors: IO[bytes],
    owner: int,
    clock: SharedClock | None = None,
) -> None:
    """Close the pipe the process lives by and tell it; kill it if it stays."""
    if os.getpid() != owner:
        return  # a fork of the program that started it
    if clock is not None:
        live_on(None)
        clock.close()
    process.terminate()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
    errors.close()
