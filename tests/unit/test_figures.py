"""The diagrams of figure/ come from the code, and those that are kept are up to date."""

import importlib
import operator
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tianqin_backtrader.orders.leg import OVER, TRANSITIONS, OrderEvent
from tianqin_backtrader.session_calendar import CLASS_SESSIONS, EXCHANGES

pytest.importorskip("matplotlib")
FIGURES = Path(__file__).parents[2] / "figure"
DIAGRAMS = ("architecture", "order_states", "recovery", "sessions", "way_of_a_tick")


@pytest.fixture
def script(monkeypatch):
    """Imports a script from its folder."""
    monkeypatch.syspath_prepend(FIGURES)
    return lambda name: importlib.import_module(f"make_{name}")


def words(svg):
    """The texts of a picture, with how often each is there."""
    root = ElementTree.parse(svg).getroot()
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    return Counter(" ".join("".join(one.itertext()).split()) for one in texts)


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_picture_that_is_kept_is_the_one_that_is_drawn(script, tmp_path, name):
    drawn = script(name).main(tmp_path)
    assert words(drawn) == words(FIGURES / f"{name}.svg"), f"run figure/make_{name}.py"


def test_every_script_has_its_picture():
    made = {path.stem.removeprefix("make_") for path in FIGURES.glob("make_*.py")}
    assert made == {path.stem for path in FIGURES.iterdir() if path.suffix in (".svg", ".png")}


def test_the_table_of_states_has_every_row(script):
    drawing = script("order_states")
    assert set(drawing.MEANS) == set(OrderEvent)
    shown = words(FIGURES / "order_states.svg")
    led_to, stays = Counter(), 0
    for state, row in TRANSITIONS.items():
        led_to.update(following for following in row.values() if following is not state)
        stays += sum(following is state for following in row.values())
    assert shown["stays"] == stays
    for state in TRANSITIONS:
        assert shown[f"{state} •" if state in OVER else state] >= 1
        assert shown[state] == led_to[state] + (state not in OVER)


def test_every_product_of_every_exchange_is_in_the_chart_of_sessions(script):
    rows = script("sessions").rows()
    shown = {f"{exchange}.{product}" for exchange, _, products in rows for product in products}
    assert shown == set(CLASS_SESSIONS)
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), key=EXCHANGES.index)


def test_a_trading_day_begins_with_its_night(script):
    place = script("sessions").place
    moments = ("21:00", "23:30", "00:30", "02:30", "09:00", "13:00", "15:15")
    assert [place(one) for one in moments] == sorted(map(place, moments))


def test_the_rooms_of_the_architecture_stand_on_those_below(script):
    drawing = script("architecture")
    rows = drawing.layers()
    assert sum(len(row) for row in rows) > 15
    for number, row in enumerate(rows):
        below = {room for other in rows[number + 1 :] for room in other}
        assert all(drawing.stands_on(room) <= below for room in row), row
    assert "tqsdk" not in drawing.stands_on("gateway") and drawing.stands_on("feeds")


def test_the_way_of_a_tick_names_what_there_is(script):
    for name in script("way_of_a_tick").names():
        module, _, rest = name.partition(":")
        found = importlib.import_module(f"tianqin_backtrader.{module}")
        assert callable(operator.attrgetter(rest)(found)), name


def test_outages_are_read_from_the_table(script, tmp_path):
    source = tmp_path / "recovery.csv"
    source.write_text(
        "outage_seconds,client,seconds\n10,product,2\n10,product,1\n10,bare,30\n300,bare,\n"
    )
    drawing = script("recovery")
    assert drawing.measured(source) == {
        "product": {10.0: [1.0, 2.0]},
        "bare": {10.0: [30.0], 300.0: [float("inf")]},
    }
    drawing.save(drawing.draw(source), "recovery", tmp_path)
    shown = words(tmp_path / "recovery.svg")
    assert {"median 1.5 s", "median 30.0 s", "no data came", "network down 300 s"} <= set(shown)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("dual_ma_day", {}), ("report", {"days": 1})])
def test_pictures_of_a_run_are_drawn(script, tmp_path, name, options):
    path = script(name).main(tmp_path, **options)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 20_000
