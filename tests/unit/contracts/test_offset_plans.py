"""Every small state of an account: which legs an order becomes, and what follows a refusal.

The expected answers come from enumerating all ways to serve the order, not from the tested code.
"""

from itertools import product

import pytest

from tianqin_backtrader.contracts.offsets import (
    NO_LIMITS,
    Closable,
    Closing,
    Counter,
    Leg,
    LotFees,
    LotLimits,
    OffsetRules,
    Priority,
    closing_of,
    plan_close,
    plan_instead,
    plan_order,
    priority_refusal,
)
from tianqin_backtrader.core.model import Offset
from tianqin_backtrader.errors import ConfigError, VolumeOutOfRange

#: (today, frozen of it, history, frozen of it)
HELD = [
    (today, frozen_today, history, frozen_history)
    for today, history in product(range(4), range(4))
    for frozen_today, frozen_history in product(range(today + 1), range(history + 1))
]
SIZES = range(1, 8)
#: Fees of one lot, and what is cheapest with them.
CHEAPEST = {
    LotFees(3.0, 3.0, 3.0): Priority.YESTERDAY_FIRST,
    LotFees(0.0, 3.0, 3.0): Priority.TODAY_FIRST,
    LotFees(30.0, 3.0, 3.0): Priority.LOCK,
}
RULES = [
    OffsetRules(closing, priority)
    for closing, priority in product(Closing, [p for p in Priority if p is not Priority.CHEAPEST])
] + [OffsetRules(closing, Priority.CHEAPEST, fees) for closing in Closing for fees in CHEAPEST]
LIMITS = [NO_LIMITS, LotLimits(most=1), LotLimits(most=2), LotLimits(open_least=3), LotLimits(3, 2)]


def closable(held):
    """Lots held of today and of earlier days, each with what working closes claim of them."""
    today, claimed_today, history, claimed_history = held
    return Closable(max(0, today - claimed_today), max(0, history - claimed_history))


def lots_by_offset(legs):
    found = dict.fromkeys(Offset, 0)
    for leg in legs:
        found[leg.offset] += leg.volume
    return found


def ways(volume, lots, rules):
    """All (of today, of earlier days) that may be closed, by the rules."""
    first = CHEAPEST[rules.fees] if rules.priority is Priority.CHEAPEST else rules.priority
    for today, history in product(range(lots.today + 1), range(lots.history + 1)):
        spares = first in (Priority.YESTERDAY_ONLY, Priority.LOCK)
        if today + history > volume or (spares and today):
            continue
        # Where the exchange chooses, other splits cannot be had.
        if rules.closing is Closing.OLDEST_FIRST and today and history < lots.history:
            continue
        if rules.closing is Closing.NEWEST_FIRST and history and today < lots.today:
            continue
        yield today, history


def best_way(volume, lots, rules):
    """As many as can be closed, and of those ways the one that the priority prefers."""
    first = CHEAPEST[rules.fees] if rules.priority is Priority.CHEAPEST else rules.priority
    liked = 0 if first is Priority.TODAY_FIRST else 1
    return max(ways(volume, lots, rules), key=lambda way: (sum(way), way[liked]))


def check_closing_legs(legs, way, rules):
    found, (today, history) = lots_by_offset(legs), way
    if rules.closing is Closing.APART:
        assert (found[Offset.CLOSETODAY], found[Offset.CLOSE]) == (today, history)
    else:
        assert (found[Offset.CLOSETODAY], found[Offset.CLOSE]) == (0, today + history)
    offsets = [leg.offset for leg in legs]
    assert offsets == sorted(offsets, key=lambda offset: offset is Offset.OPEN)  # opens are last
    return found[Offset.OPEN]


@pytest.mark.parametrize("rules", RULES, ids=lambda r: f"{r.closing}-{r.priority}-{r.first}")
def test_every_small_order_closes_all_it_may_and_opens_the_rest(rules):
    for held, volume in product(HELD, SIZES):
        lots = closable(held)
        way = best_way(volume, lots, rules)
        opened = check_closing_legs(plan_order(volume, lots, rules), way, rules)
        assert opened == volume - sum(way)


