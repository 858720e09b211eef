"""Faults between a client's requests and the exchange: of logins, orders and cancels.

Faults are put here; the venue and the trading connections ask before they handle a request.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from .counter import Counter
from .ledger import Notice

#: CTP's answers to a login; the last is the gateway's own.
WRONG_PASSWORD = Notice(3, "CTP:不合法的登录")
CHANGE_PASSWORD = Notice(140, "CTP:首次登录必须修改密码，请修改密码后重新登录")
_FAILED, _MUST_CHANGE = Notice(345, "用户登录失败!", False), Notice(346, "用户登录失败!", False)
_PAPER_FAILED = Notice(403, "用户登录失败!", False)
#: Notices to a terminal when another one has logged in to its account.
ELSEWHERE = (
    Notice(322, "已经断开与交易前置的连接", False),
    Notice(12, "交易服务器重登录失败,CTP:重复的登录"),
)


@dataclass(slots=True)
class Turns:
    """Things that happen to the next requests of a user, or of any user, once each."""

    _waiting: list[tuple[str | None, object]] = field(default_factory=list)

    def add(self, user_id: str | None, what: object, count: int) -> None:
        """Apply ``what`` to the next ``count`` requests."""
        self._waiting += [(user_id, what)] * count

    def take(self, user_id: str) -> object | None:
        """What happens to this request; None if nothing does."""
        for index, (whose, what) in enumerate(self._waiting):
            if whose in (None, user_id):
                del self._waiting[index]
                return what
        return None


class Front:
    """The faults that wait for requests.

    Args:
        counter: The counter whose words refuse logins.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._turns: dict[str, Turns] = defaultdict(Turns)

    def refuse_login(self, user_id: str | None, said: Notice, count: int) -> None:
        """Refuse the next logins with this notice."""
        self._turns["req_login"].add(user_id, said, count)

    def swallow(self, request: str, user_id: str | None, count: int) -> None:
        """Leave the next requests of a kind unanswered."""
        self._turns[request].add(user_id, "", count)

    def answer(self, request: str, user_id: str | None, notice: Notice, count: int) -> None:
        """Answer the next requests of a kind with a notice only."""
        self._turns[request].add(user_id, notice, count)

    def late(self, user_id: str | None, seconds: float, count: int) -> None:
        """Delay the positions of the next snapshots."""
        self._turns["positions"].add(user_id, seconds, count)

    def login_refusal(self, user_id: str) -> list[Notice]:
        """The answer to a login that is refused; empty if it is accepted."""
        said = self._turns["req_login"].take(user_id)
        if not isinstance(said, Notice):
            return []
        if self._counter.name == "kq":
            return [_PAPER_FAILED]
        last = _MUST_CHANGE if said.code == CHANGE_PASSWORD.code else _FAILED
        return [Notice(said.code, f"交易服务器登录失败,{said.content}"), last]

    def stops(self, request: str, user_id: str) -> list[Notice] | None:
        """The notices (perhaps none) that replace the answer; None lets the request pass."""
        what = self._turns[request].take(user_id)
        if what is None:
            return None
        return [what] if isinstance(what, Notice) else []

    def positions_late(self, user_id: str) -> float | None:
        """By how many seconds the positions of this snapshot are late."""
        what = self._turns["positions"].take(user_id)
        return what if isinstance(what, float) else None
