"""How the counters show the exchange's records: fields, fees, words, and the order of reports."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from exchange_desk import DAY, PRICES, Desk

from tianqin_backtrader.core.clock import SECOND, to_ns
from tianqin_backtrader.sandbox.exchange.counter import COUNTERS, CTP, KQ, PLAIN
from tianqin_backtrader.sandbox.exchange.ctp_view import CtpOptions, CtpView
from tianqin_backtrader.sandbox.exchange.views import ALONE, UNASKED, KqView, PlainView

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded_trading"
CU, M, IF, SR, SI = "SHFE.cu2612", "DCE.m2701", "CFFEX.IF2612", "CZCE.SR701", "GFEX.si2701"
DAYS = ("_today", "_his")
ELSEWHERE = (M, IF, SR, SI)


def recorded(name):
    path = RECORDED / name
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    return json.loads(path.read_text(encoding="utf-8"))


class Client:
    """What a client of a counter is sent, merged as it comes."""

    def __init__(self, counter, **options):
        self.desk = Desk(counter=counter)
        for symbol in PRICES:
            self.desk.show(symbol)
        exchange = self.desk.exchange
        kinds = {"plain": PlainView, "kq": KqView}
        if counter is CTP:
            self.view = CtpView(exchange, "u", CtpOptions(**options))
        else:
            self.view = kinds[counter.name](exchange, "u")
        self.packs, self.notices = [], []
        self.data = {kind: {} for kind in ("accounts", "positions", "orders", "trades")}
        self.read(self.view.login(self.desk.now))
        self.pass_time(5)
        self.packs.clear()
        self.notices.clear()

    def read(self, parcels):
        for parcel in parcels:
            for diff in parcel.diffs:
                self.notices += diff.get("notify", {}).values()
                told = diff.get("trade", {}).get("u")
                if told is None or set(told) == {"session"}:
                    continue
                self.packs.append(told)
                for kind, rows in told.items():
                    if kind in self.data:
                        self.data[kind] |= rows

    def pass_time(self, seconds):
        self.read(self.view.take(self.desk.now))
        self.desk.now += int(seconds * SECOND)
        self.read(self.view.take(self.desk.now))

    def order(self, *args, wait=10.0, **fields):
        order_id = self.desk.order(*args, **fields)
        self.pass_time(wait)
        return order_id

    def hold(self, symbol, *, today, his):
        """Long lots of both kinds."""
        self.desk.show(symbol)
        if his:
            self.desk.order(symbol, "BUY", "OPEN", his, 1)
            self.desk.exchange.settle(DAY, {symbol: PRICES[symbol]})
            self.desk.exchange.start_day(DAY)
            self.desk.show(symbol)
            self.pass_time(5)
        if today:
            self.order(symbol, "BUY", "OPEN", today, 1)
            self.desk.show(symbol)

    def position(self, symbol, *names):
        row = self.data["positions"][symbol]
        return tuple(row[name] for name in names)


FROZEN = ("volume_long_frozen_today", "volume_long_frozen_his", "volume_long_frozen")
VOLUMES = ("volume_long_today", "volume_long_his", "volume_long", "volume_long_yd")
DAYS = ("pos_long_today", "pos_long_his")


@pytest.mark.parametrize("counter", [KQ, CTP], ids=lambda one: one.name)
@pytest.mark.parametrize("symbol", [CU, *ELSEWHERE])
def test_outside_shfe_all_lots_and_all_frozen_ones_are_shown_as_todays(counter, symbol):
    client = Client(counter)
    client.hold(symbol, today=1, his=3)
    client.order(symbol, "SELL", "CLOSE", 2, 100)
    assert client.position(symbol, *DAYS) == (1, 3)
    assert client.position(symbol, *VOLUMES) == ((1, 3, 4, 3) if symbol == CU else (4, 0, 4, 3))
    assert client.position(symbol, *FROZEN) == ((0, 2, 2) if symbol == CU else (2, 0, 2))


def test_plain_shows_the_true_days_of_all_lots():
    client = Client(PLAIN)
    client.hold(M, today=1, his=3)
    client.order(M, "SELL", "CLOSE", 2, 100)
    assert client.position(M, *VOLUMES[:3]) == (1, 3, 4)
    assert client.position(M, *FROZEN) == (0, 2, 2)


@pytest.mark.parametrize(
    ("counter", "exact", "shown"),
    [(PLAIN, (2, 1), (2, 1)), (KQ, (0, 3), (0, 3)), (CTP, (2, 1), (0, 3))],
    ids=lambda one: getattr(one, "name", ""),
)
@pytest.mark.parametrize("symbol", ELSEWHERE)
def test_which_lots_a_close_takes(counter, exact, shown, symbol):
    client = Client(counter)
    client.hold(symbol, today=2, his=3)
    client.order(symbol, "SELL", "CLOSE", 2, 0)
    assert client.desk.position(symbol)[:2] == exact
    assert client.position(symbol, *DAYS) == shown


def test_at_kq_a_working_close_has_claimed_todays_lots_first():
    client = Client(KQ)
    client.hold(M, today=2, his=3)
    client.order(M, "SELL", "CLOSE", 3, 100)
    client.order(M, "SELL", "CLOSE", 2, 0)
    assert client.position(M, *DAYS) == (2, 1)  # what was free was of earlier days


def fees(client):
    return [one.row["commission"] for one in client.desk.exchange.trades("u")]


def test_the_paper_accounts_fee_follows_the_last_settlement_and_not_the_day_of_the_lots():
    client = Client(KQ)
    client.order(CU, "BUY", "OPEN", 1, 1)
    client.desk.show(CU)
    client.order(CU, "SELL", "CLOSETODAY", 1, 0)
    assert fees(client) == [round(78000 * 5 * 0.00005, 2)] * 2


def test_ctp_charges_todays_fee_while_lots_were_opened_today_though_it_takes_the_oldest():
    client = Client(CTP)
    client.hold(IF, today=1, his=2)
    for _ in range(2):
        client.order(IF, "SELL", "CLOSE", 1, 0)
    first, second = fees(client)[-2:]
    assert client.desk.position(IF)[:2] == (1, 0)
    assert first > 5 * second


def test_a_paper_close_binds_its_commission():
    client = Client(KQ)
    client.hold(M, today=0, his=3)
    one = client.order(M, "SELL", "CLOSE", 1, 100)
    account = client.data["accounts"]["CNY"]
    assert account["frozen_commission"] == client.data["orders"][one]["frozen_commission"] == 1.5
    assert account["available"] == round(account["balance"] - account["margin"] - 1.5, 2)


def test_a_withdrawn_paper_order_still_shows_what_it_had_frozen():
    client = Client(KQ)
    one = client.order(M, "BUY", "OPEN", 1, -50)
    bound = client.data["orders"][one]["frozen_margin"]
    client.desk.exchange.cancel("u", one, client.desk.now)
    client.pass_time(0)
    order, account = client.data["orders"][one], client.data["accounts"]["CNY"]
    assert (order["status"], order["volume_left"]) == ("FINISHED", 1)
    assert order["frozen_margin"] == bound > 0 and order["frozen_commission"] == 1.5
    assert account["frozen_margin"] == account["frozen_commission"] == 0


def test_a_paper_order_is_numbered_by_its_id_and_says_nothing():
    client = Client(KQ)
    one = client.order(M, "BUY", "OPEN", 1, 1)
    [pack] = client.packs  # order, trade, position and account together
    order, [trade] = client.data["orders"][one], client.data["trades"].values()
    assert (order["exchange_order_id"], order["last_msg"]) == (one, "")
    assert len(trade["trade_id"]) == 32 and trade["exchange_trade_id"] == trade["trade_id"]
    assert pack["accounts"] and pack["positions"] and pack["banks"] == {}
    assert [notice["code"] for notice in client.notices] == [417, 406]


#: (reason, order): each is refused with the counter's own words and number.
REFUSED = {
    "off tick": ((M, "BUY", "OPEN", 1, 0.5), 412, "下单价格不是价格单位的整倍数"),
    "above limit": ((M, "BUY", "OPEN", 1, 300), 404, "已撤单报单被拒绝价格超出涨停板"),
    "below limit": ((M, "SELL", "OPEN", 1, -300), 405, "已撤单报单被拒绝价格跌破跌停板"),
    "no funds": ((CU, "BUY", "OPEN", 500, 0), 413, "开仓保证金不足"),
    "no lots of today": ((CU, "SELL", "CLOSETODAY", 1, 0), 414, "平今手数超过今仓持仓量"),
    "no lots of yesterday": ((CU, "SELL", "CLOSE", 1, 0), 415, "平昨手数超过昨仓持仓量"),
    "no lots": ((M, "SELL", "CLOSE", 1, 0), 416, "平仓手数超过持仓量"),
}
REFUSED_BY_CTP = {
    "no funds": (31, "CTP:资金不足"),
    "no lots of today": (50, "CTP:平今仓位不足"),
    "no lots of yesterday": (51, "CTP:平昨仓位不足"),
    "no lots": (30, "CTP:平仓量超过持仓量"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_the_paper_account_refuses_in_its_own_words(reason):
    order, code, words = REFUSED[reason]
    client = Client(KQ)
    one = client.order(*order)
    told = client.data["orders"][one]
    assert (told["status"], told["exchange_order_id"], told["last_msg"]) == ("FINISHED", "", words)
    [notice] = client.notices
    assert (notice["code"], notice["level"]) == (code, "WARNING") and words in notice["content"]


@pytest.mark.parametrize("reason", REFUSED_BY_CTP)
def test_ctp_refuses_with_its_own_number_and_words(reason):
    code, words = REFUSED_BY_CTP[reason]
    client = Client(CTP)
    one = client.order(*REFUSED[reason][0])
    told = client.data["orders"][one]
    assert (told["exchange_order_id"], told["last_msg"], told["seqno"]) == ("", words, 0)
    assert [pack["orders"][one]["status"] for pack in client.packs] == ["FINISHED"]
    [notice] = client.notices
    assert (notice["code"], notice["level"]) == (code, "WARNING")


def test_what_the_exchange_refuses_comes_back_withdrawn_after_the_counter_took_it():
    client = Client(CTP)
    client.desk.now = to_ns(datetime(2026, 11, 10, 10, 20))  # the break
    one = client.order(M, "BUY", "OPEN", 1, 1)
    told = [pack["orders"][one] for pack in client.packs if pack["orders"]]
    assert [row["status"] for row in told] == ["ALIVE", "FINISHED"]
    assert told[1]["last_msg"] == "40045:已撤单报单被拒绝DCE:该合约当前是连续交易暂停"
    assert told[1]["exchange_order_id"] == ""


def test_a_brokers_order_comes_step_by_step_each_in_a_pack_of_its_own():
    client = Client(CTP, query_seconds=2.0)
    one = client.order(M, "BUY", "OPEN", 2, 1, wait=0.5)
    orders = [pack["orders"].get(one) for pack in client.packs]
    told = [(row["status"], row["exchange_order_id"], row["last_msg"]) for row in orders[:3]]
    assert told == [
        ("ALIVE", "", "报单已提交"),
        ("ALIVE", "           1", "未成交"),
        ("FINISHED", "           1", "全部成交"),
    ]
    for pack in client.packs[:3]:
        assert pack["trades"] == pack["positions"] == pack["accounts"] == {}
        assert (pack["user_id"], pack["trading_day"], pack["trade_more_data"]) == ("u", "", False)
    [pack] = client.packs[3:]
    [trade] = pack["trades"].values()
    assert trade["trade_id"].startswith(f"{one}|    ") and len(trade["exchange_trade_id"]) == 12
    assert trade["trade_date_time"] % SECOND == 0
    assert pack["orders"] == {} and set(pack["positions"]) == {M}
    assert [notice["code"] for notice in client.notices] == [328, 331]


def test_right_after_an_opening_fill_only_pos_knows_of_it():
    client = Client(CTP, query_seconds=2.0)
    client.order(M, "BUY", "OPEN", 2, 1, wait=0.5)
    names = ("pos_long_today", "volume_long", "open_price_long", "margin_long")
    assert client.position(M, *names) == (2, 0, 0.0, 0.0)
    assert client.data["accounts"]["CNY"]["margin"] == 0.0
    client.pass_time(2)
    assert client.position(M, *names[:3]) == (2, 2, 3001.0)
    assert client.data["accounts"]["CNY"]["margin"] == 0.0  # asked 1.1 s later
    client.pass_time(10)
    assert client.data["accounts"]["CNY"]["margin"] == client.position(M, "margin_long")[0]


def test_an_answer_is_as_old_as_its_question():
    client = Client(CTP, query_seconds=2.0)
    one = client.order(M, "BUY", "OPEN", 1, -50, wait=0.0)
    client.pass_time(0.2)
    client.desk.exchange.cancel("u", one, client.desk.now)
    client.pass_time(1.9)
    assert client.data["orders"][one]["status"] == "FINISHED"
    client.order(M, "BUY", "OPEN", 2, 1, wait=0.2)
    assert client.position(M, "pos_long_today", "volume_long") == (2, 0)
    client.pass_time(20)
    account = client.data["accounts"]["CNY"]
    assert account["frozen_margin"] == 0.0 and client.position(M, "volume_long") == (2,)


def test_no_answer_comes_after_that_of_a_later_question():
    for seed in range(20):
        client, shown = Client(CTP, seed=seed), []
        for _ in range(6):
            client.order(M, "BUY", "OPEN", 1, 1, wait=0.1)
            client.desk.show(M)
            for _ in range(8):
                client.pass_time(0.1)
                shown += client.position(M, "volume_long")
        client.pass_time(20)
        assert [*shown, 6] == sorted([*shown, *client.position(M, "volume_long")])


@pytest.mark.parametrize("way", ["zero", "dash", "absent"])
def test_a_brokers_trade_names_no_commission(way):
    client = Client(CTP, commission=way)
    client.order(M, "BUY", "OPEN", 1, 1)
    [trade] = client.data["trades"].values()
    assert trade.get("commission", "absent") == {"zero": 0.0, "dash": "-"}.get(way, "absent")
    assert client.data["accounts"]["CNY"]["commission"] == 1.5


def test_all_ways_of_naming_no_commission_come_in_turn():
    client = Client(CTP)
    for _ in range(3):
        client.order(M, "BUY", "OPEN", 1, 1)
        client.desk.show(M)
    told = [trade.get("commission", "absent") for trade in client.data["trades"].values()]
    assert told == [0.0, "-", "absent"]


def test_notices_come_unasked_with_the_session_and_the_trading_day_before_the_picture():
    for counter, code in ((KQ, 401), (CTP, 324)):
        client = Client(counter)
        first, second, *rest = client.view.login(client.desk.now)
        [notice] = first.diffs[0]["notify"].values()
        assert first.how == second.how == UNASKED and "session_id" in notice
        assert notice["code"] == code
        assert set(second.diffs[0]["trade"]["u"]) == {"session"}
        assert [one.how for one in rest] == [ALONE]


def test_a_brokers_first_picture_takes_a_second_and_brings_the_settlement_statement():
    desk = Desk(counter=CTP)
    view = CtpView(desk.exchange, "u", CtpOptions(seed=3))
    told = view.login(desk.now)
    assert not any(
        "accounts" in diff.get("trade", {}).get("u", {}) for p in told for diff in p.diffs
    )
    assert view.take(desk.now + SECOND - 1) == []
    picture, statement = view.take(desk.now + 3 * SECOND)
    assert picture.diffs[0]["trade"]["u"]["accounts"]["CNY"]["balance"] == 10_000_000.0
    [notice] = statement.diffs[0]["notify"].values()
    assert (notice["type"], notice["code"]) == ("SETTLEMENT", 325) and "客户权益" in notice[
        "content"
    ]


def test_a_new_trading_day_is_learnt_anew_with_lots_in_their_places():
    client = Client(CTP)
    client.hold(M, today=2, his=3)
    client.desk.exchange.settle(DAY, {M: PRICES[M]})
    client.desk.exchange.start_day(DAY)
    client.pass_time(5)
    assert client.position(M, *DAYS, *VOLUMES) == (0, 5, 5, 0, 5, 5)


def test_the_same_seed_is_the_same_telling():
    def telling(seed):
        client = Client(CTP, seed=seed)
        client.hold(M, today=2, his=3)
        client.order(CU, "BUY", "OPEN", 1, 1)
        return client.packs, client.notices

    assert telling(1) == telling(1)
    assert telling(1) != telling(2)


def test_the_paper_account_takes_orders_while_the_market_is_closed_and_lets_them_wait():
    client = Client(KQ)
    client.desk.now = to_ns(datetime(2026, 11, 10, 10, 20))
    one = client.order(M, "BUY", "OPEN", 1, 1, wait=0)
    assert client.data["orders"][one]["status"] == "ALIVE"
    two = client.order(M, "BUY", "OPEN", 1, 1, wait=0)
    client.desk.exchange.cancel("u", two, client.desk.now)
    client.pass_time(0)
    assert client.data["orders"][two]["status"] == "FINISHED"
    client.desk.now = to_ns(datetime(2026, 11, 10, 10, 30))
    client.desk.show(M)
    client.pass_time(0)
    assert client.data["orders"][one]["volume_left"] == 0


def test_the_paper_account_takes_closetoday_at_dce_as_a_close():
    client = Client(KQ)
    client.hold(M, today=0, his=3)
    one = client.order(M, "SELL", "CLOSETODAY", 1, 100)
    order = client.data["orders"][one]
    assert (order["status"], order["offset"]) == ("ALIVE", "CLOSETODAY")
    assert client.position(M, *FROZEN) == (1, 0, 1)


@pytest.mark.parametrize(
    ("at", "up"),
    [((8, 29), False), ((8, 30), True), ((15, 44), True), ((15, 45), False), ((20, 30), True),
     ((2, 44), True), ((2, 45), False)],
)  # fmt: skip
def test_the_hours_of_a_brokers_front(at, up):
    now = datetime(2026, 11, 10, *at).time()
    assert CTP.up(now) is up and KQ.up(now) and PLAIN.up(now)


def test_every_counter_says_something_to_every_reason():
    for counter in COUNTERS.values():
        assert counter.refusal("CTP:测试").words == "CTP:测试"
        assert "{" not in counter.refusal("CTP:测试").words


def test_a_paper_position_without_lots_has_no_margin_and_no_profit():
    client = Client(KQ)
    client.order(CU, "BUY", "OPEN", 1, 1)
    client.order(CU, "SELL", "CLOSETODAY", 1, -1)
    position = client.data["positions"][CU]
    assert (position["margin"], position["float_profit"]) == ("-", "-")


# -- the recordings -------------------------------------------------------------------------------


def kind(value):
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else value


def test_positions_of_a_paper_account_have_the_recorded_fields():
    held = recorded("kq_2026-09-08_frozen_held.json")["positions"]
    client = Client(KQ)
    client.hold(M, today=0, his=3)
    client.hold(CU, today=0, his=3)
    client.order(M, "SELL", "CLOSE", 1, 100)
    for symbol, other in ((M, "DCE.m2701"), (CU, "SHFE.rb2701")):
        mine, theirs = client.data["positions"][symbol], held[other]
        assert theirs.keys() - mine.keys() == set()
        counts = [name for name in theirs if name.startswith(("pos_", "volume_"))]
        if symbol == CU:
            counts = [name for name in counts if "frozen" not in name]
        assert {name: mine[name] for name in counts} == {name: theirs[name] for name in counts}
        for name in ("open_price_short", "position_price_short", "margin_short"):
            assert mine[name] == theirs[name] == "-"
        for name in (one for one in theirs if "volume" not in one and one.endswith(DAYS)):
            assert kind(mine[name]) == kind(theirs[name]), name
    account = recorded("kq_2026-09-08_frozen_held.json")["accounts"]["CNY"]
    assert account.keys() - client.data["accounts"]["CNY"].keys() == set()


@pytest.mark.parametrize("case", [0, 1])
def test_frozen_lots_at_shfe_as_recorded(case):
    at = recorded("kq_2026-09-08_frozen_shfe.json")["cases"][case]
    client = Client(KQ)
    if case == 0:
        client.hold(CU, today=0, his=3)
        client.order(CU, "SELL", "CLOSE", 1, 100)
    else:
        client.order(CU, "SELL", "OPEN", 1, 0)
        client.order(CU, "BUY", "CLOSETODAY", 1, -100)
    mine = client.data["positions"][CU]
    assert {name: mine[name] for name in at["position"]} == at["position"]


def test_refused_and_withdrawn_paper_orders_as_recorded():
    orders = recorded("kq_2026-09-09_rejects.json")["orders"]
    words = {name: row.get("last_msg", "") for name, row in orders.items()}
    said = {one.words for one in KQ.refusals.values()}
    assert {text for text in words.values() if text} <= said
    client = Client(KQ)
    one = client.order(CU, "SELL", "CLOSETODAY", 1, 0)
    mine, theirs = client.data["orders"][one], orders["closetoday_without_lots"]
    same = theirs.keys() - {"insert_date_time", "instrument_id", "limit_price", "seqno"}
    assert {name: mine[name] for name in same} == {name: theirs[name] for name in same}
    client.hold(M, today=0, his=1)
    one = client.order(M, "SELL", "CLOSETODAY", 1, 100)
    client.desk.exchange.cancel("u", one, client.desk.now)
    client.pass_time(0)
    mine, theirs = client.data["orders"][one], orders["dce_closetoday_taken"]
    same -= {"last_msg", "exchange_order_id"}
    assert {name: mine[name] for name in same} == {name: theirs[name] for name in same}
    assert mine["frozen_commission"] == theirs["frozen_commission"]


def test_a_paper_trade_has_the_recorded_fields():
    [theirs] = recorded("kq_2026-09-09_rejects.json")["trades"].values()
    client = Client(KQ)
    client.order(CU, "BUY", "OPEN", 1, 1)
    [mine] = client.data["trades"].values()
    assert theirs.keys() - mine.keys() == set()
    assert len(mine["trade_id"]) == len(theirs["trade_id"])


def test_a_brokers_packs_have_the_recorded_shape():
    for exchange in recorded("broker_2020-08-12_order_packs.json")["exchanges"]:
        [theirs] = exchange["received"]["data"][0]["trade"].values()
        client = Client(CTP)
        one = client.order(M, "BUY", "OPEN", 1, 1, wait=0.5)
        for mine in client.packs:
            assert mine.keys() == theirs.keys()
        [row] = theirs["orders"].values()
        assert row.keys() - client.data["orders"][one].keys() == set()


def test_a_brokers_finished_orders_are_as_recorded():
    groups = recorded("broker_2020_2021_orders.json")
    rows = [row for name, group in groups.items() if name.startswith("orders") for row in group]
    client = Client(CTP)
    for symbol in (CU, M):
        client.order(symbol, "BUY", "OPEN", 1, 1)
        client.order(symbol, "BUY", "OPEN", 1, -9, time_condition="IOC")
    client.order(CU, "BUY", "OPEN", 500, 0)
    client.desk.now = to_ns(datetime(2026, 11, 10, 10, 20))
    client.order(M, "BUY", "OPEN", 1, 1)
    mine = {row["last_msg"] for row in client.data["orders"].values()}
    assert {row["last_msg"] for row in rows} <= mine | {"全部成交"}
    for row in rows:
        assert row["exchange_order_id"] in ("", f"{row['exchange_order_id'].strip():>12}")


def test_answers_that_were_given_ahead_of_time_do_not_delay_later_ones():
    client = Client(CTP, query_seconds=0.2)
    begin = client.desk.now
    for _ in range(20):
        client.order(M, "BUY", "OPEN", 1, -9, wait=0)
        client.read(client.view.take(client.desk.now))
        while (due := client.view.due_ns()) is not None:  # nothing drives the market
            client.read(client.view.take(due))
    assert client.desk.now == begin
    client.order(M, "BUY", "OPEN", 2, 1, wait=3)
    assert client.position(M, "pos_long_today", "volume_long") == (2, 2)
