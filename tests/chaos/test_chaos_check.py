"""Each rule of ``chaos_check`` finds a diary, books or files that break it."""

import copy
from dataclasses import replace

import pytest
from chaos_check import RULES, Evidence, RunEnd, check, stories

CU = "SHFE.cu2612"


def ask(tag, what, size, buys, exits, t, **facts):
    return {"t": t, "run": 1, "kind": "ask", "tag": tag, "symbol": CU, "size": size, "buys": buys,
            "exits": exits, "what": what, "lots": [0, 0], **facts}  # fmt: skip


def told(tag, ref, status, executed, t, *, legs=(), held=(0, 0), run=1, reason=""):
    return {"t": t, "run": run, "kind": "order", "ref": ref, "tag": tag, "symbol": CU,
            "status": status, "size": 2, "executed": executed, "type": "Market",
            "legs": [list(leg) for leg in legs], "reason": reason,
            "lots": {"long": held[0], "short": held[1]}}  # fmt: skip


IN = ("TQBT_in", "BUY", "OPEN", 2, 2)
OUT = ("TQBT_out", "SELL", "CLOSETODAY", 2, 2)
DIARY = [
    {"t": 0.0, "run": 1, "kind": "begin"},
    ask("1-1", "market", 2, True, 0, 1.0),
    {"t": 1.1, "run": 1, "kind": "asked", "tag": "1-1", "refs": [1]},
    told("1-1", 1, "Submitted", 0, 1.2),
    told("1-1", 1, "Accepted", 0, 1.3, legs=[(*IN[:4], 0)]),
    told("1-1", 1, "Completed", 2, 1.4, legs=[IN], held=(2, 0)),
    {"t": 1.5, "run": 1, "kind": "trade", "symbol": CU, "closed": False, "opened": True, "size": 2},
    ask("1-2", "close", 2, False, 2, 3.0, placed_to_close=True),
    {"t": 3.1, "run": 1, "kind": "asked", "tag": "1-2", "refs": [2]},
    {"t": 3.1, "run": 1, "kind": "ends flat", "ref": 2, "symbol": CU},
    told("1-2", 2, "Submitted", 0, 3.2),
    told("1-2", 2, "Accepted", 0, 3.3, legs=[(*OUT[:4], 0)], held=(2, 0)),
    told("1-2", 2, "Completed", -2, 3.4, legs=[OUT]),
    {"t": 3.5, "run": 1, "kind": "trade", "symbol": CU, "closed": True, "opened": False, "size": 0},
    {"t": 9.0, "run": 1, "kind": "final", "open": 0, "positions": {},
     "books": {CU: {"net": 0, "long": 0, "short": 0}}, "account": {"commission": 12.5}},
]  # fmt: skip


def order(order_id, direction, offset):
    return {"order_id": order_id, "exchange_id": "SHFE", "instrument_id": "cu2612",
            "direction": direction, "offset": offset, "volume_orign": 2, "volume_left": 0,
            "status": "FINISHED"}  # fmt: skip


def trade(order_id, direction, offset, at):
    return {"order_id": order_id, "exchange_id": "SHFE", "instrument_id": "cu2612",
            "direction": direction, "offset": offset, "price": 78000.0, "volume": 2,
            "trade_date_time": at}  # fmt: skip


def as_text(row, **more):
    return {name: str(value) for name, value in {**row, **more}.items()}


ORDERS = {"TQBT_in": order("TQBT_in", "BUY", "OPEN"),
          "TQBT_out": order("TQBT_out", "SELL", "CLOSETODAY")}  # fmt: skip
TRADES = {"a|1": trade("TQBT_in", "BUY", "OPEN", 1),
          "b|1": trade("TQBT_out", "SELL", "CLOSETODAY", 2)}  # fmt: skip
TABLES = {
    "order": [as_text(one) for one in ORDERS.values()],
    "trade": [as_text(one, trade_id=trade_id) for trade_id, one in TRADES.items()],
    "position": [{"symbol": CU, "pos_long_today": "0"}],
    "account": [{"commission": "12.50"}],
}
GOOD = Evidence(DIARY, [RunEnd(1, 0, 9.5)], ORDERS, TRADES, {}, {"commission": 12.5}, TABLES, 5)


def line(diary, tag, status):
    return next(one for one in diary if one.get("tag") == tag and one.get("status") == status)


def after(diary, tag, status, more):
    diary.insert(diary.index(line(diary, tag, status)) + 1, more)


def final(diary):
    return diary[-1]


# -- breaches: functions that change the evidence; ``BREACHES`` has the expected sentences ---------


def told_twice(e):
    e.diary.append(told("1-1", 7, "Completed", 2, 9.9, legs=[IN], run=2))


