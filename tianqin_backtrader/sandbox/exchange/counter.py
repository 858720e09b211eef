"""The counters: how trades are charged, requests refused, and accounts reported.

``plain`` is an ideal counter: clients see the exchange's own records at once. ``kq`` is TianQin's
paper account, ``ctp`` a futures company's CTP behind TianQin's trading gateway. A counter is a row
of a table: its behaviour is described here, and other modules read it.

Sources: recordings of the paper account (2025, 2026) and of a broker's (2020, 2021), and the
gateway's open source (2020-03). docs/counters.md says what each source shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time

#: Exchanges where today's lots are closed with CLOSETODAY.
CLOSES_TODAY_APART = frozenset({"SHFE", "INE"})

# Reasons for refusing an order or a cancel, in the plain counter's words; they serve as keys.
EXPIRED = "CTP:合约已到期,不允许交易"
CLOSED = "CTP:当前状态禁止此项操作"
BAD_TYPE = "CTP:不支持的报单类型"
TOO_MANY = "CTP:报单手数超出最大手数限制"
TOO_FEW = "CTP:开仓手数小于最小开仓手数"
OFF_TICK = "CTP:报单价格不是最小单位的倍数"
ABOVE_LIMIT = "已撤单报单被拒绝价格超出涨停板"
BELOW_LIMIT = "已撤单报单被拒绝价格跌破跌停板"
BAD_OFFSET = "CTP:报单的开平标志错误"
NOT_ENOUGH_TODAY = "CTP:平今仓位不足"
NOT_ENOUGH_HIS = "CTP:平昨仓位不足"
NOT_ENOUGH_HELD = "CTP:平仓量超过持仓量"
NO_FUNDS = "CTP:资金不足"
NOT_FOUND = "CTP:找不到合约"
NO_OPTIONS = "CTP:没有期权交易权限"
NO_COMBINATIONS = "CTP:不支持组合合约"
UNREADABLE = "CTP:报单字段有误"
TWICE = "重复的报单编号"
CANCEL_UNKNOWN = "找不到报单"
CANCEL_FINISHED = "CTP:报单已全成交或已撤销，不能再撤"
CANCEL_CLOSED = "CTP:当前状态禁止此项操作"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is sent when a request is refused.

    Attributes:
        code: The code of the notification.
        words: The order's ``last_msg``; ``{exchange}`` is replaced by its exchange.
        by_exchange: The counter has passed the order on, and the exchange withdraws it.
        order: Whether an order row is sent; if not, only a notification.
    """

    code: int
    words: str
    by_exchange: bool = False
    order: bool = True


@dataclass(frozen=True, slots=True)
class Counter:
    """How a counter behaves.

    Attributes:
        name: ``"plain"``, ``"kq"`` or ``"ctp"``.
        today_in_volume: Outside SHFE and INE ``volume_*_today`` holds all lots, and
            ``volume_*_frozen_today`` all frozen ones.
        closes_today_first: Outside SHFE and INE a close takes today's lots first.
        fee: How commission is calculated. ``"lots"``: by the day on which the lots were opened,
            from the trade's price. ``"settlement"``: from the last settlement price, the same for
            all lots. ``"today"``: at the today rate as long as lots opened today are uncharged,
            whichever lots are closed.
        freezes_closing_fee: A working closing order freezes its commission, too.
        waits_for_open: Orders and cancels are accepted outside trading hours.
        closetoday_everywhere: CLOSETODAY is accepted at exchanges where it is the same as CLOSE.
        keeps_frozen: A withdrawn order still shows what it had frozen.
        whole_branches: Every diff has all branches of the account, including empty ones.
        login_code: The code of the notification of a login.
        serves: The hours in which its front is up; None is always. Outside them an order is
            answered by a notification only.
        refusals: The refusals, by the plain counter's words.
        refused, cancel_refused: Templates of the notification; ``{words}`` is the reason.
    """

    name: str
    today_in_volume: bool = False
    closes_today_first: bool = False
    fee: str = "lots"
    freezes_closing_fee: bool = False
    waits_for_open: bool = False
    closetoday_everywhere: bool = False
    keeps_frozen: bool = False
    whole_branches: bool = False
    login_code: int = 0
    serves: tuple[tuple[time, time], ...] | None = None
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    order_code: int = 2026112003
    cancel_code: int = 2026112004
    refused: str = "下单失败,{words}"
    cancel_refused: str = "撤单失败,{words}"

    def refusal(self, reason: str) -> Refusal:
        """The refusal for a reason in the plain counter's words."""
        return self.refusals.get(reason) or Refusal(self.order_code, reason)

    def cancel_refusal(self, reason: str) -> Refusal:
        """The refusal of a cancel for a reason in the plain counter's words."""
        return self.refusals.get("撤单 " + reason) or Refusal(self.cancel_code, reason)

    def up(self, now: time) -> bool:
        """Whether its front is up at this time of day."""
        return self.serves is None or any(
            start <= now < end if start < end else now >= start or now < end
            for start, end in self.serves
        )

    def takes_today_first(self, exchange_id: str) -> bool:
        """Whether a CLOSE takes today's lots first at this exchange."""
        return self.closes_today_first and exchange_id not in CLOSES_TODAY_APART

    def shows_all_as_today(self, exchange_id: str) -> bool:
        """Whether the volume fields show all lots as today's at this exchange."""
        return self.today_in_volume and exchange_id not in CLOSES_TODAY_APART


