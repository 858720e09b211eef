"""What of an order has to close, and what becomes of it when its lots are not free."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.orders.exits import Claim, ExitStep, SideLots, Timing, exit_step, may_open

NOW, RESTS, LATER = Timing.AT_ONCE, Timing.RESTS, Timing.LATER
TARGET = Claim(7, 3, rests=True)
LEAVING = Claim(7, 3, rests=True, leaves=True)
FIRED = Claim(8, 3)
FOREIGN = Claim(0, 3)


@pytest.mark.parametrize(
    ("volume", "held", "claims", "timing", "opens"),
    [
        # Nothing is held of the other side: nothing of it has to close.
        (3, 0, [], NOW, None), (3, 0, [], RESTS, None), (3, 0, [], LATER, None),
        # As much as it wants, and more: it closes whole.
        (3, 3, [], NOW, 0), (3, 5, [], RESTS, 0), (3, 3, [], LATER, 0),
        # Less: it reverses.
        (5, 3, [], NOW, 2), (5, 3, [], RESTS, 2), (5, 3, [], LATER, 2),
        # A target works on the lots: what is at the market goes first, another limit is beside it.
        (3, 3, [TARGET], NOW, 0), (3, 3, [TARGET], RESTS, None), (3, 3, [TARGET], LATER, 0),
        (3, 5, [TARGET], RESTS, 1), (9, 3, [TARGET], NOW, 6),
        # It is being withdrawn: its lots are free for any.
        (3, 3, [LEAVING], NOW, 0), (3, 3, [LEAVING], RESTS, 0), (3, 3, [LEAVING], LATER, 0),
        # An order at the market has them: Backtrader nets the second one to the other side.
        (3, 3, [FIRED], NOW, None), (3, 5, [FIRED], NOW, 1), (3, 3, [FIRED], LATER, 0),
        # Another terminal's order has them.
        (3, 3, [FOREIGN], NOW, None), (3, 3, [FOREIGN], LATER, 0),
    ],
)  # fmt: skip
def test_what_may_open_is_decided_when_it_is_placed(volume, held, claims, timing, opens):
    assert may_open(volume, held, claims, timing) == opens


@pytest.mark.parametrize(
    ("timing", "held", "claims"), list(product(Timing, [0, 3, 9], [[], [TARGET], [FIRED]]))
)
def test_the_owners_word_goes_first(timing, held, claims):
    assert may_open(3, held, claims, timing, close_only=True) == 0
    assert may_open(3, held, claims, timing, close_only=False) is None


@pytest.mark.parametrize(
    ("need", "lots", "claims", "hurries", "step"),
    [
        # Free lots leave, whoever wants them.
        (3, SideLots(3, 3), [], True, ExitStep(3)),
        (3, SideLots(6, 6), [TARGET], False, ExitStep(3)),
        # Lots that are gone are not waited for.
        (3, SideLots(0, 0), [], True, ExitStep(0)),
        (3, SideLots(1, 1), [], False, ExitStep(1)),
        # A target stands back for what hurries; what does not hurry waits for its end.
        (3, SideLots(3, 3), [TARGET], True, ExitStep(0, True, (7,))),
        (3, SideLots(4, 4), [TARGET], True, ExitStep(1, True, (7,))),
        (3, SideLots(3, 3), [TARGET], False, ExitStep(0, True)),
        # One that is leaving is waited for, and nobody else has to leave.
        (3, SideLots(3, 3), [LEAVING], True, ExitStep(0, True)),
        (3, SideLots(6, 6), [Claim(6, 3, rests=True), LEAVING], True, ExitStep(0, True)),
        # What is at the market is on its way, and another terminal's is not ours to withdraw.
        (3, SideLots(3, 3), [FIRED], True, ExitStep(0, True)),
        (3, SideLots(3, 3), [FOREIGN], True, ExitStep(0, True)),
        # The newest stand back, as many as are needed.
        (3, SideLots(6, 6), [Claim(5, 3, rests=True), Claim(6, 3, rests=True)], True,
         ExitStep(0, True, (6,))),
        (5, SideLots(6, 6), [Claim(5, 3, rests=True), Claim(6, 3, rests=True)], True,
         ExitStep(0, True, (6, 5))),
    ],
)  # fmt: skip
def test_what_an_exit_does_next(need, lots, claims, hurries, step):
    assert exit_step(need, lots, claims, hurries=hurries, patient=True) == step


@pytest.mark.parametrize("lots", [SideLots(0, 3), SideLots(3, 0)])
def test_what_account_and_fills_do_not_agree_on_is_waited_for(lots):
    assert exit_step(3, lots, [], hurries=True, patient=True) == ExitStep(0, waits=True)
    assert exit_step(3, lots, [], hurries=True, patient=False) == ExitStep(0)


LOTS, ANY_WAY = st.integers(0, 8), st.booleans()
CLAIMS = st.lists(
    st.builds(
        Claim, st.integers(0, 5), st.integers(0, 4), rests=st.booleans(), leaves=st.booleans()
    ),
    max_size=4,
)


@given(st.integers(1, 6), LOTS, LOTS, CLAIMS, ANY_WAY, ANY_WAY)
def test_an_exit_never_sends_more_than_is_free(need, account, booked, claims, hurries, patient):
    lots = SideLots(account, booked)
    step = exit_step(need, lots, claims, hurries=hurries, patient=patient)
    claimed = sum(claim.lots for claim in claims)
    assert 0 <= step.now <= min(need, max(0, min(account, booked) - claimed))
    assert not step.stand_back or (hurries and step.waits)
    for number in step.stand_back:
        assert any(one.order == number and one.rests and not one.leaves for one in claims)


@given(st.integers(1, 6), LOTS, CLAIMS, st.sampled_from(Timing))
def test_an_order_opens_no_more_than_it_has_lots(volume, held, claims, timing):
    opens = may_open(volume, held, claims, timing)
    assert opens is None or volume - held <= opens < volume
