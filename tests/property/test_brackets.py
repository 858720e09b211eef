"""A bracket in a market that fills, refuses and crosses at random never closes what is not there.

Actions reach the exchange at once or late. When they are late a sibling may still be filled, and
then the group says so.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from tianqin_backtrader.order_group import (
    Do,
    MemberState,
    Role,
    bracket,
    on_cancel,
    on_end,
    on_fill,
)


class Market:
    """Lots that each order still has at the exchange; actions wait until they are carried out."""

    def __init__(self, parent, children):
        self.group = bracket(parent, children)
        self.left = dict([parent])
        self.actions = []
        self.exposed = []
        self.left_alone = False  # an order ended by itself, or was withdrawn by its owner

    def take(self, answer):
        self.group, actions = answer
        for action in actions:
            if action.do is Do.EXPOSED:
                self.exposed.append(action.volume)
            else:
                self.actions.append(action)

    def carry_out(self):
        while self.actions:
            action = self.actions.pop(0)
            if action.do is Do.ACTIVATE:
                self.left[action.order_id] = action.volume
            elif action.do is Do.RESIZE:
                self.resize(action.order_id, action.volume)
            else:
                self.left.pop(action.order_id, None)
                self.take(on_end(self.group, action.order_id))

    def resize(self, order_id, volume):
        if order_id not in self.left:
            return
        self.left[order_id] = volume - self.group[order_id].filled
        if self.left[order_id] <= 0:
            del self.left[order_id]
            self.take(on_end(self.group, order_id))

    def fill(self, order_id, lots):
        self.left[order_id] -= lots
        if not self.left[order_id]:
            del self.left[order_id]
        self.take(on_fill(self.group, order_id, lots))

    def end(self, order_id, unasked):
        self.left_alone = True
        del self.left[order_id]
        self.take(on_end(self.group, order_id, unasked=unasked))

    def withdraw(self, order_id):
        self.left_alone = True
        self.take(on_cancel(self.group, order_id))

    def check(self, late):
        group = self.group
        children = [m for m in group.members if m.role is Role.CHILD]
        for child in children:
            if child.state is MemberState.ACTIVE:
                assert 0 < child.volume - child.filled <= group.unprotected
        if not late:
            assert group.unprotected >= 0
            assert all(volume > 0 for volume in self.exposed)
        assert (group.unprotected < 0) <= any(volume < 0 for volume in self.exposed)


@given(data=st.data(), late=st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_bracket_closes_what_it_opened_and_no_more(data, late):
    volume = data.draw(st.integers(1, 5))
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    market = Market(("in", volume), [(f"child {i}", lots) for i, lots in enumerate(sizes)])
    for _ in range(40):
        if not late or data.draw(st.booleans()):
            market.carry_out()
        market.check(late)
        if not market.left and not market.actions:
            break
        if not market.left:
            continue
        order_id = data.draw(st.sampled_from(sorted(market.left)))
        what = data.draw(st.sampled_from(["fill", "fill", "fill", "end", "withdraw"]))
        if what == "fill":
            market.fill(order_id, data.draw(st.integers(1, market.left[order_id])))
        elif what == "end":
            market.end(order_id, data.draw(st.booleans()))
        else:
            market.withdraw(data.draw(st.sampled_from([m.order_id for m in market.group.members])))
    else:
        return
    assert market.group.over
    if not late and not market.left_alone and max(sizes) >= volume:
        assert market.group.unprotected == 0