PLAIN = Counter("plain")

KQ = Counter(
    "kq",
    today_in_volume=True,
    closes_today_first=True,
    fee="settlement",
    freezes_closing_fee=True,
    waits_for_open=True,
    closetoday_everywhere=True,
    keeps_frozen=True,
    whole_branches=True,
    login_code=401,
    refused="下单,已被服务器拒绝,原因:{words}",
    cancel_refused="{words}",
    order_code=409,
    cancel_code=420,
    refusals={
        EXPIRED: Refusal(409, "合约不合法"),
        NOT_FOUND: Refusal(409, "合约不合法"),
        NO_OPTIONS: Refusal(410, "模拟交易只支持期货合约"),
        NO_COMBINATIONS: Refusal(410, "模拟交易只支持期货合约"),
        OFF_TICK: Refusal(412, "下单价格不是价格单位的整倍数"),
        ABOVE_LIMIT: Refusal(404, "已撤单报单被拒绝价格超出涨停板"),
        BELOW_LIMIT: Refusal(405, "已撤单报单被拒绝价格跌破跌停板"),
        NO_FUNDS: Refusal(413, "开仓保证金不足"),
        NOT_ENOUGH_TODAY: Refusal(414, "平今手数超过今仓持仓量"),
        NOT_ENOUGH_HIS: Refusal(415, "平昨手数超过昨仓持仓量"),
        NOT_ENOUGH_HELD: Refusal(416, "平仓手数超过持仓量"),
        TWICE: Refusal(407, "单号重复", order=False),
        "撤单 " + CANCEL_UNKNOWN: Refusal(420, "要撤销的单不存在"),
        "撤单 " + CANCEL_FINISHED: Refusal(420, "要撤销的单不存在"),
    },
)

_BY_EXCHANGE = "已撤单报单被拒绝{exchange}:"

CTP = Counter(
    "ctp",
    today_in_volume=True,
    fee="today",
    whole_branches=True,
    login_code=324,
    serves=((time(8, 30), time(15, 45)), (time(20, 30), time(2, 45))),
    order_code=15,
    cancel_code=26,
    refusals={
        EXPIRED: Refusal(17, "CTP:合约不能交易"),
        NOT_FOUND: Refusal(16, NOT_FOUND),
        NO_OPTIONS: Refusal(28, NO_OPTIONS),
        UNREADABLE: Refusal(15, UNREADABLE),
        NOT_ENOUGH_HELD: Refusal(30, NOT_ENOUGH_HELD),
        NO_FUNDS: Refusal(31, NO_FUNDS),
        NOT_ENOUGH_TODAY: Refusal(50, NOT_ENOUGH_TODAY),
        NOT_ENOUGH_HIS: Refusal(51, NOT_ENOUGH_HIS),
        CLOSED: Refusal(330, "40045:" + _BY_EXCHANGE + "该合约当前是连续交易暂停", True),
        OFF_TICK: Refusal(330, _BY_EXCHANGE + "报单价格不是最小单位的倍数", True),
        TOO_MANY: Refusal(330, _BY_EXCHANGE + "报单手数超出最大手数限制", True),
        TOO_FEW: Refusal(330, _BY_EXCHANGE + "开仓手数小于最小开仓手数", True),
        ABOVE_LIMIT: Refusal(330, ABOVE_LIMIT, True),
        BELOW_LIMIT: Refusal(330, BELOW_LIMIT, True),
        TWICE: Refusal(357, "报单单号重复，不能下单", order=False),
        "撤单 " + CANCEL_UNKNOWN: Refusal(354, "撤单指定的order_id不存在,不能撤单"),
        "撤单 " + CANCEL_FINISHED: Refusal(26, "撤单失败," + CANCEL_FINISHED),
        "撤单 " + CANCEL_CLOSED: Refusal(22, "撤单失败," + CANCEL_CLOSED),
    },
    cancel_refused="{words}",
)

COUNTERS: Mapping[str, Counter] = {one.name: one for one in (PLAIN, KQ, CTP)}

#: Answers to orders and cancels that the gateway cannot pass on: (code, words).
NOT_SERVED = {
    "insert_order": (333, "当前时间不支持下单!"),
    "cancel_order": (334, "当前时间不支持撤单!"),
}
SEND_FAILED = {
    "insert_order": (358, "下单请求发送失败"),
    "cancel_order": (355, "撤单请求发送失败"),
}
#: Notices: front lost, reconnected, logged in again.
FRONT_LOST, FRONT_BACK = (322, "已经断开与交易前置的连接"), (320, "已经重新连接到交易前置")
LOGGED_IN_AGAIN = (323, "交易服务器重登录成功")
