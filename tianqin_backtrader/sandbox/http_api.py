"""HTTP endpoints: calendars, and control of the sandbox."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..core.clock import from_ns, to_ns
from .engine import Engine
from .fault_runner import FaultRunner
from .faults import FaultError, make_fault, market_time
from .venue import is_held

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class HttpApi:
    """The HTTP handlers."""

    def __init__(self, engine: Engine, runner: FaultRunner, stop: Callable[[], None]) -> None:
        self._engine = engine
        self._runner = runner
        self._stop = stop

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.get("/holidays.json", self.holidays),
            web.get("/continuous_table.json", self.main_contracts),
            web.get("/symbols/latest.json", self.symbols),
            web.get("/sandbox/state", self.state),
            web.get("/sandbox/bars", _answering(self.bars)),
            web.get("/sandbox/ticks", _answering(self.ticks)),
            web.post("/sandbox/fault", _answering(self.fault)),
            web.post("/sandbox/advance", _answering(self.advance)),
            web.post("/sandbox/stop", self.stop),
        ]

    # Requests of TqSdk

    async def holidays(self, request: web.Request) -> web.Response:
        """Closed weekdays of the announced years, ascending."""
        known = self._engine.floor.calendar.holidays
        closed = sorted(day for day in known.closed if day.year <= known.last_year)
        return web.json_response([day.isoformat() for day in closed])

    async def main_contracts(self, request: web.Request) -> web.Response:
        """The history of the main contracts."""
        table = self._engine.floor.market.main_table()
        return web.json_response(
            {key: [[f"{day:%Y%m%d}", name] for day, name in rows] for key, rows in table.items()}
        )

    async def symbols(self, request: web.Request) -> web.Response:
        """The instrument file that old clients download."""
        engine = self._engine
        query = (
            "{multi_symbol_info{...on basic{class instrument_id exchange_id price_tick price_decs "
            "trading_time{day night}} ...on tradeable{volume_multiple} ...on future{expired "
            "expire_datetime delivery_year delivery_month product_id max_limit_order_volume "
            "max_market_order_volume min_limit_order_volume min_market_order_volume}}}"
        )
        found = engine.context.query.execute(query, {})["multi_symbol_info"]
        for row in found:
            row["expired"] = row.get("expired", False)
            if row.get("expire_datetime"):
                row["expire_datetime"] /= 1e9
        return web.json_response({row["instrument_id"]: row for row in found})

    # Control

    async def state(self, request: web.Request) -> web.Response:
        """The clock, connections, faults and accounts."""
        return web.json_response(self.picture())

    def picture(self) -> dict[str, Any]:
        """The state as a dict."""
        engine, timeline = self._engine, self._engine.timeline
        next_ns = timeline.next_time()
        phase = "finished" if timeline.finished else "waiting"
        if not timeline.finished and any(map(self._trades, timeline.live)):
            phase = "trading"
        return {
            "now": str(from_ns(timeline.now_ns)),
            "now_ns": timeline.now_ns,
            "next_ns": next_ns,
            "start_ns": timeline.start_ns,
            "end_ns": timeline.end_ns,
            "trading_day": timeline.trading_day.isoformat(),
            "phase": phase,
            "speed": engine.options.speed,
            "steps": engine.floor.steps,
            "ticks": engine.floor.ticks,
            "live": sorted(timeline.live),
            "connections": [
                {
                    "kind": link.kind,
                    "number": link.number,
                    "frozen": link.frozen,
                    "peek_open": link.session.peek_open,
                    "unsent": len(link.session.outbox),
                    "packs_in": link.packs_in,
                    "packs_out": link.packs_out,
                    "user": getattr(link.session, "user_id", None),
                }
                for link in engine.connections
            ],
            "faults": self._runner.book.picture(),
            "accounts": {user_id: self._account(user_id) for user_id in engine.floor.users},
        }

    def _trades(self, symbol: str) -> bool:
        return self._engine.floor.calendar.is_trading_now(symbol, self._engine.timeline.moment())

    def _account(self, user_id: str) -> dict[str, Any]:
        trade = self._engine.floor.exchange.snapshot(user_id)["trade"][user_id]
        held = {name: pos for name, pos in trade["positions"].items() if is_held(pos)}
        account = trade["accounts"]["CNY"]
        return {
            "balance": account["balance"],
            "available": account["available"],
            "account": account,
            "positions": held,
            "orders": trade["orders"],
            "trades": trade["trades"],
        }

    async def bars(self, request: web.Request) -> Any:
        """Rows by id, of a trading day, or the newest ones."""
        return self._rows(request, int(request.query.get("seconds", "60")))

    async def ticks(self, request: web.Request) -> Any:
        """Rows by id, of a trading day, or the newest ones."""
        return self._rows(request, 0)

    def _rows(self, request: web.Request, seconds: int) -> dict[str, Any]:
        ask = request.query
        engine = self._engine
        symbol = ask.get("symbol", "")
        if symbol not in engine.floor.market.instruments:
            raise FaultError(f"no symbol {symbol!r}")
        cursor = engine.timeline.cursor(symbol)
        series = engine.context.book.get(symbol, seconds * 1_000_000_000)
        right = int(ask.get("right", series.last_id(cursor)))
        left = int(ask.get("left", max(right - 199, 0)))
        start: int | None = None
        if "trading_day" in ask:
            day = date.fromisoformat(ask["trading_day"])
            before = engine.floor.calendar.previous_trading_day(day)
            start, end = (to_ns(datetime.combine(d, _EVENING)) for d in (before, day))
            if seconds >= 86400:
                start = to_ns(datetime.combine(day, _MIDNIGHT))
                end = start + 1
            left = series.id_at(start, cursor)
            right = min(series.id_at(end, cursor), series.last_id(cursor))
        rows = series.rows(max(left, 0), right, cursor)
        found = sorted((int(row_id), row) for row_id, row in rows.items())
        if start is not None:
            found = [(row_id, row) for row_id, row in found if start <= row["datetime"] < end]
        return {
            "symbol": symbol,
            "seconds": seconds,
            "last_id": series.last_id(cursor),
            "rows": [{"id": row_id, **row} for row_id, row in found],
        }

    async def fault(self, request: web.Request) -> Any:
        """Cause a fault now."""
        params = await request.json()
        return self._runner.apply(make_fault(str(params.pop("fault", "")), params))

    async def advance(self, request: web.Request) -> Any:
        """Advance the market without waiting for its clients."""
        params = await request.json()
        if params.get("to") is not None:
            market_time(str(params["to"]))
        return self._runner.apply(make_fault("advance", params))

    async def stop(self, request: web.Request) -> web.Response:
        """Stop the server."""
        self._stop()
        return web.json_response({"stopping": True})


_EVENING = datetime(2000, 1, 1, 18).time()
_MIDNIGHT = datetime(2000, 1, 1).time()


def _answering(
    handler: Callable[[web.Request], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """JSON of the handler's result; status 400 with the reason for an invalid request."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return web.json_response(await handler(request))
        except (ValueError, TypeError, LookupError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return answer
