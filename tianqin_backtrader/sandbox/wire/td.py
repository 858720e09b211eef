"""One trading connection: login, orders, and the account's diffs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from ..exchange.ledger import Notice
from ..exchange.views import JOINED, UNASKED, Parcel
from .send_queue import Diff, SendQueue

logger = logging.getLogger(__name__)

#: The brokers that a login may name; the real list is long, and the client ignores it.
BROKERS = ("快期模拟",)
_LOGIN_CODE = 2026112001
_NOT_LOGGED_IN_CODE = 2026112002


class Desk(Protocol):
    """Handles the requests of trading connections."""

    def login(self, session: TdSession, user_id: str) -> list[Parcel]:
        """Open the account if needed and return the answer to the login."""
        ...

    def login_refusal(self, user_id: str) -> list[Notice]:
        """The answer to a login that is refused; empty if it is accepted."""
        ...

    def insert(self, user_id: str, pack: dict[str, object]) -> None:
        """Insert an order."""
        ...

    def cancel(self, user_id: str, order_id: str) -> None:
        """Cancel an order."""
        ...


class TdSession:
    """The state of one connection, without a socket.

    Attributes:
        user_id: The user that has logged in; ``""`` before.
        peek_open: Whether the client waits for an answer.
        outbox: The packs to send.
        unasked: Packs that are sent without waiting for a peek.
        unread: Whether a pack has been sent and the client has not peeked since.
    """

    def __init__(
        self, desk: Desk, session_id: int, *, asked: bool = True, silent: bool = False
    ) -> None:
        self._desk = desk
        self._session_id = session_id
        self._asked, self._silent = asked, silent
        self._notices = 0
        self.unasked: list[list[Diff]] = []
        self.user_id = ""
        self.peek_open = False
        self.unread = False
        self.outbox = SendQueue()

    greeting: tuple[dict[str, object], ...] = (
        {"aid": "rtn_brokers", "brokers": list(BROKERS), "capabilities": {}},
    )

    def receive(self, pack: Mapping[str, object]) -> None:
        """Handle one pack of the client."""
        aid = pack.get("aid")
        if aid == "peek_message":
            self.peek_open = True
            self.unread = False
        elif aid == "req_login":
            self._login(str(pack.get("user_name") or ""))
        elif aid in ("insert_order", "cancel_order"):
            self._order(dict(pack))
        else:
            logger.debug("trading pack %r is ignored", aid)

    def notify(self, content: str, *, code: int = 0, level: str = "INFO") -> None:
        """Queue a notification of the server."""
        self.outbox.add(self.notice(content, code=code, level=level))

    def notice(self, content: str, *, code: int = 0, level: str = "INFO") -> Diff:
        """A notification of the server under a key of its own."""
        self._notices += 1
        message = {
            "type": "MESSAGE",
            "level": level,
            "code": code,
            "session_id": self._session_id,
            "content": content,
        }
        return {"notify": {f"td_{self._session_id}_{self._notices}": message}}

    def _login(self, user_id: str) -> None:
        if not user_id:
            self.notify("登录失败,用户名为空", code=_LOGIN_CODE, level="WARNING")
            return
        refused = self._desk.login_refusal(user_id)
        if refused:
            self.say(refused)
            return
        self.user_id = user_id
        self.deliver(self._desk.login(self, user_id))

    def say(self, notices: Iterable[Notice]) -> None:
        """Queue notifications of the server, each in a pack of its own."""
        for one in notices:
            level = "WARNING" if one.warning else "INFO"
            diff = self.notice(one.content, code=one.code, level=level)
            self.deliver([Parcel(UNASKED, (diff,))])

    def log_out(self, notices: Iterable[Notice]) -> None:
        """End the login but not the connection."""
        self.say(notices)
        self.user_id = ""

    def deliver(self, parcels: list[Parcel]) -> None:
        """Queue news of the account.

        If the market waits for its clients, packs that need no peek wait for one, too; otherwise
        the order of events would depend on the machine's speed.
        """
        for parcel in parcels:
            if parcel.how == JOINED:
                self.outbox.add(*parcel.diffs)
            elif parcel.how == UNASKED and not self._asked:
                self.unasked.append(list(parcel.diffs))
            else:
                self.outbox.add_pack(list(parcel.diffs))

    def _order(self, pack: dict[str, object]) -> None:
        if not self.user_id and self._silent:
            logger.debug("%s before the login is ignored", pack["aid"])
        elif not self.user_id:
            # How the real server answers orders before the login is not known.
            what = "下单失败" if pack["aid"] == "insert_order" else "撤单失败"
            self.notify(f"{what},尚未登录", code=_NOT_LOGGED_IN_CODE, level="WARNING")
        elif pack["aid"] == "insert_order":
            self._desk.insert(self.user_id, pack)
        else:
            self._desk.cancel(self.user_id, str(pack.get("order_id") or ""))
