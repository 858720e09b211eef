"""Refusals by notice: orders that a counter does not pass on get no report, only a notice.

The notice has no order id. Some notices name contract, direction and lots; others belong to the
order that was waiting for a report when they came. The words are those of TianQin's trading
gateway.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from ..core.clock import SECOND
from ..core.login_words import BROADCAST, front_lost, front_there, is_good, refusal_in
from ..core.model import Direction, Notice

#: The number of notices kept; the oldest are forgotten first.
KEPT = 50
#: An order's refusal and its notice arrive within this time, nanoseconds.
APART = 5 * SECOND
_SYMBOL = re.compile(r"合约代码[:：]\s*([\w.]+)")
_SIDE = re.compile(r"(?:下单方向|买卖方向)[:：]\s*(买|卖)")
_LOTS = re.compile(r"委托手数[:：]\s*(\d+)")
_SIDES = {Direction.BUY: "买", Direction.SELL: "卖"}
#: The beginnings of notices about something else.
_OTHERS = ("撤单", "要撤销", "确认结算", "转账", "银期", "修改", "查询", "CTP:查询", "下单成功")
_NO_ORDER = ("不支持撤单", "不支持转账", "不支持确认", "不支持查询", "不支持修改")
_ORDER = ("下单", "报单")


@dataclass(slots=True)
class _Heard:
    notice: Notice
    at: int


class RefusalNotices:
    """Stores notices, and finds the one that refuses an order without a report."""

    def __init__(self) -> None:
        self._heard: deque[_Heard] = deque(maxlen=KEPT)
        self._answers: deque[tuple[str, int]] = deque(maxlen=KEPT)

    def hear(self, notice: Notice, now: int) -> None:
        """Store a notice that came at ``now`` (nanoseconds since 1970 UTC, machine's clock)."""
        if not may_refuse_an_order(notice):
            return
        for words, at in self._answers:
            if now - at < APART and words in notice.content:
                self._answers.remove((words, at))
                return
        self._heard.append(_Heard(notice, now))

    def answered(self, last_msg: str, now: int) -> None:
        """Note that an order's own ``last_msg`` came at ``now``.

        Its notice, which may come before or after it, belongs to that order and to no other.
        """
        if not last_msg:
            return
        for one in self._heard:
            if last_msg in one.notice.content:
                self._heard.remove(one)
                return
        self._answers.append((last_msg, now))

    def take(self, symbol: str, direction: Direction, volume: int, sent: int) -> str:
        """The words that refuse an order without a report; "" if there are none.

        They are returned once. Of several orders, ask for the oldest first.

        Args:
            symbol, direction, volume: Those of the order.
            sent: When it was sent, by the clock of ``hear``.
        """
        after = [one for one in self._heard if one.at >= sent]
        named = [one for one in after if _names(one.notice, symbol, direction, volume) is True]
        unnamed = [one for one in after if _names(one.notice, symbol, direction, volume) is None]
        for one in (*named, *unnamed):
            self._heard.remove(one)
            return one.notice.content
        return ""


def may_refuse_an_order(notice: Notice) -> bool:
    """Whether a notice may be the refusal of an order.

    >>> may_refuse_an_order(Notice(333, "WARNING", "当前时间不支持下单!"))
    True
    >>> may_refuse_an_order(Notice(334, "WARNING", "当前时间不支持撤单!"))
    False
    """
    words = notice.content
    if notice.conn_id or notice.type not in ("", "MESSAGE") or words.startswith(_OTHERS):
        return False
    if notice.code == BROADCAST or any(mark in words for mark in _NO_ORDER):
        return False
    if front_lost(notice) or front_there(notice) or is_good(notice) or refusal_in(notice):
        return False
    return notice.level in ("WARNING", "ERROR") or words.startswith(_ORDER)


def _names(notice: Notice, symbol: str, direction: Direction, volume: int) -> bool | None:
    """Whether a notice names this order; None if it names none."""
    asked = ((_SYMBOL, symbol), (_SIDE, _SIDES[direction]), (_LOTS, str(volume)))
    found = [(match[1], value) for mark, value in asked if (match := mark.search(notice.content))]
    return all(said == value for said, value in found) if found else None