def another_end(e):
    e.diary.append(told("1-1", 7, "Canceled", 2, 9.9, legs=[IN], run=2))


def no_end(e):
    e.diary.remove(line(e.diary, "1-2", "Completed"))


def a_word_after_the_end(e):
    after(e.diary, "1-2", "Completed", told("1-2", 2, "Partial", -2, 3.45, legs=[OUT]))


def silence(e):
    e.diary[:] = [one for one in e.diary if one["kind"] != "order" or one["tag"] != "1-2"]


def accepted_twice(e):
    after(e.diary, "1-1", "Accepted", copy.deepcopy(line(e.diary, "1-1", "Accepted")))


def shrinking(e):
    after(e.diary, "1-1", "Accepted", told("1-1", 1, "Partial", 3, 1.35, legs=[IN]))


def a_fill_twice(e):
    after(e.diary, "1-1", "Accepted", told("1-1", 1, "Partial", 2, 1.35, legs=[IN]))


def a_fill_untold(e):
    line(e.diary, "1-1", "Completed")["executed"] = 1


def more_than_asked(e):
    next(one for one in e.diary if one["kind"] == "ask")["size"] = 1


def an_order_of_nobody(e):
    e.orders["TQBT_x"] = order("TQBT_x", "BUY", "OPEN")


def a_ghost_trade(e):
    e.diary[:] = [one for one in e.diary if one["kind"] != "trade" or not one["closed"]]


def an_exit_opens(e):
    e.orders["TQBT_out"]["offset"] = "OPEN"


def opens_what_was_to_close(e):
    next(one for one in e.diary if one["kind"] == "ask")["exits"] = 1


def too_much_exposure(e):
    e.trades["a|1"]["volume"] = 6


def protection(status, told_of):
    def breach(e):
        stop = ("TQBT_stop", "SELL", "CLOSE", 2, 0)
        at = e.diary.index(line(e.diary, "1-1", "Completed")) + 1
        e.diary[at:at] = [
            ask("1-9", "stop exit", 2, False, 2, 1.5, protects=True, placed_to_close=True),
            {"t": 1.5, "run": 1, "kind": "asked", "tag": "1-9", "refs": [9]},
            told("1-9", 9, "Submitted", 0, 1.6, held=(2, 0)),
            told("1-9", 9, "Accepted", 0, 1.6, held=(2, 0)),
            told("1-9", 9, status, 0, 1.7, legs=[stop], held=(2, 0), reason="busy"),
        ]
        if told_of:
            text = f"{CU}: 2 lots have no protection"
            e.diary.insert(at + 5, {"t": 1.8, "run": 1, "kind": "store", "text": text})

    return breach


def not_flat(e):
    line(e.diary, "1-2", "Completed")["lots"]["long"] = 2


def trade_file_twice(e):
    e.tables["trade"].append(e.tables["trade"][0])


def trade_file_lacks(e):
    del e.tables["trade"][0]


def trade_file_invents(e):
    e.tables["trade"].append({**e.tables["trade"][0], "trade_id": "c|1", "offset": "CLOSE"})


def trade_file_price(e):
    e.tables["trade"][0]["price"] = "78010.0"


def order_file_lacks(e):
    del e.tables["order"][0]


def order_file_alive(e):
    e.tables["order"][0]["status"] = "ALIVE"


def order_file_alive_of_nothing(e):
    e.tables["order"].append({**e.tables["order"][0], "order_id": "TQBT_y", "status": "INTENT"})


def position_file(e):
    e.tables["position"][0]["pos_long_today"] = "2"


def account_file(e):
    e.tables["account"][0]["commission"] = "6.25"


def no_account_file(e):
    e.tables["account"].clear()


def books(e):
    final(e.diary)["books"][CU] |= {"long": 2, "net": 2}


def books_of_another(e):
    e.positions["DCE.m2701"] = {"pos_short_today": 1}


def read_account(e):
    final(e.diary)["account"]["commission"] = 0.0


def open_at_the_end(e):
    final(e.diary)["open"] = 1


def no_rest(e):
    del e.diary[-1]


def crash(e):
    e.ends.append(RunEnd(2, 1, 9.9, words="ValueError: '' is not a valid Direction"))


def long_round(e):
    e.diary.append({"t": 9.0, "run": 1, "kind": "round", "took": 1.2, "place": ["store.py:1 poll"]})


def stuck(e):
    e.diary.append({"t": 9.0, "run": 1, "kind": "stuck", "since": 4.0, "place": ["x.py:1 wait"]})


def taken_over(e):
    e.diary.append({"t": 9.0, "run": 1, "kind": "store",
                    "text": "2 lots more; only orders that reduce are sent"})  # fmt: skip


