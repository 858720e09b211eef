"""Orders that wait for a price or a time: what they wait for, when they fire, what is sent."""

from datetime import datetime, timedelta
from itertools import product
from math import nan

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.execution.order_emulator import QuietRange
from tianqin_backtrader.execution.order_factory import OrderFactory
from tianqin_backtrader.feeds.feed_list import FeedList, PlaceholderFeed, PlaceholderFeeds
from tianqin_backtrader.orders.conditional import at_close, on_price, stop, trailing_stop
from tianqin_backtrader.orders.ticket import Stage

BUY, SELL = bt.BuyOrder, bt.SellOrder
STOP, STOP_LIMIT, CLOSE = bt.Order.Stop, bt.Order.StopLimit, bt.Order.Close
TRAIL, TRAIL_LIMIT = bt.Order.StopTrail, bt.Order.StopTrailLimit
OTHER = "SHFE.hc2605"
CLOSED = ("CLOSETODAY", 3)


def place(at, exectype, price=None, *, kind=SELL, lots=3, feed=None, symbol=SYMBOL, **options):
    """An order of ``Strategy.buy`` or ``sell``."""
    factory = OrderFactory(
        None, at.context, FeedList(), None, at.account, at.manager, at.held,
        PlaceholderFeeds(at.context), allow_partial=False,
    )  # fmt: skip
    feed = feed or PlaceholderFeed(symbol, at.context)
    order = factory.backtrader_order(
        kind, None, feed, lots, price, options | {"exectype": exectype}
    )
    at.engine.follow_up()
    return order.ticket


def see(at, *prices):
    """The market trades at these prices, one after the other."""
    for at.price in prices:
        at.turn()


def terms(ticket):
    return ticket.sent_terms.limit_price, ticket.sent_terms.advanced


@pytest.fixture
def at():
    return StubbedDesk(today=3)


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exectype", "price", "options", "reason"),
    [
        (STOP, None, {}, "a Stop order needs a price"),
        (STOP_LIMIT, None, {"plimit": 2980.0}, "a StopLimit order needs a price"),
        (STOP_LIMIT, 2990.0, {}, "a StopLimit order needs a limit price (plimit)"),
        (TRAIL_LIMIT, None, {"trailamount": 10.0}, "needs a limit price (plimit)"),
        (TRAIL, None, {}, "a trailing stop needs a positive distance"),
        (TRAIL, None, {"trailamount": -10.0}, "a trailing stop needs a positive distance"),
        (TRAIL, None, {"trailpercent": nan}, "a trailing stop needs a positive distance"),
        (STOP, nan, {}, "the price nan"),
        (STOP_LIMIT, 2990.0, {"plimit": nan}, "the price nan"),
        (TRAIL, nan, {"trailamount": 10.0}, "the price nan"),
        (bt.Order.Historical, 2990.0, {}, "exectype is Market, Limit, Stop"),
    ],
)
def test_an_order_that_could_never_fire_is_refused(at, exectype, price, options, reason):
    ticket = place(at, exectype, price, **options)
    assert at.ends_of(ticket) == ["Rejected"]
    assert reason in ticket.order.info.reason
    see(at, 2700.0, 3300.0)
    assert (at.gateway.sent, at.held.watched) == ([], {})


def test_a_trailing_stop_without_any_price_to_trail_is_refused(at):
    at.price = nan
    assert at.ends_of(place(at, TRAIL, trailamount=10.0)) == ["Rejected"]


