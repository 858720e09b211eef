"""Sessions of a user's file."""

from datetime import date, datetime

import pytest

from tianqin_backtrader import session_calendar as calendar
from tianqin_backtrader.errors import ConfigError

DAY = 'day = ["09:00-10:15", "10:30-11:30", "13:30-15:00"]\n'
TODAY = date(2026, 11, 11)


@pytest.fixture
def use(tmp_path):
    """Use a text until the test ends."""

    def use(text):
        path = tmp_path / "sessions.toml"
        path.write_text(text, encoding="utf-8")
        calendar.use_user_sessions(path)

    yield use
    calendar.use_user_sessions(None)


def test_a_product_of_the_table_is_replaced(use):
    now = datetime(2026, 11, 11, 1, 30)
    assert not calendar.is_trading_now("SHFE.cu2701", now)
    use(f'["SHFE.cu"]\n{DAY}night = "21:00-02:30"\n')
    assert calendar.is_trading_now("SHFE.cu2701", now)
    assert calendar.is_trading_now("SHFE.cu2701C78000", now)
    assert calendar.CLASS_SESSIONS["SHFE.cu"][-1] == ("21:00", "02:30")
    assert calendar.CALENDAR.product("SHFE.cu2701").volume_multiple == 5  # the rest stays


def test_a_product_the_table_does_not_have_is_added(use):
    use(f'["GFEX.xy"]\n{DAY}')
    assert calendar.is_trading_now("GFEX.xy2704", datetime(2026, 11, 11, 10, 0))
    assert calendar.next_session_boundary("GFEX.xy2704", datetime(2026, 11, 10, 15, 0)) == (
        datetime(2026, 11, 11, 9, 0)
    )
    assert "GFEX.xy" in calendar.CLASS_SESSIONS


def test_without_a_night_there_is_none(use):
    use(f'["SHFE.cu"]\n{DAY}')
    assert len(calendar.CALENDAR.sessions("SHFE.cu2701", TODAY)) == 3


def test_from_a_day_on_the_table_holds_before(use):
    use(f'["SHFE.cu"]\n{DAY}from = 2026-11-11\n')
    assert len(calendar.CALENDAR.sessions("SHFE.cu2701", date(2026, 11, 10))) == 4
    assert len(calendar.CALENDAR.sessions("SHFE.cu2701", TODAY)) == 3


def test_a_night_may_open_at_another_time_and_in_parts(use):
    use(f'["SHFE.cu"]\n{DAY}night = ["20:00-22:00", "22:15-24:00"]\n')
    nights = calendar.CALENDAR.sessions("SHFE.cu2701", TODAY)[:2]
    assert nights == (
        (datetime(2026, 11, 10, 20), datetime(2026, 11, 10, 22)),
        (datetime(2026, 11, 10, 22, 15), datetime(2026, 11, 11)),
    )
    assert calendar.is_auction("SHFE.cu2701", datetime(2026, 11, 10, 19, 56))


def test_the_user_stands_against_tianqin(use):
    use(f'["SHFE.cu"]\n{DAY}')
    table = {"day": [["09:00:00", "15:00:00"]], "night": [["21:00:00", "25:00:00"]]}
    assert not calendar.CALENDAR.learn("SHFE.cu2701", table, TODAY)
    assert len(calendar.CALENDAR.sessions("SHFE.cu2701", TODAY)) == 3


def test_the_file_can_be_taken_back(use):
    use(f'["SHFE.cu"]\n{DAY}["GFEX.xy"]\n{DAY}')
    calendar.use_user_sessions(None)
    assert len(calendar.CALENDAR.sessions("SHFE.cu2701", TODAY)) == 4
    assert "GFEX.xy" not in calendar.CLASS_SESSIONS


def test_what_tianqin_told_of_others_stays(use):
    symbol = "DCE.jd2701"
    told = {"day": [["09:00:00", "11:30:00"]], "night": []}
    calendar.CALENDAR.learn(symbol, told, TODAY)
    use(f'["SHFE.cu"]\n{DAY}')
    assert len(calendar.CALENDAR.sessions(symbol, TODAY)) == 1
    use(f'["DCE.jd"]\n{DAY}')  # until the user says something about it
    assert len(calendar.CALENDAR.sessions(symbol, TODAY)) == 3


WRONG = [
    (f'["SHFE.cu"]\n{DAY}nihgt = "21:00-01:00"\n', "SHFE.cu: nihgt is not a key"),
    ('["SHFE.cu"]\nnight = "21:00-01:00"\n', "SHFE.cu: day is None"),
    ('["SHFE.cu"]\nday = ["9am-10:15"]\n', "SHFE.cu: day: '9am' is not a time"),
    ('["SHFE.cu"]\nday = ["09:00-10:75"]\n', "SHFE.cu: day: '10:75' is not a time"),
    ('["SHFE.cu"]\nday = ["09:00 to 10:15"]\n', "SHFE.cu: day: '09:00 to 10:15' is not a session"),
    ('["SHFE.cu"]\nday = [900]\n', "SHFE.cu: day: 900 is not a session"),
    ('["SHFE.cu"]\nday = []\n', r"SHFE.cu: day is \[\]"),
    ('["SHFE.cu"]\nday = ["10:30-11:30", "09:00-10:15"]\n', "SHFE.cu: sessions overlap"),
    ('["SHFE.cu"]\nday = ["15:00-09:00"]\n', "SHFE.cu: the session 15:00-09:00 must end after"),
    ('["SHFE.cu"]\nday = ["09:00-19:00"]\n', "by 18:00"),
    (f'["SHFE.cu"]\n{DAY}night = "17:00-20:00"\n', "SHFE.cu: the night 17:00-20:00 opens before"),
    (f'["SHFE.cu"]\n{DAY}night = "21:00-09:30"\n', "SHFE.cu: sessions overlap"),
    (f'["SHFE.cu"]\n{DAY}from = "soon"\n', "SHFE.cu: from is 'soon'"),
    (f"[SHFE.cu]\n{DAY}", "SHFE is not a product"),
    (f'["NYSE.AAPL"]\n{DAY}', "NYSE.AAPL is not a product"),
    (f'["SHFE.cu2701"]\n{DAY}', "SHFE.cu2701 is not a product"),
    ('"SHFE.cu" = 5\n', "SHFE.cu is 5; expected a table"),
    (f'["SHFE.CU"]\n{DAY}', r"SHFE.CU is not a product; mind the case \(did you mean SHFE.cu"),
    (f'["CZCE.sr"]\n{DAY}', r"CZCE.sr is not a product; mind the case \(did you mean CZCE.SR"),
    ("day = [", "is not valid TOML"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_cannot_be_meant_names_file_product_and_key(use, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        use(text)
    assert "sessions.toml" in str(caught.value)
    assert len(calendar.CALENDAR.sessions("SHFE.cu2701", TODAY)) == 4  # and nothing has changed


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        calendar.use_user_sessions(tmp_path / "nowhere.toml")
