"""Servers' messages about logins: whether a login was refused, why, and what to do about it.

TianQin's login server answers over HTTP; a broker's counter, and that of the paper account, answers
with notifications, and sends nothing after a refusal. Codes and words of the counter are those of
TianQin's trading gateway and of CTP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .model import Notice

# -- TianQin's login server -------------------------------------------------------------------

#: Words in the client's error if the servers are down for their daily maintenance.
OUT_OF_SERVICE = ("运维", "名称服务")
#: The HTTP status in the client's error about a server's answer.
_STATUS = re.compile(r"(?:认证失败 \(|失败。)(\d{3})\b")
#: Errors that the client reports both for a failing server and for a user without permission.
_UNCLEAR = ("不支持该期货公司", "授权到期日期失败")
_BUSY = frozenset({"408", "425", "429"})


def out_of_service(error: Exception) -> bool:
    """Whether a client's error is that the servers fail, or are down for daily maintenance.

    A failing server may blame the password; only the HTTP status counts.
    """
    found = _STATUS.search(str(error))
    if found is not None and (found[1] >= "500" or found[1] in _BUSY):
        return True
    return any(word in str(error) for word in OUT_OF_SERVICE)


def is_unclear(error: Exception) -> bool:
    """Whether a client's error may also come from a failing server."""
    return any(word in str(error) for word in _UNCLEAR)


def not_in_service(words: str) -> str:
    """Return the message for servers that are out of service, with their words."""
    return f"TianQin is not in service, which says nothing of user and password: {words}"


# -- the counter ------------------------------------------------------------------------------


class Why(StrEnum):
    """Why a trading login was refused, or ended."""

    PASSWORD = "PASSWORD"  # a wrong number or password
    CHANGE = "CHANGE"  # the password must be changed first
    LOCKED = "LOCKED"  # too many attempts, or the company has closed the account
    ENDED = "ENDED"  # another login has ended this one
    AWAY = "AWAY"  # the counter is not in service, which says nothing of the password
    OTHER = "OTHER"


#: Words that mark a reason; the first match counts.
_WORDS: tuple[tuple[Why, str], ...] = (
    (Why.LOCKED, "次数超限 次数过多 锁定 冻结 登录被禁止 禁止登录 频繁 销户"),
    (Why.CHANGE, "修改密码 修改口令 弱密码 弱口令 密码过期 口令过期 已过期 首次登录 密码强度"),
    (Why.ENDED, "强制退出 强制下线 被踢 别处登录 其他地方登录 其它地方登录 异地登录 重复的登录"),
    (Why.PASSWORD, "不合法的登录 不匹配 密码错误 口令错误 密码不正确 用户名或密码 用户不存在"),
    (Why.AWAY, "未初始化 没有初始化 前置不活跃 同步状态 登录超时 维护 稍后 系统繁忙"),
)
#: CTP's error numbers, and the gateway's codes, where words are missing.
_CODES = {
    3: Why.PASSWORD, 11: Why.PASSWORD, 339: Why.PASSWORD, 402: Why.PASSWORD,
    131: Why.CHANGE, 140: Why.CHANGE, 141: Why.CHANGE, 346: Why.CHANGE,
    75: Why.LOCKED, 5: Why.ENDED, 7: Why.AWAY, 8: Why.AWAY, 347: Why.AWAY,
}  # fmt: skip
_OWN_CLIENT = "with the company's own client"
#: What the account's owner should do.
ADVICE = {
    Why.PASSWORD: "Check the account's number and password before the next attempt: brokers lock "
    "an account after a few wrong ones",
    Why.CHANGE: f"Change the password {_OWN_CLIENT}, then start with the new one",
    Why.LOCKED: f"Every further attempt may prolong the lock: ask the company, or log in "
    f"{_OWN_CLIENT}, before the next one",
    Why.ENDED: "Another program or a client on another machine is logged in with this account: "
    "end one of them",
    Why.AWAY: "The password is not the reason: the counter accepts logins in its hours",
    Why.OTHER: f"Check that you can log in {_OWN_CLIENT} before the next attempt: brokers lock an "
    "account after a few refused ones",
}
#: The gateway's codes: a successful login, and a refused one that is over.
_LOGGED_IN, _OVER = frozenset({323, 324, 401}), frozenset({*range(339, 348), 402, 403})
_GOOD = ("登录成功", "交易服务器重登录成功")
#: The code of a broker's own messages to all of its customers, on any subject.
BROADCAST = 332
#: Beginnings of the gateway's messages about logins, at any level.
_SPEAKS_OF_LOGINS = ("交易服务器", "用户登录", "账户和密码")
_GENERAL = ("用户登录失败", "用户登录超时", "账户和密码不匹配")
#: Words that a notice about a login contains, and beginnings of notices about other things.
_OF_A_LOGIN = ("登录", "登陆", "认证失败", "密码", "口令", "下线", "被踢")
_OF_ANOTHER_THING = ("下单", "撤单", "报单", "转账", "银期", "修改", "查询", "当前时间", "重复发送")
_NOT_YET = ("尚未登录", "没有登录", "未登录")
#: The gateway's codes about its line to the exchange's front.
_FRONT_LOST, _FRONT_THERE = 322, frozenset({320, 321})
#: Seconds to wait for further messages: for the reason after a login has ended, and for the end
#: after a reason.
MORE_WORDS, NO_END = 0.3, 1.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A trading login that was refused, or ended.

    Attributes:
        why: The kind of reason.
        words: The counter's words.
        code: The error number of CTP, or the gateway's code.
    """

    why: Why
    words: str
    code: int = 0

    @property
    def advice(self) -> str:
        """What the account's owner should do."""
        return ADVICE[self.why]