# -- when a stop fires ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "waits", "fires"),
    [
        (SELL, [3000.0, 3300.0, 2991.0, 2990.5], 2990.0),
        (SELL, [2990.5], 2701.0),  # a gap
        (BUY, [3000.0, 2700.0, 3009.0, 3009.5], 3010.0),
        (BUY, [3009.5], 3299.0),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_a_stop_fires_at_its_price_or_beyond(kind, waits, fires, beside):
    at = StubbedDesk()
    if beside:  # an order on the other side has no part in it
        place(at, STOP, 2650.0 if kind is BUY else 3350.0, kind=SELL if kind is BUY else BUY)
    ticket = place(at, STOP, 3010.0 if kind is BUY else 2990.0, kind=kind)
    see(at, *waits)
    assert (ticket.stage, at.gateway.sent) == (Stage.WATCHED, [])
    see(at, fires)
    assert at.gateway.sent == [("OPEN", 3)] and ticket.order.triggered
    assert ticket.order.ref not in at.held.watched.get(SYMBOL, {})
    see(at, *waits, fires)
    assert len(at.gateway.sent) == 1


def test_a_stop_is_not_overlooked_where_another_one_has_been_watched_for_long(at):
    place(at, STOP, 2900.0)
    see(at, 3000.0, 2950.0)
    nearer = place(at, STOP, 2940.0)
    see(at, 2940.0)
    assert nearer.order.triggered and at.gateway.sent == [CLOSED]


def test_a_stop_whose_market_is_beyond_it_when_it_is_placed_fires(at):
    at.price = 2980.0
    place(at, STOP, 2990.0)
    see(at, 2980.0)
    assert at.gateway.sent == [CLOSED]


@pytest.mark.parametrize("absent", ["the link", "the market"])
def test_a_price_that_nobody_could_trade_at_fires_nothing(at, absent):
    place(at, STOP, 2990.0)
    trail = place(at, TRAIL, trailamount=50.0)

    def there(yes):
        if absent == "the link":
            at.line.trading_up = yes
        else:
            at.pre_trade.is_open = yes

    there(False)
    see(at, 2980.0, 3200.0)
    there(True)
    see(at, 3000.0)
    assert (at.gateway.sent, trail.order.created.price) == ([], 2950.0)
    there(False)
    see(at, 2980.0)
    there(True)
    see(at, 2980.0)
    assert at.gateway.sent == [CLOSED]


def test_a_closed_market_keeps_the_orders_of_its_own_contract_alone(at):
    at.pre_trade.open = lambda symbol: symbol == OTHER
    here, there = place(at, STOP, 2990.0), place(at, STOP, 2990.0, symbol=OTHER)
    see(at, 2980.0)
    assert (here.stage, here.order.triggered) == (Stage.WATCHED, False)
    assert there.order.triggered


def test_without_a_price_no_stop_fires(at):
    ticket = place(at, STOP, 2990.0)
    see(at, nan, 3000.0, nan)
    assert (ticket.stage, at.gateway.sent) == (Stage.WATCHED, [])


def test_a_stop_whose_lots_are_moved_to_another_contract_does_not_fire(at):
    ticket = place(at, STOP, 2990.0)
    ticket.held_back = True
    see(at, 2980.0)
    assert (ticket.stage, at.gateway.sent) == (Stage.WATCHED, [])
    ticket.held_back = False
    see(at, 2980.0)
    assert at.gateway.sent == [CLOSED]


@pytest.mark.parametrize("exectype", [STOP, CLOSE])
def test_a_withdrawn_order_never_fires(at, exectype):
    ticket = place(at, exectype, 2990.0)
    at.held.cancel(ticket)
    assert at.held.watched == {}
    see(at, 2980.0)
    at.go_to("14:59:55")
    assert (at.ends_of(ticket), at.gateway.sent) == (["Canceled"], [])


def test_of_two_entries_of_a_group_a_gap_beyond_both_sends_one():
    at = StubbedDesk()
    first = place(at, STOP, 2990.0)
    second = place(at, STOP, 2985.0, oco=first.order)
    see(at, 2980.0)
    assert at.gateway.sent == [("OPEN", 3)]
    at.fill(first.legs[0], 3)
    see(at, 2980.0)
    assert at.gateway.sent == [("OPEN", 3)]
    assert (at.ends_of(first), at.ends_of(second)) == (["Completed"], ["Canceled"])


def test_of_two_stops_for_the_same_lots_a_gap_beyond_both_sends_these_lots_once(at):
    first = place(at, STOP, 2990.0)
    place(at, STOP, 2985.0, oco=first.order)
    see(at, 2980.0, 2980.0)
    assert at.gateway.sent == [CLOSED]


# -- prices and times at which nothing changes ------------------------------------------------

SIDES = (Direction.BUY, Direction.SELL)
WAITING = [
    *(stop(side, 1, price) for side in SIDES for price in (2990.0, 3010.0)),
    *(stop(side, 1, 3000.2, limit_price=3001.0) for side in SIDES),
    *(stop(side, 1, -20.0) for side in SIDES),  # of a spread
    *(trailing_stop(side, 1, 3000.0, trail_amount=10.0) for side in SIDES),
    *(trailing_stop(side, 1, 3000.0, trail_percent=0.01, limit_price=2999.0) for side in SIDES),
    at_close(Direction.SELL, 1, 100 * SECOND, valid_until_ns=105 * SECOND),
]
PRICES = (nan, -3000.0, -20.2, -20.0, -19.8, 2970.0, 2990.0, 3000.0, 3000.2, 3010.0, 3030.0)
NOWS = tuple(round(seconds * SECOND) for seconds in (50, 99.9, 100, 103, 106))


@pytest.mark.parametrize("condition", WAITING, ids=lambda one: f"{one.kind} {one.direction}")
def test_within_the_quiet_range_of_orders_none_of_them_changes(condition):
    for other in WAITING:
        span = QuietRange()
        span.narrow(condition)
        span.narrow(other)
        for price, now in product(PRICES, NOWS):
            if span.contains(price, now):
                for one in (condition, other):
                    assert on_price(one, price, now) == (one, None), (price, now)


def test_far_from_stops_on_both_sides_the_orders_are_not_looked_at():
    span = QuietRange()
    for side, price in ((Direction.SELL, 2990.0), (Direction.BUY, 3010.0)):
        span.narrow(stop(side, 1, price))
    quiet = [price for price in (2989.0, 2990.0, 2990.5, 3009.5, 3010.0) if span.contains(price, 0)]
    assert quiet == [2990.5, 3009.5]


# -- trailing stops ---------------------------------------------------------------------------


class BarFeed(PlaceholderFeed):
    """A feed with a bar."""

    def __init__(self, context, close):
        super().__init__(SYMBOL, context)
        self.close = [close]

    def __len__(self):
        return 2


@pytest.mark.parametrize(
    ("own", "last", "close", "reference"),
    [
        (3020.0, 3000.0, 2980.0, 3020.0),
        (None, 3000.0, 2980.0, 3000.0),
        (None, nan, 2980.0, 2980.0),  # the quote has not come yet
    ],
)
def test_a_trailing_stop_begins_at_its_own_price_the_last_one_or_the_bars(
    at, own, last, close, reference
):
    at.price = last
    ticket = place(at, TRAIL, own, feed=BarFeed(at.context, close), trailamount=10.0)
    assert ticket.order.created.price == reference - 10.0
    see(at, reference - 10.0)
    assert at.gateway.sent == [CLOSED]


@pytest.mark.parametrize(
    ("kind", "prices", "shown"),
    [
        (SELL, (2995.0, 3020.0, 3011.0), (2990.0, 3010.0, 3010.0)),
        (BUY, (3005.0, 2980.0, 2989.0), (3010.0, 2990.0, 2990.0)),
    ],
)
def test_a_trailing_stop_follows_the_price_one_way_and_its_strategy_sees_it(kind, prices, shown):
    at = StubbedDesk()
    ticket = place(at, TRAIL, kind=kind, trailamount=10.0)
    for price, stop_price in zip(prices, shown, strict=True):
        see(at, price)
        assert (ticket.order.created.price, at.gateway.sent) == (stop_price, [])
    see(at, shown[-1])
    assert at.gateway.sent == [("OPEN", 3)]


def test_a_trailing_stop_in_per_cent_keeps_its_share(at):
    ticket = place(at, TRAIL, trailpercent=0.02)
    assert ticket.order.created.price == 2940.0
    see(at, 3100.0)
    assert ticket.order.created.price == 3038.0


def test_each_move_of_a_trailing_stop_is_recorded_and_nothing_else(at):
    ticket, recorded = place(at, TRAIL, trailamount=10.0), []
    at.manager.write_ahead.touch = recorded.append
    see(at, 2995.0)
    assert recorded == []
    see(at, 3020.0)
    assert recorded == [ticket]
    see(at, 3015.0, 3020.0)
    assert recorded == [ticket]


def test_the_limit_of_a_trailing_stop_keeps_its_distance(at):
    ticket = place(at, TRAIL_LIMIT, trailamount=10.0, plimit=2995.0)
    assert (ticket.order.created.price, ticket.order.created.pricelimit) == (2990.0, 2985.0)
    see(at, 3020.0)
    assert (ticket.order.created.price, ticket.order.created.pricelimit) == (3010.0, 3005.0)
    see(at, 3010.0)
    assert (at.gateway.sent, terms(ticket)) == ([CLOSED], (3005.0, None))


# -- what is sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "price", "plimit", "sent"),
    [
        (SELL, 2990.0, 2980.4, 2981.0), (SELL, 2990.0, 2980.0, 2980.0),
        (SELL, 2990.0, 2995.0, 2995.0), (BUY, 3010.0, 3020.6, 3020.0),
    ],
)  # fmt: skip
def test_a_stop_limit_is_sent_at_its_limit_rounded_to_the_passive_side(kind, price, plimit, sent):
    at = StubbedDesk()
    ticket = place(at, STOP_LIMIT, price, kind=kind, plimit=plimit)
    see(at, price)
    assert (at.gateway.sent, terms(ticket)) == ([("OPEN", 3)], (sent, None))


