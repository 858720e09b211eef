"""``SESSION_START`` and ``SESSION_END`` timers of Cerebro on feeds of ours."""

from datetime import date, datetime, time, timedelta

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.core.model import Bar
from tianqin_backtrader.feeds.bar_feeds import BarFeed
from tianqin_backtrader.feeds.slots import SlotTable
from tianqin_backtrader.session_calendar import CALENDAR

START, END = bt.timer.SESSION_START, bt.timer.SESSION_END
FIVE, HOUR = timedelta(minutes=5), timedelta(hours=1)


class Given(BarFeed):
    """Flat minutes of trading days; live, or as a back-test reads them."""

    params = (
        ("days", ()),
        ("live", True),
        ("begin", datetime.min),
        ("timeframe", bt.TimeFrame.Minutes),
    )

    def start(self):
        super().start()
        table = SlotTable(CALENDAR, self.p.dataname, MINUTE)
        self.left = [
            Bar(slot.start, slot.end, 1.0, 1.0, 1.0, 1.0, 1, 1, 1)
            for day in self.p.days
            for slot in table.of_day(day)
            if from_ns(slot.end) > self.p.begin
        ][::-1]

    def islive(self):
        return self.p.live

    def _load(self):
        if not self.left:
            return False
        self._write(self.left.pop())
        return True


class Timed(bt.Strategy):
    params = (("timer", None),)

    def __init__(self):
        self.fired = []
        self.add_timer(**self.p.timer)

    def notify_timer(self, timer, when, *args, **kwargs):
        now = max(data.datetime.datetime(0) for data in self.datas if len(data))
        self.fired.append((f"{now:%m-%d %H:%M}", f"{when:%m-%d %H:%M}"))


def days(first, count):
    found = [CALENDAR.roll(date.fromisoformat(first))]
    while len(found) < count:
        found.append(CALENDAR.next_trading_day(found[-1]))
    return found


def fired(symbol, timer, first="2026-11-10", count=2, others=(), **options):
    cerebro = bt.Cerebro(stdstats=False)
    for name in (symbol, *others):
        cerebro.adddata(Given(dataname=name, days=days(first, count), **options))
    cerebro.addstrategy(Timed, timer=timer)
    return [one for one, _ in cerebro.run()[0].fired]


@pytest.mark.parametrize("live", [True, False], ids=["live", "back-test"])
@pytest.mark.parametrize(
    ("symbol", "start", "end"),
    [
        ("SHFE.rb2701", ["11-09 21:01", "11-10 21:01"], "14:55"),  # the night to 23:00
        ("SHFE.cu2612", ["11-09 21:01", "11-10 21:01"], "14:55"),  # over midnight
        ("SHFE.au2612", ["11-09 21:01", "11-10 21:01"], "14:55"),
        ("CZCE.AP701", ["11-10 09:01", "11-11 09:01"], "14:55"),  # no night
        ("CFFEX.IF2612", ["11-10 09:31", "11-11 09:31"], "14:55"),
        ("CFFEX.T2612", ["11-10 09:31", "11-11 09:31"], "15:10"),  # bonds
    ],
)
def test_each_once_a_trading_day_at_the_contracts_own_times(symbol, start, end, live):
    assert fired(symbol, dict(when=START), live=live) == start
    closing = dict(when=END, offset=-FIVE)
    assert fired(symbol, closing, live=live) == [f"11-10 {end}", f"11-11 {end}"]


@pytest.mark.parametrize("cheat", [True, False])
def test_the_feed_that_is_named_counts(cheat):
    def timer(when):
        return dict(when=when, cheat=cheat)

    def fired_of(name, when):
        class Named(Timed):
            def __init__(self):
                self.p.timer["tzdata"] = self.getdatabyname(name)
                super().__init__()

        cerebro = bt.Cerebro(stdstats=False)
        for one in ("SHFE.cu2612", "CFFEX.T2612"):
            cerebro.adddata(Given(dataname=one, days=days("2026-11-10", 1)), name=one)
        cerebro.addstrategy(Named, timer=timer(when))
        return [one for one, _ in cerebro.run()[0].fired]

    assert fired_of("SHFE.cu2612", START) == ["11-09 21:01"]
    assert fired_of("CFFEX.T2612", START) == ["11-10 09:30"]  # copper's minute ends at its opening
    assert fired_of("SHFE.cu2612", END) == ["11-10 15:00"]
    assert fired_of("CFFEX.T2612", END) == ["11-10 15:15"]