@pytest.mark.parametrize("rules", RULES, ids=lambda r: f"{r.closing}-{r.priority}-{r.first}")
def test_every_small_close_closes_all_it_may_or_is_refused(rules):
    for held, volume in product(HELD, SIZES):
        lots = closable(held)
        way = best_way(volume, lots, rules)
        legs = plan_close(volume, lots, rules, allow_partial=True)
        locked = check_closing_legs(legs, way, rules)
        if rules.first is Priority.LOCK:
            assert locked == min(volume, lots.total) - sum(way)
        else:
            assert locked == 0
        if sum(way) + locked == volume:
            assert plan_close(volume, lots, rules) == legs
        else:
            with pytest.raises(
                VolumeOutOfRange, match=f"close {volume} .* only {sum(way) + locked} "
            ):
                plan_close(volume, lots, rules)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_every_leg_is_within_the_limits(limits):
    for rules, held, volume in product(RULES, HELD, SIZES):
        lots = closable(held)
        limited = OffsetRules(rules.closing, rules.priority, rules.fees, limits)
        whole = lots_by_offset(plan_order(volume, lots, rules))
        legs = plan_order(volume, lots, limited, allow_partial=True)
        for leg in legs:
            assert 0 < leg.volume <= (limits.most or leg.volume)
            assert leg.offset is not Offset.OPEN or leg.volume >= limits.open_least
        found = lots_by_offset(legs)
        if found != whole:
            opens = whole.pop(Offset.OPEN)
            assert found.pop(Offset.OPEN) == 0
            assert found == whole
            assert not in_orders(opens, limits)
            if any(found.values()):  # closing is always possible
                assert plan_order(volume, lots, limited) == legs
                continue
            with pytest.raises(VolumeOutOfRange, match=f"open {opens} lots.* {limits.open_least} "):
                plan_order(volume, lots, limited)


def in_orders(volume, limits):
    """Whether lots can be opened in orders within the limits."""
    sizes = range(limits.open_least, (limits.most or volume) + 1)
    reached = {0}
    for _ in range(volume):
        reached |= {one + size for one in reached for size in sizes}
    return volume in reached


class Desk:
    """An exchange that fills a leg completely or refuses it, and closes no missing lots."""

    def __init__(self, lots, closing):
        self.today, self.history, self.closing = lots.today, lots.history, closing
        self.closed = 0

    @property
    def shown(self):
        return Closable(self.today, self.history)

    def has(self, leg):
        apart = self.closing is Closing.APART
        there = {
            Offset.CLOSETODAY: self.today if apart else 0,
            Offset.CLOSE: self.history if apart else self.today + self.history,
            Offset.OPEN: leg.volume,
        }
        return leg.volume <= there[leg.offset]

    def fill(self, leg):
        assert self.has(leg)
        if leg.offset is Offset.OPEN:
            return
        self.closed += leg.volume
        today = leg.volume
        if self.closing is not Closing.APART:
            newest = self.closing is Closing.NEWEST_FIRST
            today = min(leg.volume, self.today) if newest else leg.volume - self.history
        elif leg.offset is Offset.CLOSE:
            today = 0
        today = max(0, today)
        self.today -= today
        self.history -= leg.volume - today


def check_instead(instead, leg, unsent, desk):
    """No lot twice, no opening, and an offset refused without cause is not tried again."""
    lots, waiting, shown = lots_by_offset(instead), lots_by_offset(unsent), desk.shown
    there = {Offset.CLOSETODAY: shown.today, Offset.CLOSE: shown.history, Offset.OPEN: 0}
    if desk.closing is not Closing.APART:
        there |= {Offset.CLOSETODAY: 0, Offset.CLOSE: shown.total}
    for offset, volume in lots.items():
        assert volume <= max(0, there[offset] - waiting[offset])
    assert sum(lots.values()) <= leg.volume
    assert not (lots[leg.offset] and desk.has(leg))


def serve(legs, desk, rules, refuses):
    """Send leg after leg, and replacements of refused ones; returns the refused legs."""
    queue, refused = list(legs), []
    while queue:
        leg = queue.pop(0)
        if desk.has(leg) and not refuses(leg):
            desk.fill(leg)
            continue
        refused.append(leg)
        instead = plan_instead(leg, queue, desk.shown, rules)
        check_instead(instead, leg, queue, desk)
        queue = [*instead, *queue]
        assert len(refused) < 20
    return refused


@pytest.mark.parametrize("rules", RULES, ids=lambda r: f"{r.closing}-{r.priority}-{r.first}")
@pytest.mark.parametrize("limits", [NO_LIMITS, LotLimits(most=2)], ids=str)
def test_whichever_legs_are_refused_the_rest_is_right(rules, limits):
    """Legs fail one by one, in every pattern; an offset refused without cause is not used again."""
    rules = OffsetRules(rules.closing, rules.priority, rules.fees, limits)
    for today, history, volume in product(range(4), range(4), SIZES):
        lots = Closable(today, history)
        legs = plan_order(volume, lots, rules)
        planned = volume - lots_by_offset(legs)[Offset.OPEN]
        for pattern in product([False, True], repeat=min(len(legs), 4)):
            answers = iter(pattern)
            desk = Desk(lots, rules.closing)
            refused = serve(legs, desk, rules, lambda _, answers=answers: next(answers, False))
            if rules.spares_today:
                assert desk.today == today
            # What is still closable by an offset that was never refused has been closed.
            distrusted = {leg.offset for leg in refused}
            left = [b for b in rules.buckets(desk.shown) if b.volume and b.offset not in distrusted]
            assert not left or desk.closed == planned
            assert desk.closed <= planned


