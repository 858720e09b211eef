"""An order ends in the same state however its reports are shuffled and repeated."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tianqin_backtrader.core.model import Direction, Fill, Offset, OrderReport
from tianqin_backtrader.orders.leg import OVER, OrderLeg, OrderState

WHAT = ("o1", "SHFE.cu2612", Direction.BUY, Offset.OPEN)


def report(volume, left, status, exchange_id="x1", message=""):
    return OrderReport(*WHAT, volume, left, 78000.0, status, exchange_id, message)


@st.composite
def lives(draw):
    """Draw (volume, all reports and fills of the order, its end)."""
    volume = draw(st.integers(1, 6))
    news = [report(volume, volume, "ALIVE", exchange_id="")]
    if draw(st.booleans()) and draw(st.booleans()):
        news.append(report(volume, volume, "FINISHED", exchange_id="", message="资金不足"))
        return volume, news, (0, OrderState.REJECTED)
    news.append(report(volume, volume, "ALIVE"))
    left, told = volume, 0
    for number in range(draw(st.integers(0, 4))):
        if not left:
            break
        lots = draw(st.integers(1, left))
        left -= lots
        news.append(Fill(f"t{number}", *WHAT, 78000.0, lots, 0, 1.0))
        if draw(st.booleans()):
            news.append(report(volume, left, "ALIVE" if left else "FINISHED"))
        told = draw(st.sampled_from([told, volume - left]))  # the cancel may cross a fill
    # One report says that it is over; for a filled order it has all lots.
    told = volume if not left else told
    news.append(report(volume, volume - told, "FINISHED", message="已撤单" if left else "全部成交"))
    return volume, news, (volume - left, OrderState.CANCELLED if left else OrderState.FILLED)


@given(lives(), st.data())
@settings(max_examples=600, deadline=None)
def test_any_order_and_repetition_gives_the_same_end(life, data):
    volume, news, end = life
    again = data.draw(st.lists(st.sampled_from(news), max_size=6))
    others = data.draw(st.lists(st.sampled_from(["time out", "not found"]), max_size=4))
    leg = OrderLeg(*WHAT, volume, 78000.0)
    filled = 0
    for item in data.draw(st.permutations([*news, *again, *others])):
        if isinstance(item, Fill):
            leg.take_fill(item)
        elif isinstance(item, OrderReport):
            leg.take_report(item)
        elif item == "time out":
            leg.time_out()
        else:
            leg.not_found()
        assert filled <= leg.filled <= volume
        filled = leg.filled
    if others and leg.state not in OVER:
        # After a timeout or "not found" between the end and its fills, one query is enough.
        leg.take_report(news[-1])
    assert (leg.filled, leg.state) == end
    assert leg.over
