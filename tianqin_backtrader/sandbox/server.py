"""One port on 127.0.0.1: HTTP and the two websockets of a TianQin-compatible service."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from ..core.clock import SECOND, WallClock, beijing_now
from ..session_calendar import CALENDAR
from .engine import Engine, EngineOptions
from .exchange.counter import COUNTERS
from .exchange.ctp_view import CtpOptions
from .exchange.exchange import Exchange
from .fault_runner import FaultRunner
from .faults import FaultBook, parse_script
from .http_api import HttpApi
from .market.listing import build_instruments
from .market.market import Market
from .market.timeline import Timeline
from .venue import Venue
from .wire.auth_api import AuthApi, Users
from .wire.clock_lines import ClockLine
from .wire.connection import Connection
from .wire.md import MdSession
from .wire.td import TdSession

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
DEFAULT_START = date(2026, 11, 10)
DEFAULT_SEED = 20261110


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of a sandbox.

    Attributes:
        port: The port; 0 takes any free one.
        seed: Determines the market: equal seeds give equal ticks.
        start: A trading day or a time; ``None`` is ``DEFAULT_START``, or the machine's time with
            ``speed=1``.
        days: Trading days after which the market stops.
        speed: Multiple of real time; ``None`` is as fast as the clients ask.
        ticks_per_pack: Market steps gathered into one pack.
        balance: Opening balance of a new account, yuan.
        users: Passwords by name; if empty, every name and password is accepted.
        script: Faults and when they happen.
        replay: A file or folder of recorded ticks to play instead of the generated market.
        counter: The counter to imitate: a name of ``COUNTERS``.
        query_seconds: With ``ctp``, the age of every queried figure; None draws it with the seed.
        commission: With ``ctp``, the commission field of a trade: ``"zero"``, ``"dash"``,
            ``"absent"``; None uses each in turn.
        account_file: A JSON file of a recorded account, which is sent to every user at login.
        tells_time: Whether packs carry the market's time.
    """

    port: int = 0
    seed: int = DEFAULT_SEED
    start: date | datetime | None = None
    days: int = 1
    speed: float | None = None
    ticks_per_pack: int = 1
    balance: float = 1_000_000.0
    users: Mapping[str, str] = field(default_factory=dict)
    script: Iterable[Mapping[str, Any]] = ()
    replay: str | None = None
    counter: str = "kq"
    query_seconds: float | None = None
    commission: str | None = None
    account_file: str | None = None
    tells_time: bool = True

    @property
    def begins(self) -> date | datetime:
        """The start, with the default filled in."""
        if self.start is not None:
            return self.start
        return beijing_now() if self.speed == 1 else DEFAULT_START

    @property
    def virtual(self) -> bool:
        """Whether the market's time is not the machine's and packs carry it."""
        if not self.tells_time:
            return False
        return self.speed != 1 or self.start is not None or self.replay is not None


def make_engine(options: SandboxOptions) -> Engine:
    """Build the market, the exchange and the clock of a sandbox."""
    begins = options.begins
    market: Any
    if options.replay is not None:
        from .market.replay import FileMarket  # imports pandas

        market = FileMarket(options.replay, CALENDAR)
        begins = options.start if options.start is not None else market.first_day
        market.must_have(begins, options.days)
    else:
        first = begins.date() if isinstance(begins, datetime) else begins
        last = first
        for _ in range(options.days + 1):
            last = CALENDAR.next_trading_day(last)
        instruments = build_instruments(CALENDAR, first, last)
        market = Market(CALENDAR, instruments, options.seed, last)
    timeline = Timeline(market, CALENDAR, begins, options.days)
    exchange = Exchange(market.instruments, CALENDAR, COUNTERS[options.counter])
    recorded = None
    if options.account_file is not None:
        recorded = json.loads(Path(options.account_file).read_text(encoding="utf-8"))
    ctp = CtpOptions(options.seed, options.query_seconds, options.commission)
    how = EngineOptions(options.speed, options.ticks_per_pack, options.virtual, options.balance)
    return Engine(Venue(market, CALENDAR, exchange, timeline, ctp, recorded), how)


async def send_pong(ws: web.WebSocketResponse, data: bytes) -> None:
    """Answer a ping; the client may have gone before this is written."""
    with suppress(ConnectionResetError):
        await ws.pong(data)


