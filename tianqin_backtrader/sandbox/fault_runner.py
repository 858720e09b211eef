"""Does the harm that faults name to the connections and the market."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..clock import SECOND, monotonic
from .connection import Connection
from .engine import Engine
from .faults import Fault, FaultBook, FaultError, kinds, market_time
from .md import MdSession
from .row_faults import RowFaults

logger = logging.getLogger(__name__)


class FaultRunner:
    """Applies faults, those of the script when they are due and others when asked."""

    def __init__(self, engine: Engine, book: FaultBook) -> None:
        self._engine = engine
        self.book = book
        engine.on_step = self._run_due

    def _run_due(self) -> None:
        if self.book.planned:
            engine = self._engine
            for fault in self.book.take_due(engine.floor.steps, engine.timeline.now_ns):
                # Not inside the step that made it due: it may make steps itself.
                asyncio.get_running_loop().call_soon(self.apply, fault)

    def apply(self, fault: Fault) -> dict[str, Any]:
        """Do it now; returns what was hit, for the answer to who asked."""
        logger.info("fault %s %s", fault.name, dict(fault.params))
        self.book.counts[fault.name] += 1
        handler = getattr(self, f"_{fault.name}")
        result: dict[str, Any] = handler(dict(fault.params))
        self._engine.kick()
        return result

    def _links(self, params: dict[str, Any]) -> list[Connection]:
        return [link for kind in kinds(params["conn"]) for link in self._engine.of_kind(kind)]

    def _drop(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for link in links:
            link.drop(clean=params["how"] == "clean")
        return {"connections": len(links)}

    def _cut(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for link in links:
            link.cut_next = True
        return {"connections": len(links)}

    def _refuse(self, params: dict[str, Any]) -> dict[str, Any]:
        self.book.refuse(kinds(params["conn"]), params, monotonic())
        return {}

    def _freeze(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for link in links:
            link.frozen = True
        if params["later"]:
            self.book.frozen.update(kinds(params["conn"]))
        if params["seconds"] is not None:
            loop = asyncio.get_running_loop()
            again = {"conn": params["conn"]} if params["later"] else None
            loop.call_later(params["seconds"], self._end_freeze, links, again)
        return {"connections": len(links)}

    def _end_freeze(self, links: list[Connection], kind: dict[str, Any] | None) -> None:
        if kind is None:
            self._thaw_links(links)
        else:
            self._thaw(kind)

    def _thaw(self, params: dict[str, Any]) -> dict[str, Any]:
        self.book.frozen.difference_update(kinds(params["conn"]))
        links = [link for link in self._links(params) if link.frozen]
        self._thaw_links(links)
        return {"connections": len(links)}

    def _thaw_links(self, links: list[Connection]) -> None:
        for link in links:
            if link.frozen:
                link.thaw()
        self._engine.kick()

    def _delay(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for link in links:
            link.delay_seconds = float(params["seconds"])
        return {"connections": len(links)}

    def _repeat(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for link in links:
            link.repeat_next = True
        return {"connections": len(links)}

    def _batch(self, params: dict[str, Any]) -> dict[str, Any]:
        self._engine.batch_next = int(params["steps"])
        return {}

    def _refuse_token(self, params: dict[str, Any]) -> dict[str, Any]:
        self.book.refused_tokens += int(params["attempts"])
        self.book.token_status = int(params["status"])
        return {}

    def _licence(self, params: dict[str, Any]) -> dict[str, Any]:
        self.book.licence_days = params["days"]
        features = params["features"]
        self.book.features = None if features is None else tuple(map(str, features))
        return {}

    def _clock(self, params: dict[str, Any]) -> dict[str, Any]:
        self.book.clock_offset = float(params["offset"])
        return {}

    def _reject_order(self, params: dict[str, Any]) -> dict[str, Any]:
        self._engine.floor.exchange.reject_next(
            params["user"], str(params["message"]), int(params["count"])
        )
        return {}

    def _advance(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        until, steps = params["to"], params["steps"]
        if until is None and steps is None and params["seconds"] is None:
            raise FaultError("advance needs seconds, to or steps")
        until_ns = None if until is None else market_time(str(until))
        if params["seconds"] is not None:
            until_ns = engine.timeline.now_ns + int(params["seconds"] * SECOND)
        made = engine.advance(until_ns=until_ns, steps=None if steps is None else int(steps))
        return {"steps": made, "now_ns": engine.timeline.now_ns}

    def _fill_away(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for link in links:
            link.drop(clean=False)
        return {"connections": len(links), **self._advance(params)}

    def _tick_rows(self) -> list[RowFaults]:
        sessions = (link.session for link in self._engine.of_kind("md"))
        return [one.charts.tick_faults for one in sessions if isinstance(one, MdSession)]

    def _hole(self, params: dict[str, Any]) -> dict[str, Any]:
        hit = self._tick_rows()
        for rows in hit:
            rows.hole(params["symbol"], int(params["count"]))
        return {"connections": len(hit)}

    def _shuffle(self, params: dict[str, Any]) -> dict[str, Any]:
        hit = self._tick_rows()
        for rows in hit:
            rows.shuffle(params["symbol"], int(params["count"]))
        return {"connections": len(hit)}

    def _limit_up(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._hold_at_limit(params, up=True)

    def _limit_down(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._hold_at_limit(params, up=False)

    def _hold_at_limit(self, params: dict[str, Any], *, up: bool) -> dict[str, Any]:
        if params["symbol"] is None:
            raise FaultError("limit_up and limit_down need a symbol")
        held = self._engine.floor.hold_at_limit(params["symbol"], params["seconds"], up=up)
        self._engine.context.book.forget()
        return held

    def _cancel_away(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        for link in self._links(params):
            link.drop(clean=False)
        floor = engine.floor
        users = [params["user"]] if params["user"] else list(floor.users)
        cancelled = 0
        for user_id in users:
            for order_id in floor.working_orders(user_id):
                if params["order_id"] in (None, order_id):
                    floor.cancel(user_id, order_id)
                    cancelled += 1
        return {"orders": cancelled}
