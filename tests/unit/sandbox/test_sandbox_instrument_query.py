"""The instrument service: filters, selections and what it refuses."""

from datetime import date, datetime
from typing import Any

import pytest

from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.sandbox.market.listing import build_instruments, contract_of
from tianqin_backtrader.sandbox.wire.instrument_query import DayFacts, InstrumentQuery
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
NOW = to_ns(datetime(2026, 11, 9, 21, 0))
INSTRUMENTS = build_instruments(CALENDAR, DAY, date(2026, 11, 13))
UNDERLYING = {one.underlying for one in INSTRUMENTS.values() if one.underlying}
FRAGMENTS = """
fragment basic on basic { instrument_id class exchange_id price_tick trading_time { day night } }
fragment future on future { expired expire_datetime margin product_id }
fragment tradeable on tradeable { volume_multiple upper_limit }
"""


@pytest.fixture
def query() -> InstrumentQuery:
    return InstrumentQuery(
        INSTRUMENTS,
        day_facts=lambda symbol: DayFacts(settlement_price=80000.0, upper_limit=88000.0),
        main_contract=lambda symbol: "SHFE.cu2612" if symbol == "KQ.m@SHFE.cu" else None,
        now=lambda: NOW,
        trading_day=lambda: "20261110",
    )


def ask(query: InstrumentQuery, arguments: str, **variables: Any) -> list[dict[str, Any]]:
    text = f"query {{ multi_symbol_info{arguments} {{ ...basic ...future ...tradeable }} }}"
    found: list[dict[str, Any]] = query.execute(text + FRAGMENTS, variables)["multi_symbol_info"]
    return found


def symbols(query: InstrumentQuery, arguments: str, **variables: Any) -> set[str]:
    return {row["instrument_id"] for row in ask(query, arguments, **variables)}


def test_a_future_has_the_fields_of_all_its_types(query: InstrumentQuery) -> None:
    [row] = ask(query, '(instrument_id: ["SHFE.cu2612"])')
    assert row["class"] == "FUTURE" and row["price_tick"] == 10.0
    assert row["trading_time"]["night"] == [["21:00:00", "25:00:00"]]
    assert row["volume_multiple"] == 5.0 and row["upper_limit"] == 88000.0
    assert row["expired"] is False
    margin = INSTRUMENTS["SHFE.cu2612"].margin_ratio
    assert row["margin"] == round(80000.0 * 5 * margin, 2)


def test_a_main_contract_has_no_fields_of_futures_but_a_member(query: InstrumentQuery) -> None:
    text = """{ multi_symbol_info(instrument_id: "KQ.m@SHFE.cu") { ...basic ...future
      ... on derivative { underlying { count edges {
        underlying_multiple node { ...basic } } } } }}"""
    [row] = query.execute(text + FRAGMENTS, {})["multi_symbol_info"]
    assert row["class"] == "CONT" and "expired" not in row
    assert row["underlying"]["count"] == 1
    [edge] = row["underlying"]["edges"]
    assert edge["node"]["instrument_id"] == "SHFE.cu2612" and edge["underlying_multiple"] == 1.0


def test_an_option_has_its_terms_and_its_underlying_contract(query: InstrumentQuery) -> None:
    text = """{ multi_symbol_info(instrument_id: "SHFE.cu2612P78000") { ...basic
      ... on option { expired expire_datetime last_exercise_datetime strike_price call_or_put
        exercise_type max_limit_order_volume }
      ... on derivative { underlying { edges { node { ...basic ...future } } } } } }"""
    [row] = query.execute(text + FRAGMENTS, {})["multi_symbol_info"]
    assert (row["class"], row["exchange_id"], row["price_tick"]) == ("OPTION", "SHFE", 1.0)
    assert (row["strike_price"], row["call_or_put"], row["exercise_type"]) == (78000.0, "PUT", "A")
    assert row["expired"] is False
    assert row["last_exercise_datetime"] == to_ns(datetime(2026, 11, 24, 15))
    [edge] = row["underlying"]["edges"]
    assert edge["node"]["instrument_id"] == "SHFE.cu2612" and edge["node"]["product_id"] == "cu"