class SandboxServer:
    """The service: ``start`` binds the port, ``serve`` runs until ``stop``."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.engine = make_engine(options)
        self.faults = FaultRunner(self.engine, FaultBook(parse_script(options.script)))
        self.port = options.port
        #: The port of the shared clock; 0 if packs carry the time.
        self.clock_port = 0
        self.failed = False
        self._stopping = asyncio.Event()
        self._numbers = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._auth = AuthApi(Users(options.users), self.faults.book, self.engine.later)
        self._http = HttpApi(self.engine, self.faults, self.stop)
        self._runner: web.AppRunner | None = None
        self._clock: asyncio.Server | None = None

    def urls(self) -> dict[str, str]:
        """The environment variables that direct TqSdk to this server."""
        http, ws = f"http://{HOST}:{self.port}", f"ws://{HOST}:{self.port}"
        return {
            "TQ_AUTH_URL": http,
            "TQ_INS_URL": f"{http}/symbols/latest.json",
            "TQ_MD_URL": f"{ws}/md",
            "TQ_TD_URL": f"{ws}/td",
            "TQ_CHINESE_HOLIDAY_URL": f"{http}/holidays.json",
            "TQ_CONT_TABLE_URL": f"{http}/continuous_table.json",
        }

    async def start(self) -> None:
        """Bind the port.

        Raises:
            OSError: The port is in use.
        """
        app = web.Application()
        app.add_routes(self._auth.routes())
        app.add_routes(self._http.routes())
        app.add_routes([web.get("/md", self._md), web.get("/td", self._td)])
        app.on_response_prepare.append(self._date)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.options.port, shutdown_timeout=0.2)
        await site.start()
        self.port = self._runner.addresses[0][1]
        if not self.options.tells_time:
            loop = asyncio.get_running_loop()
            self._clock = await loop.create_server(lambda: ClockLine(self.engine.lines), HOST, 0)
            self.clock_port = self._clock.sockets[0].getsockname()[1]
        if self.options.speed is not None:
            self._spawn(self.engine.run_by_wall_clock())

    async def serve(self) -> None:
        """Run until ``stop`` is called."""
        gc.freeze()  # loaded objects stay; the collector need not visit them again
        await self._stopping.wait()
        await self.close()

    def stop(self) -> None:
        """Make ``serve`` return."""
        self._stopping.set()

    async def close(self) -> None:
        """Close all connections and free the port."""
        for task in list(self._tasks):
            task.cancel()
        for link in list(self.engine.connections):
            link.drop(clean=False)
        if self._clock is not None:
            self._clock.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the sandbox failed", exc_info=task.exception())
            self.failed = True
            self.stop()

    async def _date(self, request: web.Request, response: web.StreamResponse) -> None:
        """Date the answers by the server's own clock."""
        offset = self.faults.book.clock_offset
        if self.options.tells_time:
            now_ns = WallClock().now_ns()
        else:
            now_ns = self.engine.timeline.now_ns
        if offset or not self.options.tells_time:
            response.headers["Date"] = formatdate(now_ns / SECOND + offset, usegmt=True)

    async def _md(self, request: web.Request) -> web.StreamResponse:
        return await self._websocket(request, "md")

    async def _td(self, request: web.Request) -> web.StreamResponse:
        return await self._websocket(request, "td")

    async def _websocket(self, request: web.Request, kind: str) -> web.StreamResponse:
        status = self.faults.book.refused_status(kind, self.engine.seconds)
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        port = peer[1] if peer else 0
        self.engine.lines.sends_to(port)  # the client will be answered, whatever happens
        if status is not None:
            return web.json_response({"error": "refused"}, status=status)
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=0)
        await ws.prepare(request)
        if transport is None:
            return ws
        self._numbers += 1
        session = MdSession(self.engine.context) if kind == "md" else None
        link = Connection(
            kind,
            session or self._td_session(),
            request.headers.get("Authorization") or f"connection {self._numbers}",
            transport,
            self._numbers,
            lambda: self._spawn(ws.close()),
            port=port,
            later=self.engine.later,
            before_write=self.engine.lines.sends_to,
        )
        self.faults.begin(link)
        self.engine.add(link)
        logger.info("%s connection %d", kind, link.number)
        try:
            await self._read(ws, link)
        finally:
            self.engine.remove(link)
            logger.info("%s connection %d has closed", kind, link.number)
        return ws

    def _td_session(self) -> TdSession:
        return TdSession(
            self.engine,
            self._numbers,
            asked=self.options.speed is None,
            silent=self.options.counter != "plain",
        )

    async def _read(self, ws: web.WebSocketResponse, link: Connection) -> None:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                self.engine.receive(link, json.loads(message.data))
            elif message.type is WSMsgType.PING:
                self._pong(ws, link, message.data)

    def _pong(self, ws: web.WebSocketResponse, link: Connection, data: bytes) -> None:
        """Answer a ping when it arrives."""

        def answer() -> None:
            if not (ws.closed or link.transport.is_closing()):
                self.engine.lines.sends_to(link.port)
                self._spawn(send_pong(ws, data))

        if link.frozen:
            link.pings.append(answer)
        elif link.latency is not None:
            self.engine.later(link.latency.into() + link.latency.out(), answer)
        else:
            answer()