BREACHES = {
    told_twice: "told 2 ends: Completed in run 1, Completed in run 2",
    another_end: "told 2 ends: Completed in run 1, Canceled in run 2",
    no_end: "has had no end; the last word was Accepted",
    a_word_after_the_end: "was told Partial after its end",
    silence: "nothing was ever told of it",
    accepted_twice: "was told Accepted 2 times",
    shrinking: "filled lots that shrink",
    a_fill_twice: "the same filled lots twice",
    a_fill_untold: "was told 1 filled lots, the exchange traded 2",
    more_than_asked: "more than it asked for",
    an_order_of_nobody: "of which nobody was told",
    a_ghost_trade: "a trade that is open",
    an_exit_opens: "placed to close and was sent as OPEN 2, of which 2 traded",
    opens_what_was_to_close: "opened 2 lots, 1 of its lots were to close",
    too_much_exposure: "6 lots of SHFE.cu2612 were held, 5 are the most",
    protection("Rejected", False): "protected 2 lots that are still held, ended Rejected (busy)",
    not_flat: "was to leave nothing of SHFE.cu2612; long 2",
    trade_file_twice: "trade.csv has the trade a|1 of TQBT_in 2 times",
    trade_file_lacks: "trade.csv lacks a trade of TQBT_in: BUY OPEN 2 at 78000.0",
    trade_file_invents: "trade.csv has a trade of TQBT_in: BUY CLOSE 2 at 78000.0, which never was",
    trade_file_price: "BUY OPEN 2 at 78010.0, which never was",
    order_file_lacks: "order.csv lacks the order TQBT_in",
    order_file_alive: "order.csv says status ALIVE of TQBT_in",
    order_file_alive_of_nothing: "order.csv says INTENT of TQBT_y",
    position_file: "position.csv says pos_long_today 2",
    account_file: "account.csv says commission 6.25",
    no_account_file: "account.csv has no row",
    books: "the books hold 2 long of SHFE.cu2612, the exchange 0",
    books_of_another: "the account was read as 0 short of DCE.m2701, the exchange has 1",
    read_account: "the account was read with commission 0.0, it is 12.5",
    open_at_the_end: "1 orders were open at the end",
    no_rest: "the program never came to rest",
    crash: "run 2 ended with 1: ValueError",
    long_round: "lasted 1.20 s",
    stuck: "never ended, x.py:1 wait",
    taken_over: "took the account for unexplained",
}


def test_a_good_run_breaks_no_rule():
    assert check(GOOD) == []


@pytest.mark.parametrize("breach", BREACHES, ids=lambda one: one.__name__)
def test_a_breach_is_found(breach):
    bad = copy.deepcopy(GOOD)
    breach(bad)
    assert any(BREACHES[breach] in sentence for sentence in check(bad)), check(bad)


def test_every_rule_has_a_breach():
    broken = set()
    for breach in BREACHES:
        bad = copy.deepcopy(GOOD)
        breach(bad)
        broken |= {rule for rule in RULES if rule(bad, stories(bad.diary))}
    assert broken == set(RULES)


def test_protection_that_is_lost_aloud_is_no_breach():
    bad = copy.deepcopy(GOOD)
    protection("Rejected", True)(bad)
    assert check(bad) == []


def test_protection_that_a_full_disk_takes_is_lost_like_any_other():
    bad = copy.deepcopy(GOOD)
    protection("Canceled", False)(bad)
    halts = [
        {"t": 1.4, "run": 1, "kind": "store", "text": "HALTED: journal.sqlite: cannot be written"},
        {"t": 1.4, "run": 1, "kind": "risk", "state": "HALTED", "reason": "cannot be written"},
    ]
    bad.diary[0:0] = halts
    assert any("protected 2 lots that are still held" in one for one in check(bad))


def test_a_kill_right_after_an_ask_leaves_nothing_to_tell():
    bad = copy.deepcopy(GOOD)
    bad.diary[-1:-1] = [ask("1-3", "market", 1, True, 0, 8.0)]
    assert any("nothing was ever told" in one for one in check(bad))
    killed = replace(bad, ends=[RunEnd(1, -9, 8.05, killed=True)])
    assert check(killed) == []


def test_a_step_may_be_told_again_after_a_kill_in_its_round():
    bad = copy.deepcopy(GOOD)
    accepted_twice(bad)
    first = line(bad.diary, "1-1", "Accepted")
    killed = replace(bad, ends=[RunEnd(1, -9, first["t"] + 0.2, killed=True)])
    assert not any("Accepted 2 times" in one for one in check(killed))
    later = replace(bad, ends=[RunEnd(1, -9, first["t"] + 5.0, killed=True)])
    assert any("Accepted 2 times" in one for one in check(later))


