"""How many lots a counter shows, for every order."""

import math
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.gateway.trading import Trading

RB = "SHFE.rb2605"
SHOWN = {
    "pos_long_today": 3, "pos_long_his": 2, "volume_long_frozen_today": 1,
    "volume_long_today": 0, "volume_long_his": 0,
}  # fmt: skip


def trading(position, *, logged_in=True):
    client = SimpleNamespace(
        get_position=lambda: {RB: position},
        get_account=lambda: SimpleNamespace(items=list),
    )
    session = SimpleNamespace(logged_in=logged_in, client=client, api=client)
    maker = SimpleNamespace(matches_itself=False, is_paper=False, renewable=True)
    return Trading(session, maker, ManualClock(0))


def test_a_counters_frozen_lots_and_volumes_are_not_believed():
    made = trading(SHOWN)
    assert (made.lots(RB, "long"), made.lots(RB, "short")) == ((3, 2), (0, 0))


@pytest.mark.parametrize("value", ["-", math.nan, None, -1])
def test_what_is_no_number_of_lots_is_none(value):
    assert trading({"pos_long_today": value, "pos_long_his": 4}).lots(RB, "long") == (0, 4)


def test_a_contract_that_was_never_held_has_none():
    assert trading(SHOWN).lots("SHFE.hc2605", "long") == (0, 0)


def test_without_a_session_the_last_ones_are_shown():
    made = trading(SHOWN)
    made.keep()
    made._session.logged_in = False
    assert made.lots(RB, "long") == (3, 2)
