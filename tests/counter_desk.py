"""A trading server as a broker's counter: what it says of logins, fronts and orders is scripted.

Market data and TianQin's own login are the sandbox's.
"""

import json
import threading
import uuid
from collections import deque
from contextlib import contextmanager
from time import monotonic

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from tianqin_backtrader import MyStore
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

OVER = (345, "INFO", "用户登录失败!")
WRONG = [(3, "WARNING", "交易服务器登录失败,CTP:不合法的登录"), OVER]
CHANGE = [
    (140, "WARNING", "交易服务器登录失败,CTP:首次登录必须修改密码，请修改密码后重新登录"),
    (346, "INFO", "用户登录失败!"),
]
LOCKED = [(75, "WARNING", "交易服务器登录失败,CTP:连续登录失败次数超限，登录被禁止"), OVER]
SLEEPS = [(7, "WARNING", "交易服务器登录失败,CTP:还没有初始化"), OVER]
ENDED = (0, "WARNING", "您的账号已在其他地方登录，被强制退出")
NUMBER = "88001234"
STATEMENT = f"                         交易结算单\n 客户号 Client ID: {NUMBER} 客户名称: 王小明"


class Counter:
    """Its connections are served by threads; ``logins`` and ``orders`` are what came."""

    def __init__(self):
        self.answers, self.logins, self.orders, self.confirmed = deque(), [], [], 0
        self.on_order = lambda pack: {"status": "ALIVE", "exchange_order_id": "1", "last_msg": ""}
        self.changed = threading.Condition()
        self._lines = {}
        self._server = serve(self._attend, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    # -- for the test -------------------------------------------------------------------------

    def say(self, code, level, words, kind="MESSAGE"):
        """A notice to all who are logged in."""
        for line in list(self._lines):
            self._notify(line, code, level, words, kind)

    def drop(self):
        """Break all connections."""
        for line in list(self._lines):
            line.socket.close()

    def wait(self, what, seconds=20):
        """Until a condition on what came holds."""
        with self.changed:
            assert self.changed.wait_for(what, seconds)

    def close(self):
        self._server.shutdown()
        self._thread.join()

    # -- the server ---------------------------------------------------------------------------

    def _attend(self, line):
        self._lines[line] = ""
        try:
            line.send(json.dumps({"aid": "rtn_brokers", "brokers": [], "capabilities": {}}))
            for text in line:
                self._take(line, json.loads(text))
        except (ConnectionClosed, OSError):
            pass
        finally:
            del self._lines[line]

    def _take(self, line, pack):
        with self.changed:
            if pack["aid"] == "req_login":
                self.logins.append({**pack, "at": monotonic()})
                self._answer(line, pack["user_name"])
            elif pack["aid"] == "confirm_settlement":
                self.confirmed += 1
            elif pack["aid"] == "insert_order":
                self.orders.append(pack)
                self._take_order(line, pack)
            self.changed.notify_all()

    def _answer(self, line, user):
        refused = self.answers.popleft() if self.answers else None
        if refused is not None:
            for notice in refused:
                self._notify(line, *notice)
            return
        self._lines[line] = user
        self._notify(line, 324, "INFO", "登录成功")
        self._send(line, {"session": {"user_id": user, "trading_day": "20261110"}})
        money = {"currency": "CNY", "balance": 1e6, "available": 1e6, "static_balance": 1e6}
        self._send(
            line,
            {"accounts": {"CNY": money}, "positions": {}, "orders": {}, "trades": {},
             "trade_more_data": False},
        )  # fmt: skip

    def _take_order(self, line, pack):
        answer = self.on_order(pack)
        if isinstance(answer, tuple):
            self._notify(line, *answer)
        elif answer:
            order = {key: value for key, value in pack.items() if key != "aid"}
            lots = {"volume_orign": pack["volume"], "volume_left": pack["volume"]}
            self._send(line, {"orders": {pack["order_id"]: order | lots | answer}})

    def _notify(self, line, code, level, words, kind="MESSAGE"):
        body = {"type": kind, "level": level, "code": code, "session_id": 1, "content": words}
        self._pack(line, {"notify": {uuid.uuid4().hex: body}})

    def _send(self, line, fields):
        user = self._lines[line]
        self._pack(line, {"trade": {user: {"user_id": user, **fields}}})

    def _pack(self, line, difference):
        line.send(json.dumps({"aid": "rtn_data", "data": [difference]}))


@contextmanager
def counter():
    """A counter, closed at the end."""
    made = Counter()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def store_at(counter, *, account=None, **options):
    """A store whose market data come from a sandbox and whose account is at the counter."""
    names = ("rebuild_ahead", "debug", "strategy_name", "stop_on_signals")
    own = {name: options.pop(name) for name in names if name in options}
    options.setdefault("start", "2026-11-10 09:31:00")
    with EmbeddedSandbox(**options) as server:
        urls = {**server.urls, "TQ_TD_URL": counter.url}
        with MyStore("tom", "open-sesame", account=account, urls=urls, **own) as store:
            store.server = server
            yield store