def test_an_order_without_a_tag_is_known_by_its_legs_in_the_next_run():
    bad = copy.deepcopy(GOOD)
    bad.diary[:] = [{**one, "tag": None} if one["kind"] == "order" else one for one in bad.diary]
    assert check(bad) == []
    bad.diary.append(told(None, 31, "Completed", 2, 9.9, legs=[IN], run=2))
    assert any("1-1" in one and "2 ends" in one for one in check(bad))


def test_cancel_and_close_leaves_both_sides_of_a_lock():
    locked = copy.deepcopy(GOOD)
    not_flat(locked)
    line(locked.diary, "1-2", "Completed")["lots"]["short"] = -2
    assert any("leave nothing" in one for one in check(locked))
    next(one for one in locked.diary if one.get("what") == "close")["lots"] = [4, 2]
    assert check(locked) == []


def test_cancel_and_close_knows_nothing_of_a_fill_on_its_way():
    late = copy.deepcopy(GOOD)
    not_flat(late)
    late.diary.append(told("1-3", 3, "Partial", 2, 3.42))
    assert not any("leave nothing" in one for one in check(late))
    late.diary[-1] = told("1-3", 3, "Accepted", 0, 3.42)
    assert any("leave nothing" in one for one in check(late))


def test_lots_that_another_hand_opened_need_no_trade_of_the_strategy():
    more = copy.deepcopy(GOOD)
    books(more)
    assert any("a trade that is closed" in one for one in check(more))
    shared = replace(more, others={CU: 2})
    assert not any("notify_trade" in one for one in check(shared))


def test_figures_that_no_gateway_asks_for_are_not_compared():
    for change in (account_file, read_account):
        worse = copy.deepcopy(GOOD)
        change(worse)
        assert check(worse) and not check(replace(worse, account_told=False))


def test_a_trade_that_another_hand_closed_while_no_program_was_there_is_told_to_nobody():
    gone = copy.deepcopy(GOOD)
    gone.diary[:] = [one for one in gone.diary if one["kind"] != "trade" or not one["closed"]]
    gone.diary[-1]["run"] = 2
    assert any("a trade that is open" in one for one in check(gone))
    assert not any("notify_trade" in one for one in check(replace(gone, others={CU: 2})))
    gone.diary[-1]["run"] = 1
    assert any("a trade that is open" in one for one in check(replace(gone, others={CU: 2})))


def test_other_clients_may_hold_lots_beside_ours():
    more = copy.deepcopy(GOOD)
    more.trades["o|1"] = {**more.trades["a|1"], "order_id": "OTHER_1", "volume": 4}
    assert any("6 lots" in one for one in check(more))
    shared = replace(more, others={CU: 2})
    assert not any("were held" in one for one in check(shared))


def test_what_was_told_while_nothing_could_be_written_may_be_told_again_after_a_kill():
    full = {
        "t": 3.0,
        "run": 1,
        "kind": "store",
        "text": "HALTED: journal.sqlite: cannot be written",
    }
    bad = copy.deepcopy(GOOD)
    bad.diary.append(told("1-2", 7, "Completed", -2, 9.9, legs=[OUT], run=2))
    bad.diary.insert(0, full)
    killed = replace(bad, ends=[RunEnd(1, -9, 9.5, killed=True)])
    assert check(killed) == []
    for words in ("2 ends", "the same filled lots twice"):
        assert any(words in one for one in check(bad))
    killed.diary.insert(1, {"t": 3.0, "run": 1, "kind": "resume", "ok": True})
    assert any("2 ends" in one for one in check(killed))


def test_an_order_that_could_not_be_written_down_is_not_missed_after_a_kill():
    bad = copy.deepcopy(GOOD)
    full = {
        "t": 2.9,
        "run": 1,
        "kind": "store",
        "text": "HALTED: journal.sqlite: cannot be written",
    }
    bad.diary.insert(7, full)
    bad.diary.remove(line(bad.diary, "1-2", "Completed"))
    line(bad.diary, "1-2", "Accepted")["lots"] = {"long": 0, "short": 0}
    bad.tables["order"].pop()
    bad.tables["trade"].pop()
    missed = ("no end", "told 0 filled lots", "trade.csv lacks", "order.csv lacks")
    assert check(replace(bad, ends=[RunEnd(1, -9, 9.5, killed=True)])) == []
    for words in missed:
        assert any(words in one for one in check(bad)), words
    earlier = replace(bad, ends=[RunEnd(1, -9, 9.5, killed=True)])
    full["t"] = 3.25  # the order was told, and so recorded, before
    for words in missed:
        assert any(words in one for one in check(earlier)), words
