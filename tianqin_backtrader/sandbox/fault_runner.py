"""Carries out faults on connections and the market."""

from __future__ import annotations

import logging
import random
from functools import partial
from typing import Any

from ..core.clock import SECOND
from .engine import Engine
from .exchange.ctp_view import CtpView
from .exchange.front import CHANGE_PASSWORD, ELSEWHERE
from .exchange.ledger import Notice
from .faults import Fault, FaultBook, FaultError, kinds, market_time
from .wire.charts import ChartBook
from .wire.connection import Connection
from .wire.latency import Latency
from .wire.md import MdSession
from .wire.td import TdSession

logger = logging.getLogger(__name__)


class FaultRunner:
    """Carries out faults: those of the script when they are due, others on request."""

    def __init__(self, engine: Engine, book: FaultBook) -> None:
        self._engine = engine
        self.book = book
        engine.on_step = self._run_due

    def _run_due(self) -> None:
        if self.book.planned:
            engine = self._engine
            for fault in self.book.take_due(engine.floor.steps, engine.timeline.now_ns):
                # Not within the step that made it due: the fault may make steps itself.
                engine.later(0.0, partial(self.apply, fault))

    def apply(self, fault: Fault) -> dict[str, Any]:
        """Carry out the fault now; returns what was affected, for the caller's answer."""
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
        self.book.refuse(kinds(params["conn"]), params, self._engine.seconds)
        return {}

    def _freeze(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for link in links:
            link.frozen = True
        if params["later"]:
            self.book.frozen.update(kinds(params["conn"]))
        if params["seconds"] is not None:
            again = {"conn": params["conn"]} if params["later"] else None
            self._engine.later(params["seconds"], partial(self._end_freeze, links, again))
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

    def _latency(self, params: dict[str, Any]) -> dict[str, Any]:
        links = self._links(params)
        for kind in kinds(params["conn"]):
            self.book.late.pop(kind, None)
            if params["later"]:
                self.book.late[kind] = params
        for link in links:
            link.latency = self._make_latency(params)
        return {"connections": len(links)}

    def begin(self, link: Connection) -> None:
        """Apply faults that affect later connections to a new connection."""
        link.frozen = link.kind in self.book.frozen
        late = self.book.late.get(link.kind)
        link.latency = self._make_latency(late) if late is not None else None

    def _make_latency(self, params: dict[str, Any]) -> Latency | None:
        seconds, jitter, over = (params[name] for name in ("seconds", "jitter", "over"))
        if not (seconds or jitter):
            return None
        self.book.latencies += 1
        rng = random.Random(self.book.latencies)
        return Latency(seconds, jitter, over, lambda: self._engine.seconds, rng)

    def _stop_program(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        if not engine.lines or engine.options.speed is not None:
            raise FaultError("stop_program needs tells_time=False and no speed; or use SIGSTOP")
        until = engine.timeline.now_ns + int(params["seconds"] * SECOND)
        engine.lines.stopped_until = max(engine.lines.stopped_until, until)
        return self._freeze({"conn": "all", "seconds": params["seconds"], "later": False})

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

    def _slow_login(self, params: dict[str, Any]) -> dict[str, Any]:
        self.book.slow_down_logins(float(params["seconds"]))
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

    def _charts(self) -> list[ChartBook]:
        sessions = (link.session for link in self._engine.of_kind("md"))
        return [one.charts for one in sessions if isinstance(one, MdSession)]

    def _hole(self, params: dict[str, Any]) -> dict[str, Any]:
        hit = self._charts()
        for charts in hit:
            charts.tick_faults.hole(params["symbol"], int(params["count"]))
        return {"connections": len(hit)}

    def _shuffle(self, params: dict[str, Any]) -> dict[str, Any]:
        hit = self._charts()
        for charts in hit:
            charts.tick_faults.shuffle(params["symbol"], int(params["count"]))
        return {"connections": len(hit)}

    def _late_bars(self, params: dict[str, Any]) -> dict[str, Any]:
        hit = self._charts()
        for charts in hit:
            charts.late_bars.hold(params["symbol"], int(params["count"]))
        return {"connections": len(hit)}

    def _odd_tick(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, symbol = self._engine, params["symbol"]
        if symbol is None or symbol not in engine.context.instruments:
            raise FaultError("odd_tick needs a symbol")
        stamp = engine.timeline.now_ns + int(params["seconds"] * SECOND)
        if params["stamp"] is not None:
            stamp = market_time(str(params["stamp"]))
        names = ("last_price", "volume", "bid_price1", "ask_price1")
        changes = {name: params[name] for name in names if params[name] is not None}
        cursor = engine.timeline.cursor(symbol)
        row = engine.context.book.put_odd(cursor, {"datetime": stamp, **changes})
        sessions = [link.session for link in engine.of_kind("md")]
        shown = [one.show_odd(cursor, row) for one in sessions if isinstance(one, MdSession)]
        return {"connections": sum(shown)}

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
                    floor.exchange.cancel(user_id, order_id, engine.timeline.now_ns)
                    cancelled += 1
        return {"orders": cancelled}

    # Faults of the counter

    def _td_sessions(self, user: str | None) -> list[tuple[Connection, TdSession]]:
        """The logged-in connections of a user, or of all users."""
        found = []
        for link in self._engine.of_kind("td"):
            session = link.session
            if (
                isinstance(session, TdSession)
                and session.user_id
                and user in (None, session.user_id)
            ):
                found.append((link, session))
        return found

    def _ctp_views(self, name: str, user: str | None) -> list[CtpView]:
        floor = self._engine.floor
        if floor.counter.name != "ctp":
            raise FaultError(f"{name} happens at counter ctp, not at {floor.counter.name}")
        views = [floor.users[floor.user(user)]] if user is not None else floor.users.values()
        return [view for view in views if isinstance(view, CtpView)]

    def _refuse_login(self, params: dict[str, Any]) -> dict[str, Any]:
        said = Notice(int(params["code"]), str(params["message"]))
        self._engine.floor.front.refuse_login(params["user"], said, int(params["count"]))
        return {}

    def _password_change(self, params: dict[str, Any]) -> dict[str, Any]:
        front = self._engine.floor.front
        front.refuse_login(params["user"], CHANGE_PASSWORD, int(params["count"]))
        return {}

    def _second_login(self, params: dict[str, Any]) -> dict[str, Any]:
        sessions = self._td_sessions(params["user"])
        for _, session in sessions:
            session.log_out(ELSEWHERE)
        return {"connections": len(sessions)}

    def _front_lost(self, params: dict[str, Any]) -> dict[str, Any]:
        until = self._engine.timeline.now_ns + int(params["seconds"] * SECOND)
        views = self._ctp_views("front_lost", None)
        for view in views:
            view.lose_front(until, tells=bool(params["notice"]))
        self._engine.collect()
        return {"accounts": len(views)}

    def _swallow_order(self, params: dict[str, Any]) -> dict[str, Any]:
        front = self._engine.floor.front
        front.swallow("insert_order", params["user"], int(params["count"]))
        return {}

    def _swallow_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        front = self._engine.floor.front
        front.swallow("cancel_order", params["user"], int(params["count"]))
        return {}

    def _refuse_by_notice(self, params: dict[str, Any]) -> dict[str, Any]:
        said = Notice(int(params["code"]), str(params["message"]))
        front = self._engine.floor.front
        front.answer("insert_order", params["user"], said, int(params["count"]))
        return {}

    def _late_positions(self, params: dict[str, Any]) -> dict[str, Any]:
        front = self._engine.floor.front
        front.late(params["user"], float(params["seconds"]), int(params["count"]))
        return {}

    def _forget_order_ids(self, params: dict[str, Any]) -> dict[str, Any]:
        views = self._ctp_views("forget_order_ids", params["user"])
        for link, _ in self._td_sessions(params["user"]):
            link.drop(clean=False)
        return {"orders": sum(view.forget_ids() for view in views)}

    def _foreign_order(self, params: dict[str, Any]) -> dict[str, Any]:
        floor = self._engine.floor
        first = bool(params["trade_first"])
        done = floor.foreign_order(params["user"], _other_hand(params), trade_first=first)
        self._engine.collect()
        return done

    def _foreign_trade(self, params: dict[str, Any]) -> dict[str, Any]:
        done = self._engine.floor.foreign_trade(params["user"], _other_hand(params))
        self._engine.collect()
        return done


def _other_hand(params: dict[str, Any]) -> dict[str, Any]:
    """The pack of an order or a trade that no client here has sent."""
    exchange_id, dot, code = str(params["symbol"]).partition(".")
    if not dot:
        raise FaultError("an order of another terminal needs a symbol such as SHFE.cu2612")
    return {
        "exchange_id": exchange_id,
        "instrument_id": code,
        "direction": params["direction"],
        "offset": params["offset"],
        "volume": params["volume"],
        "price_type": "LIMIT",
        "limit_price": params["price"],
        "time_condition": "GFD",
        "volume_condition": "ANY",
    }
