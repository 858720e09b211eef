"""Start the embedded exchange from a program, and control it.

The exchange runs in a process of its own, which ends when this process ends, however it ends.

    with EmbeddedSandbox(start="2026-11-10") as sandbox:
        os.environ.update(sandbox.urls)      # or pass the addresses to TqApi
        ...

This module does not change the environment and imports nothing of the exchange.
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
        port: The port; 0 takes any free one.
        seed: Determines the market: equal seeds give equal ticks. Default 20261110.
        start: A trading day (``date`` or ``"2026-11-10"``), which begins with its night session, or
            a Beijing time (``datetime`` or ``"2026-11-10 09:30:00"``).
        days: Trading days after which the market stops.
        speed: Multiple of real time; ``None`` is as fast as the client asks.
        ticks_per_pack: Market steps gathered into one pack, that is, how many ticks arrive at once.
        balance: Opening balance of a new account, yuan.
        users: Passwords by name; without it every name and password is accepted.
        script: Faults and when they happen, ``{"at": {"step": 5}, "fault": "drop"}``.
        replay: A file or folder of recorded ticks.
        counter: ``"plain"`` shows the exchange's own records at once; ``"kq"`` imitates TianQin's
            paper account, ``"ctp"`` a futures company's counter (docs/counters.md).
        query_seconds: With ``ctp``, the age of every queried figure in market seconds; None draws
            it from 0.1 to 2.3 with the seed.
        commission: With ``ctp``, the commission field of a trade: ``"zero"``, ``"dash"`` (no value)
            or ``"absent"``; None uses each in turn.
        account_file: A JSON file of a recorded account (``accounts``, ``positions``, ``orders``,
            ``trades``), which is sent to every user at login; it cannot be traded.
        tells_time: With False no pack carries the market's time, like the real TianQin. Until
            ``close`` the whole library in this process then uses the sandbox's clock, which runs
            ``speed`` times as fast as real time; without ``speed`` it advances while the program
            waits (docs/sandbox.md, "Silent about the time").
        clock_ahead: With ``tells_time=False``, seconds by which the machine's clock is ahead of the
            market's at the start; negative if it is behind.
        clock_drift: With ``tells_time=False``, seconds that the machine's clock gains per second.

    Attributes:
        urls: The environment variables that direct TqSdk to the exchange.
        port: The port on 127.0.0.1 where it listens.
        pid: The id of its process.
        counter: The counter, as given.
        clock_port: The port of the shared clock; 0 if packs carry the time.
        clock: With ``tells_time=False`` the machine's clock of this process, else None.

    Raises:
        SandboxError: The exchange did not start; the message says why.
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
            raise SandboxError("another sandbox's clock is in use here; close that sandbox first")
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
        """The clock, connections, faults, and all accounts as they are now.

        Returns:
            A dict; its keys are in docs/sandbox.md, "Looking behind the counter": ``now`` (text,
            naive Beijing time), ``phase``, ``accounts`` by user, ...

        Raises:
            SandboxError: The exchange has ended or does not answer within 60 s. Every method
                raises it.
        """
        return self._ask("GET", "/sandbox/state")

    def fault(self, name: str, /, **params: Any) -> dict[str, Any]:
        """Cause a fault now.

        Args:
            name: ``"drop"``, ``"cut"``, ``"refuse"``, ``"freeze"``, ``"thaw"``, ``"delay"``,
                ``"latency"``, ``"stop_program"``,
                ``"repeat"``, ``"batch"``, ``"refuse_token"``, ``"slow_login"``, ``"licence"``,
                ``"clock"``,
                ``"reject_order"``, ``"advance"``, ``"fill_away"``, ``"cancel_away"``, ``"hole"``,
                ``"shuffle"``, ``"late_bars"``, ``"odd_tick"``, ``"limit_up"``, ``"limit_down"``,
                and those of the counters:
                ``"refuse_login"``, ``"password_change"``, ``"second_login"``, ``"front_lost"``,
                ``"swallow_order"``, ``"swallow_cancel"``, ``"refuse_by_notice"``,
                ``"late_positions"``, ``"forget_order_ids"``, ``"foreign_order"``,
                ``"foreign_trade"``; docs/sandbox.md, "Faults", says what each does.
            params: The parameters of that fault: ``conn`` (``"md"``, ``"td"`` or ``"all"``),
                ``seconds``, ...

        Returns:
            What was affected, such as ``{"connections": 2}``.

        Raises:
            SandboxError: Unknown fault or parameter; the message lists the known ones.
        """
        return self._ask("POST", "/sandbox/fault", {"fault": name, **params})

    def advance(
        self,
        *,
        seconds: float | None = None,
        to: datetime | str | None = None,
        steps: int | None = None,
    ) -> dict[str, Any]:
        """Advance the market without waiting for its clients; one argument must be given.

        Args:
            seconds: Market time to advance by.
            to: A market time, ``"2026-11-10 09:30:00"``, naive Beijing.
            steps: Market steps; one step delivers the next ticks that share a timestamp.

        Returns:
            ``steps``, the number made, and ``now_ns``, the market's time in nanoseconds since 1970.

        Raises:
            SandboxError: No argument was given, or ``to`` is not a time.
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
            trading_day: ``"2026-11-10"``, which includes the night session before it.
            left, right: First and last id, both included.

        Returns:
            Rows with TianQin's names: ``id``, ``datetime`` (the start of the bar, nanoseconds
            since 1970 UTC), ``open high low close``, ``volume`` in lots, ``open_oi close_oi``.

        Raises:
            SandboxError: Unknown symbol.
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
            symbol, trading_day, left, right: As in ``bars``.

        Returns:
            Rows with TianQin's names: ``id``, ``datetime`` (nanoseconds since 1970 UTC),
            ``last_price``, ``volume`` and ``amount`` of the day so far, ``open_interest``,
            ``bid_price1`` ... ``ask_volume5``.

        Raises:
            SandboxError: Unknown symbol.
        """
        return self._rows("/sandbox/ticks", {"symbol": symbol}, trading_day, left, right)

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def close(self) -> None:
        """Stop the exchange; further calls do nothing."""
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
            self.clock.listen()  # the clock may have jumped
        value: dict[str, Any] = json.loads(answer.body)
        return value

    def _last_words(self) -> str:
        words = "" if self._errors.closed else _read_all(self._errors)
        return f", saying: {words}" if words else ""


def _launch(command: list[str]) -> tuple[subprocess.Popen[bytes], dict[str, Any], IO[bytes]]:
    """Start the process and read its first line; the returned file holds its stderr."""
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
    if words.startswith("usage: "):  # the user did not type this command line
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
    """Close the pipe that keeps the process alive and signal it; kill it if it does not end."""
    if os.getpid() != owner:
        return  # a fork of the program that started the exchange
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