def test_fridays_night_is_mondays_and_a_holidays_eve_has_none():
    # Monday 2026-11-09; then the days after the National Day: 2026-09-30, 2026-10-08.
    assert fired("SHFE.cu2612", dict(when=START), "2026-11-09", 1) == ["11-06 21:01"]
    assert fired("SHFE.cu2612", dict(when=START), "2026-09-30", 2) == ["09-29 21:01", "10-08 09:01"]
    mondays = dict(when=END, offset=-FIVE, weekdays=[1])
    assert fired("SHFE.cu2612", mondays, "2026-11-05", 4) == ["11-09 14:55"]
    begin_of_monday = dict(when=START, weekdays=[1])
    assert fired("SHFE.cu2612", begin_of_monday, "2026-11-05", 4) == ["11-06 21:01"]


def test_days_that_are_not_allowed_and_days_of_the_month():
    only = date(2026, 11, 11)
    assert fired("SHFE.cu2612", dict(when=END, allow=lambda day: day == only), count=3) == [
        "11-11 15:00"
    ]
    # The 14th is a Saturday: carried to the next trading day.
    assert fired("SHFE.cu2612", dict(when=START, monthdays=[14]), "2026-11-12", 3) == [
        "11-13 21:01"
    ]


def test_repeated_until_the_session_ends():
    minutes = dict(when=END, offset=-FIVE, repeat=timedelta(minutes=2))
    assert fired("SHFE.rb2701", minutes, count=1) == ["11-10 14:55", "11-10 14:57", "11-10 14:59"]
    # Those of the break are one, at the first minute after it.
    hourly = dict(when=START, repeat=HOUR)
    assert fired("CFFEX.IF2612", hourly, count=1) == [
        "11-10 09:31", "11-10 10:30", "11-10 11:30", "11-10 13:01", "11-10 13:30", "11-10 14:30",
    ]  # fmt: skip


def test_a_moment_after_the_close_is_the_first_minute_after_it():
    after = dict(when=END, offset=FIVE)
    assert fired("SHFE.cu2612", after) == ["11-10 21:01"]
    assert fired("CFFEX.IF2612", after) == ["11-11 09:31"]


@pytest.mark.parametrize(
    ("begin", "opening", "closing"),
    [
        ("2026-11-09 22:00", ["11-09 22:01", "11-10 21:01"], ["11-10 14:55", "11-11 14:55"]),
        ("2026-11-10 14:57", ["11-10 14:58", "11-10 21:01"], ["11-10 14:58", "11-11 14:55"]),
    ],
)
def test_a_program_that_starts_within_a_session_is_told_of_its_past_at_once(
    begin, opening, closing
):
    begin = datetime.fromisoformat(begin)
    assert fired("SHFE.cu2612", dict(when=START), begin=begin) == opening
    assert fired("SHFE.cu2612", dict(when=END, offset=-FIVE), begin=begin) == closing


def test_the_moment_that_was_meant_is_told():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Given(dataname="SHFE.cu2612", days=days("2026-11-09", 1)))
    cerebro.addstrategy(Timed, timer=dict(when=START))
    assert cerebro.run()[0].fired == [("11-06 21:01", "11-06 21:00")]


def test_a_session_that_was_said_is_obeyed_and_so_is_a_time():
    end = dict(sessionend=time(14, 30))
    assert fired("CFFEX.IF2612", dict(when=END), count=1, **end) == ["11-10 14:30"]
    assert fired("CFFEX.IF2612", dict(when=START), count=1, **end) == ["11-10 09:31"]
    assert fired("CFFEX.IF2612", dict(when=time(10, 0)), count=1) == ["11-10 10:00"]


def test_resampled_alone_and_with_days_alone():
    cerebro = bt.Cerebro(stdstats=False)
    data = Given(dataname="SHFE.cu2612", days=days("2026-11-10", 2))
    cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=15)
    cerebro.addstrategy(Timed, timer=dict(when=END, offset=-timedelta(minutes=15)))
    assert [one for one, _ in cerebro.run()[0].fired] == ["11-10 14:45", "11-11 14:45"]


def test_a_second_run_begins_anew():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Given(dataname="SHFE.cu2612", days=days("2026-11-10", 1)))

    class Told(bt.Strategy):
        def next(self):
            pass

    cerebro.addstrategy(Told)
    told = []
    cerebro.notify_timer = lambda timer, when, *args, **kwargs: told.append(f"{when:%H:%M}")
    cerebro.add_timer(END, offset=-FIVE)
    cerebro.run()
    cerebro.run()
    assert told == ["14:55", "14:55"]
