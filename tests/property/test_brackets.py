"""Brackets and exits in a market of random fills, rejects and crossing cancels.

Exits never close more than is open, and lots without protection are reported. The actions of a
group are carried out at once or late, with fills in between. As in the library, an exit is sent
for the open lots less those that its siblings have at the exchange.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from tianqin_backtrader.orders.contingency import (
    Do,
    MemberState,
    OrderGroup,
    Part,
    Role,
    bracket,
    oco,
    on_end,
    on_fill,
    on_fire,
)

#: Stages of an exit: not armed, waiting for its price, about to be sent, taken back.
DORMANT, WATCHED, QUEUED, SUSPENDED = "DORMANT", "WATCHED", "QUEUED", "SUSPENDED"


class Market:
    """Each order's lots at the exchange, and the actions that are not carried out yet."""

    def __init__(self, group, entry=None):
        self.group = group
        self.live = {} if entry is None else {entry.order_id: entry.lots}
        self.entry = None if entry is None else entry.order_id
        self.stops = {m.order_id for m in group.exits if m.protects}
        self.fired, self.exposed, self.actions = set(), [], []
        self.by_owner = False
        self.place = {m.order_id: DORMANT for m in group.exits}
        if entry is None:
            for order_id in self.place:
                self.arm(order_id)

    def take(self, answer):
        self.group, actions = answer
        # A journal can be written and read at every step.
        assert OrderGroup.from_dict(self.group.to_dict()) == self.group
        for action in actions:
            if action.do is Do.EXPOSED:
                self.exposed.append(action.volume)
            else:
                self.actions.append(action)

    def arm(self, order_id):
        waits = order_id in self.stops and order_id not in self.fired
        self.place[order_id] = WATCHED if waits else QUEUED

    def carry_out(self, action):
        order_id = action.order_id
        if order_id != self.entry and order_id not in self.place:
            return  # it is over
        if action.do is Do.CANCEL:
            self.live.pop(order_id, None)
            self.place.pop(order_id, None)
            self.take(on_end(self.group, order_id))
        elif action.do is Do.RESIZE:
            if self.live.pop(order_id, None):
                self.place[order_id] = QUEUED
        elif action.do is Do.SUSPEND:
            self.live.pop(order_id, None)
            watched = self.place[order_id] == WATCHED
            self.place[order_id] = DORMANT if watched else SUSPENDED
        elif order_id not in self.live:
            self.arm(order_id)

    def send(self, order_id):
        """Send an exit for the lots that its siblings leave; they are taken back for a stop."""
        if order_id in self.stops:
            if self.group.parents:
                return
            for other in self.place:
                if other != order_id and other not in self.stops and self.live.pop(other, None):
                    self.place[other] = QUEUED
        taken = sum(lots for other, lots in self.live.items() if other in self.place)
        member = self.group[order_id]
        lots = min(member.volume - member.filled, self.group.unprotected - taken)
        if lots > 0:
            self.live[order_id] = lots
            self.place[order_id] = ""

    def fire(self, order_id):
        self.fired.add(order_id)
        self.place[order_id] = QUEUED
        self.take(on_fire(self.group, order_id))

    def fill(self, order_id, lots):
        self.live[order_id] -= lots
        self.take(on_fill(self.group, order_id, lots))
        if not self.live[order_id]:
            del self.live[order_id]
            if self.group[order_id].state is MemberState.OVER:
                self.place.pop(order_id, None)
            elif order_id in self.place:  # it has got more lots
                self.place[order_id] = QUEUED

    def end(self, order_id, unasked):
        self.by_owner |= not unasked
        self.live.pop(order_id, None)
        self.place.pop(order_id, None)
        self.take(on_end(self.group, order_id, unasked=unasked))

    def events(self):
        """Yield what can happen now, as functions of ``data``."""
        for order_id, lots in self.live.items():
            yield lambda data, i=order_id, n=lots: self.fill(i, data.draw(st.integers(1, n)))
            yield lambda data, i=order_id: self.end(i, data.draw(st.booleans()))
        for order_id, place in self.place.items():
            if place == WATCHED:
                yield lambda data, i=order_id: self.fire(i)
            elif place == QUEUED and order_id not in self.live:
                yield lambda data, i=order_id: self.send(i)
            if place in (WATCHED, QUEUED, SUSPENDED):
                yield lambda data, i=order_id: self.end(i, data.draw(st.booleans()))

    def check(self):
        group, lots = self.group, self.group.unprotected
        assert lots >= 0, "more was closed than was opened"
        assert all(volume > 0 for volume in self.exposed)
        at_the_exchange = sum(n for order_id, n in self.live.items() if order_id != self.entry)
        assert at_the_exchange <= lots
        for member in group.exits:
            if member.state is MemberState.ACTIVE:
                assert 0 < member.volume - member.filled <= lots
        if group.parents and not self.by_owner:
            ends = {member.state for member in group.guards}
            assert MemberState.ENDING not in ends, "the parent may still open lots"
        entry_goes_on = any(one.state is MemberState.ACTIVE for one in group.parents)
        if entry_goes_on:
            assert not self.fired and not any(member.filled for member in group.exits)
            assert any(member.state is not MemberState.OVER for member in group.guards)

    def run(self, data, late, steps=60):
        """Let random steps happen; return whether everything has ended."""
        for _ in range(steps):
            self.check()
            while self.actions and not (late and data.draw(st.booleans())):
                self.carry_out(self.actions.pop(0))
                self.check()
            possible = list(self.events())
            if not possible and not self.actions:
                return True
            if possible:
                data.draw(st.sampled_from(possible))(data)
        return False


