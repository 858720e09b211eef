"""What servers say of a login: whether it was refused, why, and what to do about it.

TianQin's login server answers over HTTP; a broker's counter, and that of the paper account, answers
with notifications, and is silent after a refusal. Codes and words of the counter: those of
TianQin's trading gateway and of CTP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .model import Notice

# -- TianQin's login server -------------------------------------------------------------------

#: In the words of a client that finds the servers down for their daily maintenance.
OUT_OF_SERVICE = ("运维", "名称服务")
#: In its words about a server's answer, the HTTP status.
_STATUS = re.compile(r"(?:认证失败 \(|失败。)(\d{3})\b")
#: Where it says the same of a server in trouble as of a user who may not.
_UNCLEAR = ("不支持该期货公司", "授权到期日期失败")
_BUSY = frozenset({"408", "425", "429"})


def out_of_service(error: Exception) -> bool:
    """Whether a client says that the servers are in trouble, or down for daily maintenance.

    A server in trouble may say anything of the password; only its status counts.
    """
    found = _STATUS.search(str(error))
    if found is not None and (found[1] >= "500" or found[1] in _BUSY):
        return True
    return any(word in str(error) for word in OUT_OF_SERVICE)


def is_unclear(error: Exception) -> bool:
    """Whether a client says what it says of servers in trouble, too."""
    return any(word in str(error) for word in _UNCLEAR)


def not_in_service(words: str) -> str:
    """What to say then, with the server's words."""
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


#: What is looked for in the words, the first that is found counts.
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
#: What its owner should do.
ADVICE = {
    Why.PASSWORD: "Compare the account's number and password, and have them right before the next "
    "attempt: brokers lock an account after a few wrong ones",
    Why.CHANGE: f"Change the password {_OWN_CLIENT}, then start with the new one",
    Why.LOCKED: f"Every attempt more may prolong it: ask the company, or log in {_OWN_CLIENT}, "
    "before the next one",
    Why.ENDED: "Another program or a client on another machine is logged in with this account: "
    "end one of them",
    Why.AWAY: "The password is not in question: the counter takes logins in its hours",
    Why.OTHER: f"See whether you can log in {_OWN_CLIENT} before the next attempt: brokers lock an "
    "account after a few that are refused",
}
#: The gateway's codes: a login that is good, one that is refused and over.
_LOGGED_IN, _OVER = frozenset({323, 324, 401}), frozenset({*range(339, 348), 402, 403})
_GOOD = ("登录成功", "交易服务器重登录成功")
#: The code of what a broker tells all of its customers, in words of its own about anything.
BROADCAST = 332
#: How the gateway begins what it says of a login whatever the level.
_SPEAKS_OF_LOGINS = ("交易服务器", "用户登录", "账户和密码")
_GENERAL = ("用户登录失败", "用户登录超时", "账户和密码不匹配")
#: Of what a notice must speak to be about a login, and what it is about otherwise.
_OF_A_LOGIN = ("登录", "登陆", "认证失败", "密码", "口令", "下线", "被踢")
_OF_ANOTHER_THING = ("下单", "撤单", "报单", "转账", "银期", "修改", "查询", "当前时间", "重复发送")
_NOT_YET = ("尚未登录", "没有登录", "未登录")
#: The gateway's codes about its line to the front.
_FRONT_LOST, _FRONT_THERE = 322, frozenset({320, 321})
#: Seconds in which more words may come: after the end of a login without a reason, and after a
#: reason without an end.
MORE_WORDS, NO_END = 0.3, 1.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A trading login that was refused, or ended.

    Attributes:
        why: What kind it is.
        words: The counter's own.
        code: Its number: CTP's, or the gateway's.
    """

    why: Why
    words: str
    code: int = 0

    @property
    def advice(self) -> str:
        """What its owner should do."""
        return ADVICE[self.why]


def why_of(words: str, code: int = 0) -> Why:
    """What words and number mean.

    >>> why_of("交易服务器登录失败,CTP:不合法的登录", 3), why_of("CTP:首次登录必须修改密码", 140)
    (<Why.PASSWORD: 'PASSWORD'>, <Why.CHANGE: 'CHANGE'>)
    """
    number = _CODES.get(code)
    for why, marks in _WORDS:
        if any(mark in words for mark in marks.split()):
            return number if why is Why.AWAY and number is not None else why
    return number or Why.OTHER


def _of_a_login_or_front(notice: Notice) -> bool:
    """Whether a notice can be about either: it is the counter's, and about no other thing."""
    others = notice.conn_id or notice.code == BROADCAST
    return not others and not notice.content.startswith(_OF_ANOTHER_THING)


def is_good(notice: Notice) -> bool:
    """Whether a notice says that the trading login is good."""
    good = notice.code in _LOGGED_IN or notice.content in _GOOD
    return _of_a_login_or_front(notice) and good


def refusal_in(notice: Notice) -> Refusal | None:
    """What a notice says of a login that is refused or ended; None if it says nothing of one."""
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
    """Follows the notices of a trading login until it is known how it goes."""

    def __init__(self) -> None:
        self._found: list[Refusal] = []
        self._end: Refusal | None = None
        self._since = 0.0

    def hear(self, notice: Notice, now: float) -> None:
        """Take a notice that came at ``now`` (seconds, never going back)."""
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
        """What was refused, as soon as no more words are to be waited for."""
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
