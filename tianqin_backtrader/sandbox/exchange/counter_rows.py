"""Rows of orders, trades, positions and accounts as real counters send them.

The shapes are those of the recordings; ``"-"`` is the server's "no value".
"""

from __future__ import annotations

import hashlib

from ...core.clock import SECOND
from .account import Account, Holding, Side, to_price
from .counter import CLOSES_TODAY_APART, KQ, Counter
from .ledger import Diff, OrderReport, TradeReport

NO_VALUE = "-"
SIDES = ("long", "short")
#: SHFE and INE append this to an order's message once the order has been submitted.
_SUBMITTED = "报单已提交"
_TELLS_SUBMITTED = frozenset({"SHFE", "INE"})
_BRANCHES = (
    "accounts", "positions", "orders", "trades", "banks", "transfers", "pre_insert_orders",
    "risk_management_rule", "risk_management_data",
)  # fmt: skip
_OFFSETS = {"OPEN": "开仓", "CLOSE": "平仓", "CLOSETODAY": "平今"}
_PRICE_TYPES = {"ANY": "市价", "BEST": "最优价", "FIVELEVEL": "五档最优"}


def branches(user_id: str, **changed: Diff) -> Diff:
    """A diff with all branches of an account; the unchanged ones are empty."""
    head: Diff = {"user_id": user_id, "trading_day": "", "trade_more_data": False}
    return head | {name: changed.get(name, {}) for name in _BRANCHES}


# -- orders and trades ----------------------------------------------------------------------------


def kq_order(report: OrderReport) -> Diff:
    """An order row of the paper account: the order's id is its number; only refusals have words."""
    row = report.row
    return row | {
        "seqno": report.seqno,
        "hedge_flag": "SPECULATION",
        "exchange_order_id": "" if report.refusal else row["order_id"],
        "last_msg": row["last_msg"] if report.refusal else "",
        "frozen_margin": report.margin,
        "frozen_commission": report.commission,
    }


def kq_trade(report: TradeReport) -> Diff:
    """A trade row of the paper account, whose id has no structure."""
    row = report.row
    number = hashlib.md5(row["trade_id"].encode(), usedforsecurity=False).hexdigest()
    return row | {
        "trade_id": number,
        "exchange_trade_id": number,
        "seqno": report.seqno,
        "hedge_flag": "SPECULATION",
    }


def ctp_order(report: OrderReport, shown_id: str, seqno: int) -> Diff:
    """An order row of a broker: a padded number, whole seconds, CTP's words."""
    row, refusal = report.row, report.refusal
    at_counter = refusal is not None and not refusal.by_exchange
    insert_ns = row.get("insert_date_time", 0)
    return row | {
        "order_id": shown_id,
        "seqno": 0 if at_counter else seqno,
        "hedge_flag": "SPECULATION",
        "exchange_order_id": padded(row["exchange_order_id"]),
        "insert_date_time": insert_ns if at_counter else insert_ns // SECOND * SECOND,
        "last_msg": row["last_msg"] if refusal else _ctp_words(row),
        "limit_price": row["limit_price"] or 0.0,
        "frozen_margin": 0.0,
        "frozen_premium": 0.0,
        "frozen_commission": 0.0,
    }


def ctp_submitted(row: Diff) -> Diff:
    """The order row before the counter has passed the order on."""
    return row | {
        "exchange_order_id": "",
        "status": "ALIVE",
        "last_msg": _SUBMITTED,
        "volume_left": row["volume_orign"],
    }


def _ctp_words(row: Diff) -> str:
    words = str(row["last_msg"])
    return words + _SUBMITTED if row["exchange_id"] in _TELLS_SUBMITTED else words


def ctp_trade(report: TradeReport, shown_id: str, seqno: int, commission: str) -> Diff:
    """A trade row of a broker.

    Args:
        report: The trade.
        shown_id: The order's id.
        seqno: The account's sequence number of orders and trades.
        commission: ``"zero"``, ``"dash"`` or ``"absent"``: a broker's trades do not state it.
    """
    row = report.row
    number = padded(str(int(row["exchange_trade_id"]) % 10**11))
    told = row | {
        "order_id": shown_id,
        "trade_id": f"{shown_id}|{number}",
        "exchange_trade_id": number,
        "trade_date_time": row["trade_date_time"] // SECOND * SECOND,
        "seqno": seqno,
        "hedge_flag": "SPECULATION",
        "commission": 0.0 if commission == "zero" else NO_VALUE,
    }
    if commission == "absent":
        del told["commission"]
    return told


def padded(number: str) -> str:
    """Pad a number of an exchange like CTP: 12 characters, blanks first."""
    return f"{int(number):>12}" if number else ""