sizes = st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=3)


@given(data=st.data(), late=st.booleans(), volume=st.integers(1, 5), sizes=sizes)
@settings(max_examples=600, deadline=None)
def test_a_bracket_closes_what_it_opened_and_no_more(data, late, volume, sizes):
    parts = [Part(f"child {n}", *(lots, 0, stop)) for n, (lots, stop) in enumerate(sizes)]
    entry = Part("in", volume)
    market = Market(bracket(entry, parts), entry)
    if not market.run(data, late):
        return
    group = market.group
    assert all(member.state is MemberState.OVER for member in group.members)
    covered = min(member.wanted for member in group.guards) >= volume
    if group.unprotected and covered and not market.by_owner:
        told = market.exposed[-1] if market.exposed else 0
        assert told >= group.unprotected, "lots were left in silence"


@given(data=st.data(), late=st.booleans(), held=st.integers(1, 5), sizes=sizes)
@settings(max_examples=400, deadline=None)
def test_exits_close_what_is_held_and_no_more(data, late, held, sizes):
    parts = [
        Part(f"exit {n}", min(lots, held), min(lots, held), stop)
        for n, (lots, stop) in enumerate(sizes)
    ]
    market = Market(oco(parts))
    if not market.run(data, late):
        return
    group = market.group
    assert group.over and group.members[0].role is Role.PEER
    stops = [member for member in group.exits if member.protects]
    covered = stops and min(member.wanted for member in stops) >= group.begun
    if group.unprotected and covered and not market.by_owner:
        told = market.exposed[-1] if market.exposed else 0
        assert told >= group.unprotected, "lots were left in silence"


@given(data=st.data(), volume=st.integers(1, 5), first=st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_without_refusals_a_bracket_ends_flat(data, volume, first):
    """Exits protect a parent that is filled in parts, or that ends partly filled."""
    entry = Part("in", volume)
    parts = [Part("stop", volume, protects=True), Part("target", volume)]
    market = Market(bracket(entry, parts), entry)
    market.fill("in", min(first, volume))
    while not market.group.over:
        while market.actions:
            market.carry_out(market.actions.pop(0))
        market.check()
        if "in" in market.live and data.draw(st.booleans()):
            if data.draw(st.booleans()):
                market.fill("in", data.draw(st.integers(1, market.live["in"])))
            else:
                market.end("in", unasked=True)
            continue
        if market.place.get("stop") == WATCHED and data.draw(st.booleans()):
            market.fire("stop")
        for order_id in [i for i, where in market.place.items() if where == QUEUED]:
            market.send(order_id)
        out = [order_id for order_id in market.live if order_id != "in"]
        if out:
            order_id = data.draw(st.sampled_from(out))
            market.fill(order_id, data.draw(st.integers(1, market.live[order_id])))
    assert market.group.unprotected == 0 and market.exposed == []