def test_a_contract_leads_to_its_options(query: InstrumentQuery) -> None:
    text = """{ multi_symbol_info(instrument_id: ["DCE.m2701"]) { ... on basic {
      derivatives(class: [OPTION], expired: EXPIRED) { count edges { node {
        ... on basic { instrument_id } ... on option { strike_price call_or_put } } } } } } }"""
    [row] = query.execute(text.replace("EXPIRED", "false"), {})["multi_symbol_info"]
    nodes = [edge["node"] for edge in row["derivatives"]["edges"]]
    assert row["derivatives"]["count"] == len(nodes) == 14
    wanted = {"instrument_id": "DCE.m2701-C-3000", "strike_price": 3000.0, "call_or_put": "CALL"}
    assert wanted in nodes
    [row] = query.execute(text.replace("EXPIRED", "true"), {})["multi_symbol_info"]
    assert row["derivatives"] == {"count": 0, "edges": []}


def test_a_combination_names_its_legs(query: InstrumentQuery) -> None:
    text = """{ multi_symbol_info(class: [COMBINE]) { ... on basic { instrument_id }
      ... on combine { expired leg1 { ... on basic { instrument_id } }
        leg2 { ... on basic { instrument_id } } } } }"""
    assert query.execute(text, {})["multi_symbol_info"] == [
        {
            "instrument_id": "DCE.SP m2701&m2705",
            "expired": False,
            "leg1": {"instrument_id": "DCE.m2701"},
            "leg2": {"instrument_id": "DCE.m2705"},
        }
    ]


def test_unknown_symbols_give_an_empty_list(query: InstrumentQuery) -> None:
    assert ask(query, '(instrument_id: ["SHFE.xx2612"])') == []


def test_symbols_may_come_in_a_variable(query: InstrumentQuery) -> None:
    found = symbols(query, "(instrument_id: $ids)", ids=["DCE.m2701", "no"])
    assert found == {"DCE.m2701"}


@pytest.mark.parametrize(
    ("arguments", "check"),
    [
        ("(class: [CONT])", lambda ins: ins.ins_class == "CONT"),
        ('(class: [FUTURE], exchange_id: ["SHFE"])', lambda ins: ins.exchange_id == "SHFE"),
        ('(product_id: ["cu", "m"])', lambda ins: ins.product_id in ("cu", "m")),
        ("(class: [FUTURE], expired: true)", lambda ins: to_ns(ins.expire) < NOW),
        ("(has_night: false)", lambda ins: not ins.trading_time.get("night")),
        ("(categories: [PRECIOUS_METALS])", lambda ins: ins.category[0] == "PRECIOUS_METALS"),
        (
            "(has_derivatives: true)",
            lambda ins: ins.symbol in UNDERLYING,
        ),
    ],
)
def test_filters_choose(query: InstrumentQuery, arguments: str, check: Any) -> None:
    one_class = "class: [FUTURE]" in arguments
    expected = {
        name
        for name, ins in INSTRUMENTS.items()
        if check(ins) and not (one_class and ins.ins_class != "FUTURE")
    }
    assert symbols(query, arguments) == expected


def test_expired_is_seen_from_the_timestamp_asked_for(query: InstrumentQuery) -> None:
    later = to_ns(datetime(2027, 1, 1))
    assert "SHFE.cu2612" in symbols(query, f"(expired: true, timestamp: {later})")
    assert "SHFE.cu2612" not in symbols(query, "(expired: true)")


def test_the_older_root_field_takes_single_values(query: InstrumentQuery) -> None:
    text = '{ symbol_info(class: FUTURE, product_id: "cu") { ... on basic { ins_id } } }'
    assert {"ins_id": "cu2612"} in query.execute(text, {})["symbol_info"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{ multi_symbol_info( }", "Syntax Error"),
        ("{ everything { instrument_id } }", "unknown root field"),
        ("{ multi_symbol_info(colour: 1) { ...basic } }", "unknown argument"),
        ("{ multi_symbol_info(expired: false) { ...nothing } }", "no fragment"),
    ],
)
def test_a_wrong_query_is_answered_with_its_error(
    query: InstrumentQuery, text: str, words: str
) -> None:
    answer = query.answer(text, {"a": 1})
    assert words in answer["error"] and "result" not in answer
    assert answer["query"] == text and answer["variables"] == {"a": 1}


@pytest.mark.parametrize(
    ("symbol", "day", "night"),
    [
        ("CZCE.TA001", date(2019, 12, 2), [["21:00:00", "23:30:00"]]),
        ("CZCE.TA012", date(2020, 12, 2), [["21:00:00", "23:00:00"]]),
        ("SHFE.cu2012", date(2020, 12, 2), [["21:00:00", "25:00:00"]]),
        ("SHFE.cu2006", date(2020, 3, 2), []),  # nights were suspended
    ],
)
def test_trading_time_is_that_of_the_day(symbol, day, night):
    assert contract_of(CALENDAR, symbol, day).trading_time["night"] == night