@pytest.mark.parametrize(
    ("held", "close_only", "advanced"),
    [
        (3, None, None), (5, None, None),  # an exit stays at the day's limit
        (0, None, "FAK"),  # an entry has its end at once
        (3, False, None),  # it closes all the same
        (2, False, "FAK"), (0, False, "FAK"),
    ],
)  # fmt: skip
def test_a_stop_that_closes_stays_at_the_limit_and_one_that_opens_does_not(
    held, close_only, advanced
):
    at = StubbedDesk(today=held)
    ticket = place(at, STOP, 2990.0, close_only=close_only)
    see(at, 2990.0)
    assert terms(ticket) == (2700.0, advanced)
    assert sum(lots for _, lots in at.gateway.sent) == (min(held, 3) or 3)


# -- Backtrader's Close -----------------------------------------------------------------------

TODAY, TOMORROW = datetime(2026, 1, 5, 15), datetime(2026, 1, 6, 15)


@pytest.mark.parametrize("valid", [None, 0, timedelta(days=3)])
def test_close_is_valid_until_the_close_and_no_longer(at, valid):
    ticket = place(at, CLOSE, valid=valid)
    assert (ticket.validity.until, ticket.validity.over_days) == (TODAY, False)
    at.pre_trade.is_open = False
    at.go_to("15:00:01")
    at.pre_trade.is_open = True
    at.pass_by(24 * 3600 - 10)
    assert (at.ends_of(ticket), at.gateway.sent) == (["Expired"], [])