def in_words(row: Diff) -> str:
    """Describe an order as the gateway's notifications do."""
    price = _PRICE_TYPES.get(row["price_type"]) or f"{row['limit_price']:g}"
    return (
        f"合约代码:{row['exchange_id']}.{row['instrument_id']}，"
        f"下单方向:{'买' if row['direction'] == 'BUY' else '卖'}，"
        f"开平标志:{_OFFSETS.get(row['offset'], '未知')}，"
        f"委托价格:{price}，委托手数:{row['volume_orign']}"
    )


def trade_in_words(row: Diff) -> str:
    """Describe a trade as the gateway's notifications do."""
    return (
        f"成交通知,合约代码:{row['exchange_id']}.{row['instrument_id']},"
        f"下单方向:{'买' if row['direction'] == 'BUY' else '卖'},"
        f"开平标志:{_OFFSETS.get(row['offset'], '未知')},"
        f"成交价格:{row['price']:g},成交手数:{row['volume']}"
    )


# -- positions ------------------------------------------------------------------------------------


def volumes(counter: Counter, holding: Holding, name: str) -> dict[str, int]:
    """The volume fields of a side: lots, frozen lots, and lots when the day began."""
    side = holding.side(long=name == "long")
    today, his = side.volume(today=True), side.volume(today=False)
    frozen_today, frozen_his = side.frozen_today, side.frozen_his
    if counter.shows_all_as_today(holding.instrument.exchange_id):
        today, his = today + his, 0
        frozen_today, frozen_his = frozen_today + frozen_his, 0
    return {
        f"volume_{name}_today": today,
        f"volume_{name}_his": his,
        f"volume_{name}": today + his,
        f"volume_{name}_frozen_today": frozen_today,
        f"volume_{name}_frozen_his": frozen_his,
        f"volume_{name}_frozen": frozen_today + frozen_his,
        f"volume_{name}_yd": side.at_begin,
    }


def worths(counter: Counter, holding: Holding, name: str) -> dict[str, float]:
    """Cost and margin of a side's lots in yuan, divided into days like the volume fields."""
    side = holding.side(long=name == "long")
    row: dict[str, float] = {}
    for kind, price in (("open_cost", "open_price"), ("position_cost", "position_price")):
        today = holding.cost(side, price, today=True)
        his = holding.cost(side, price, today=False)
        if counter.shows_all_as_today(holding.instrument.exchange_id):
            today, his = today + his, 0.0
        row |= {
            f"{kind}_{name}_today": today,
            f"{kind}_{name}_his": his,
            f"{kind}_{name}": today + his,
        }
    ratio = holding.instrument.margin_ratio
    for day in ("today", "his"):
        row[f"margin_{name}_{day}"] = round(row[f"position_cost_{name}_{day}"] * ratio, 2)
    row[f"margin_{name}"] = holding.margin_fen(side) / 100
    return row


def prices(row: Diff, name: str, multiple: float, decs: int) -> dict[str, float]:
    """Mean prices, calculated from a side's costs and lots; 0.0 without lots."""
    lots = row[f"volume_{name}"] * multiple
    return {
        f"{kind}_price_{name}": round(row[f"{kind}_cost_{name}"] / lots, decs + 6) if lots else 0.0
        for kind in ("open", "position")
    }


def profits(row: Diff, name: str, multiple: float) -> dict[str, float]:
    """Unrealised profits, calculated from a side's costs, its lots and the last price."""
    sign = 1 if name == "long" else -1
    worth = row["last_price"] * row[f"volume_{name}"] * multiple
    return {
        f"{kind}_profit_{name}": round(sign * (worth - row[f"{cost}_cost_{name}"]), 2)
        + 0.0  # not -0.0
        for kind, cost in (("float", "open"), ("position", "position"))
    }


def kq_position(user_id: str, holding: Holding) -> Diff:
    """A position row of the paper account; ``"-"`` in the fields of a side without lots."""
    row = _head(user_id, holding)
    for name in SIDES:
        side = holding.side(long=name == "long")
        row |= pos_fields(holding, name) | volumes(KQ, holding, name) | worths(KQ, holding, name)
        row |= prices(row, name, holding.instrument.volume_multiple, holding.instrument.price_decs)
        row |= profits(row, name, holding.instrument.volume_multiple)
        row[f"market_value_{name}"] = NO_VALUE
        row |= _without_lots(row, name, side)
    row["market_value"] = NO_VALUE
    return row | _totals(row)


def _head(user_id: str, holding: Holding) -> Diff:
    ins = holding.instrument
    return {
        "user_id": user_id,
        "exchange_id": ins.exchange_id,
        "instrument_id": ins.code,
        "last_price": to_price(holding.last, ins),
        "market_status": 1,
    }


def pos_fields(holding: Holding, name: str) -> dict[str, int]:
    """The ``pos_*`` fields of a side, by the days on which lots were really opened."""
    side = holding.side(long=name == "long")
    return {
        f"pos_{name}_today": side.volume(today=True),
        f"pos_{name}_his": side.volume(today=False),
    }