@pytest.mark.parametrize("rules", RULES, ids=lambda r: f"{r.closing}-{r.priority}-{r.first}")
def test_lots_that_went_meanwhile_are_found_missing_and_the_others_closed(rules):
    """The account showed more than there is when the order was split."""
    for today, history, volume in product(range(4), range(4), SIZES):
        shown = Closable(today, history)
        legs = plan_order(volume, shown, rules)
        planned = volume - lots_by_offset(legs)[Offset.OPEN]
        for gone_today, gone_history in product(range(today + 1), range(history + 1)):
            there = Closable(today - gone_today, history - gone_history)
            desk = Desk(there, rules.closing)
            serve(legs, desk, rules, lambda _: False)
            could = sum(bucket.volume for bucket in rules.buckets(there))
            if rules.closing is Closing.APART or not rules.spares_today:
                assert desk.closed == min(planned, could)
            else:
                assert desk.closed <= min(planned, there.total)


def test_shanghai_and_energy_are_apart():
    assert {closing_of(e, c) for e in ("SHFE", "INE") for c in Counter} == {Closing.APART}


@pytest.mark.parametrize("exchange_id", ["DCE", "CZCE", "GFEX", "CFFEX"])
def test_elsewhere_the_counter_chooses(exchange_id):
    chosen = [closing_of(exchange_id, counter) for counter in (Counter.KQ, Counter.CTP)]
    assert chosen == [Closing.NEWEST_FIRST, Closing.OLDEST_FIRST]


@pytest.mark.parametrize("counter", list(Counter))
@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("exchange_id", ["SHFE", "INE", "DCE", "CZCE", "GFEX", "CFFEX"])
def test_a_priority_is_refused_where_the_counter_would_break_it(exchange_id, priority, counter):
    spares = priority in (Priority.LOCK, Priority.YESTERDAY_ONLY)
    breaks = exchange_id not in ("SHFE", "INE") and counter is not Counter.SIM
    assert bool(priority_refusal(priority, exchange_id, counter)) is (spares and breaks)


def test_what_is_too_little_to_be_opened_never_stops_a_close():
    rules = OffsetRules(limits=LotLimits(open_least=3))
    assert plan_order(5, Closable(4, 0), rules) == (Leg(Offset.CLOSE, 4),)
    assert plan_order(7, Closable(4, 0), rules) == (Leg(Offset.CLOSE, 4), Leg(Offset.OPEN, 3))
    with pytest.raises(VolumeOutOfRange, match="3 at least"):
        plan_order(2, Closable(0, 0), rules)


def test_a_lock_opens_the_other_side_for_what_was_to_be_closed_of_today():
    rules = OffsetRules(Closing.APART, Priority.LOCK)
    legs = plan_close(4, Closable(today=3, history=2), rules)
    assert legs == (Leg(Offset.CLOSE, 2), Leg(Offset.OPEN, 2))
    with pytest.raises(VolumeOutOfRange, match="close 6 lots, but only 5 can be closed"):
        plan_close(6, Closable(today=3, history=2), rules)


def test_a_refused_opening_is_not_replaced():
    rules = OffsetRules(Closing.APART)
    assert plan_instead(Leg(Offset.OPEN, 2), [], Closable(3, 3), rules) == ()


def test_the_last_order_to_open_is_large_enough():
    assert LotLimits(10, 4).pieces(21, opens=True) == (7, 7, 7)
    assert LotLimits(10, 4).pieces(21, opens=False) == (10, 10, 1)
    with pytest.raises(VolumeOutOfRange, match=r"open 6 lots, .* 4 at least and 5 at most"):
        LotLimits(5, 4).pieces(6, opens=True)
    with pytest.raises(VolumeOutOfRange, match=r"open 7 lots, .* 8 at least$"):
        LotLimits(0, 8).pieces(7, opens=True)


def test_cheapest_without_fees_is_refused():
    with pytest.raises(ConfigError, match="fees"):
        OffsetRules(priority=Priority.CHEAPEST)