def test_close_with_an_earlier_end_of_its_own_expires_then(at):
    ticket = place(at, CLOSE, valid=timedelta(hours=2))
    at.go_to("12:00:01")
    assert at.ends_of(ticket) == ["Expired"]
    at.go_to("14:59:55")
    assert at.gateway.sent == []


@pytest.mark.parametrize("placed", ["15:00:00", "15:00:30"])
def test_close_that_is_placed_after_the_close_is_for_the_next_one(at, placed):
    at.go_to(placed)
    ticket = place(at, CLOSE)
    assert ticket.validity.until == TOMORROW
    at.pass_by(60)
    assert (ticket.stage, at.gateway.sent) == (Stage.WATCHED, [])
    at.now += 12 * 3600 * SECOND
    at.go_to("14:59:54")
    assert at.gateway.sent == []
    at.go_to("14:59:55")
    assert at.gateway.sent == [CLOSED]


@pytest.mark.parametrize("doubtful", [False, True])
def test_close_that_is_placed_in_the_last_seconds_leaves_at_once(at, doubtful):
    at.line.doubtful = doubtful
    at.go_to("14:59:58")
    ticket = place(at, CLOSE)
    at.turn()
    assert (at.gateway.sent, at.ends_of(ticket)) == ([CLOSED], [])


def test_close_needs_no_price(at):
    at.price = nan
    place(at, CLOSE)
    at.go_to("14:59:55")
    assert at.gateway.sent == [CLOSED]


def test_close_leaves_on_time_beside_a_stop_that_is_far_away(at):
    place(at, STOP, 2800.0, lots=1)
    place(at, CLOSE, lots=2)
    at.go_to("14:59:54")
    assert at.gateway.sent == []
    at.go_to("14:59:55")
    assert at.gateway.sent == [("CLOSETODAY", 2)]


# -- exits whose lots are gone ----------------------------------------------------------------


def lose_lots(at, *, shown=0):
    """Our fills have no lots any more, and the account shows some."""
    at.gateway.held["pos_long_today"] = 0
    at.account.take_over(SYMBOL)
    at.gateway.held["pos_long_today"] = shown


@pytest.mark.parametrize("is_open", [True, False])
def test_exits_end_with_their_lots_and_entries_stay(at, is_open):
    exits = [place(at, STOP, 2990.0, lots=lots) for lots in (1, 2)]
    entries = [
        place(at, STOP, 2990.0, close_only=False), place(at, STOP, 3010.0, kind=BUY),
    ]  # fmt: skip
    at.pre_trade.is_open = is_open
    lose_lots(at)
    at.turn()
    assert [at.ends_of(one) for one in exits] == 2 * [["Canceled"]]
    assert [one.stage for one in entries] == 2 * [Stage.WATCHED]


@pytest.mark.parametrize("still_there", ["in our fills", "in the account"])
def test_an_exit_stays_while_our_fills_or_the_account_have_lots(at, still_there):
    ticket = place(at, STOP, 2990.0)
    if still_there == "in our fills":
        at.gateway.held["pos_long_today"] = 0
    else:
        lose_lots(at, shown=3)
    at.turn()
    assert ticket.stage is Stage.WATCHED
    lose_lots(at)
    at.turn()
    assert at.ends_of(ticket) == ["Canceled"]


def test_an_exit_whose_lots_are_moved_to_another_contract_stays(at):
    ticket = place(at, STOP, 2990.0)
    ticket.held_back = True
    lose_lots(at)
    at.turn()
    assert ticket.stage is Stage.WATCHED