def _without_lots(row: Diff, name: str, side: Side) -> Diff:
    """``"-"`` for the fields of a side without lots, and of today or earlier days without lots.

    SHFE and INE report lots of earlier days, so those are 0; elsewhere all lots are today's.
    """
    nothing: Diff = {}
    if not side.total:
        for kind in ("open_price", "position_price", "float_profit", "margin", "open_cost"):
            nothing[f"{kind}_{name}"] = NO_VALUE
    day = "today" if row["exchange_id"] in CLOSES_TODAY_APART else "his"
    if not row[f"volume_{name}_{day}"]:
        for kind in ("margin", "open_cost", "position_cost"):
            nothing[f"{kind}_{name}_{day}"] = NO_VALUE
    return nothing


def _totals(row: Diff) -> dict[str, float | str]:
    """Sums over both sides of the fields that have a value; ``"-"`` if neither has one."""
    totals: dict[str, float | str] = {}
    for kind in ("float_profit", "position_profit", "margin"):
        values = [row[f"{kind}_{name}"] for name in SIDES if row[f"{kind}_{name}"] != NO_VALUE]
        totals[kind] = round(sum(values), 2) if values else NO_VALUE
    return totals


def ctp_empty(user_id: str, holding: Holding) -> Diff:
    """A position row that no query has filled yet: its contract, and zeros."""
    row = _head(user_id, holding)
    for name in SIDES:
        row |= dict.fromkeys(pos_fields(holding, name), 0)
        row |= dict.fromkeys(volumes_names(name), 0)
        row |= dict.fromkeys(_worth_names(name), 0.0)
    return row | dict.fromkeys(("float_profit", "position_profit", "margin", "market_value"), 0.0)


def volumes_names(name: str) -> list[str]:
    """The names of the volume fields of a side."""
    days = ("_today", "_his", "")
    fields = [f"volume_{name}{frozen}{day}" for frozen in ("", "_frozen") for day in days]
    return [*fields, f"volume_{name}_yd"]


def _worth_names(name: str) -> list[str]:
    costs = ("open_cost", "position_cost", "margin")
    days = [f"{kind}_{name}{day}" for kind in costs for day in ("", "_today", "_his")]
    kinds = ("open_price", "position_price", "float_profit", "position_profit", "market_value")
    return days + [f"{kind}_{name}" for kind in kinds]


def ctp_queried(counter: Counter, holding: Holding) -> Diff:
    """The answer to a query of positions, for one contract."""
    row: Diff = {}
    for name in SIDES:
        row |= volumes(counter, holding, name) | worths(counter, holding, name)
    return row


def ctp_marked(row: Diff, holding: Holding) -> Diff:
    """A position row with what the gateway calculates: mean prices, profits, and totals."""
    ins = holding.instrument
    row = row | {"last_price": to_price(holding.last, ins)}
    for name in SIDES:
        row |= prices(row, name, ins.volume_multiple, ins.price_decs)
        row |= profits(row, name, ins.volume_multiple)
    return row | _totals(row)


def ctp_moved(row: Diff, trade: Diff) -> Diff:
    """A position's ``pos_*`` after a trade, as the gateway calculates them.

    Outside SHFE and INE today's lots are closed first; the excess is taken from the other day.
    """
    buys, opens = trade["direction"] == "BUY", trade["offset"] == "OPEN"
    name = "long" if buys == opens else "short"
    today, his = row[f"pos_{name}_today"], row[f"pos_{name}_his"]
    lots = trade["volume"]
    if opens:
        today += lots
    elif trade["offset"] == "CLOSE" and trade["exchange_id"] in ("SHFE", "INE"):
        his -= lots
    else:
        today -= lots
    if today + his < 0:
        return row  # more was closed than the gateway knows of: it leaves its numbers alone
    today, his = today + min(his, 0), his + min(today, 0)
    return row | {f"pos_{name}_today": max(today, 0), f"pos_{name}_his": max(his, 0)}


# -- the account ----------------------------------------------------------------------------------


def account_row(account: Account) -> Diff:
    """The account row, the same at paper accounts and brokers."""
    return account.wire() | {"user_id": account.user_id, "pre_option_market_value": 0.0}


def ctp_account_marked(row: Diff, positions: dict[str, Diff]) -> Diff:
    """The account row with the profit of the positions that the gateway shows."""
    profit = round(sum(one["position_profit"] for one in positions.values()), 2)
    moved = profit - row["position_profit"]
    balance = round(row["balance"] + moved, 2)
    return row | {
        "position_profit": profit,
        "float_profit": round(sum(one["float_profit"] for one in positions.values()), 2),
        "balance": balance,
        "available": round(row["available"] + moved, 2),
        "ctp_balance": balance,
        "ctp_available": round(row["ctp_available"] + moved, 2),
        "risk_ratio": row["margin"] / balance if balance > 0 else 0.0,
    }