def why_of(words: str, code: int = 0) -> Why:
    """Return the reason that words and number state.

    >>> why_of("交易服务器登录失败,CTP:不合法的登录", 3), why_of("CTP:首次登录必须修改密码", 140)
    (<Why.PASSWORD: 'PASSWORD'>, <Why.CHANGE: 'CHANGE'>)
    """
    number = _CODES.get(code)
    for why, marks in _WORDS:
        if any(mark in words for mark in marks.split()):
            return number if why is Why.AWAY and number is not None else why
    return number or Why.OTHER


def _of_a_login_or_front(notice: Notice) -> bool:
    """Whether a notice can be about a login or front: the counter's own, on no other subject."""
    others = notice.conn_id or notice.code == BROADCAST
    return not others and not notice.content.startswith(_OF_ANOTHER_THING)


def is_good(notice: Notice) -> bool:
    """Whether a notice says that the trading login has succeeded."""
    good = notice.code in _LOGGED_IN or notice.content in _GOOD
    return _of_a_login_or_front(notice) and good


def refusal_in(notice: Notice) -> Refusal | None:
    """Return the refusal or end of a login that a notice reports; None if it reports none."""
    words = notice.content
    if not _of_a_login_or_front(notice) or is_good(notice):
        return None
    serious = notice.level != "INFO" or words.startswith(_SPEAKS_OF_LOGINS)
    about = (serious and any(mark in words for mark in _OF_A_LOGIN)) or notice.code in _OVER
    if not about or any(mark in words for mark in _NOT_YET):
        return None
    return Refusal(why_of(words, notice.code), words, notice.code)


def front_lost(notice: Notice) -> bool:
    """Whether a notice says that the counter has lost its line to the exchange's front."""
    if not _of_a_login_or_front(notice):
        return False
    return notice.code == _FRONT_LOST or ("断开" in notice.content and "前置" in notice.content)


def front_there(notice: Notice) -> bool:
    """Whether a notice says that the counter has that line again; it must still log in there."""
    if not _of_a_login_or_front(notice) or front_lost(notice):
        return False
    connected = "连接" in notice.content and "前置" in notice.content
    return notice.code in _FRONT_THERE or connected


class LoginWatch:
    """Follows the notices of a trading login until its result is known."""

    def __init__(self) -> None:
        self._found: list[Refusal] = []
        self._end: Refusal | None = None
        self._since = 0.0

    def hear(self, notice: Notice, now: float) -> None:
        """Take a notice that came at ``now`` (seconds of a monotonic clock)."""
        found = refusal_in(notice)
        if is_good(notice):
            self._found, self._end = [], None
        elif found is not None and _is_end(notice):
            self._end = found
        elif found is not None:
            self._found.append(found)
        else:
            return
        self._since = now

    def verdict(self, now: float) -> Refusal | None:
        """Return the refusal once no further messages are expected, otherwise None."""
        if self._end is None and not self._found:
            return None
        if self._end is not None and self._found:
            waits = 0.0
        else:
            waits = MORE_WORDS if self._end is not None else NO_END
        if now - self._since < waits:
            return None
        if not self._found:
            return self._end
        words = "; ".join(dict.fromkeys(one.words for one in self._found))
        first = self._found[0]
        why = first.why if first.why is not Why.OTHER or self._end is None else self._end.why
        return Refusal(why, words, first.code)


def _is_end(notice: Notice) -> bool:
    return notice.code in _OVER or notice.content.startswith(_GENERAL)
