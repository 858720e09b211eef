"""Draw the table of a leg's states from ``orders.leg.TRANSITIONS``.

    pip install -e . && python figure/make_order_states.py

writes order_states.svg beside this file.
"""

from __future__ import annotations

from pathlib import Path

from drawing import GREY, HERE, INK, LINE, plate, save
from matplotlib.patches import Rectangle

from tianqin_backtrader.orders.leg import OVER, TRANSITIONS, OrderEvent, OrderState

WIDTH, HEIGHT, LEFT, TOP = 10.6, 4.2, 15.0, 50.5
#: Fill by the next state: over, working, unknown.
DONE, WORKS, OPEN = "#d7ead9", "#dfeaf6", "#fbe9cf"
#: A short description of each event.
MEANS = {
    OrderEvent.ACCEPT: "reported alive",
    OrderEvent.ACCEPT_PARTIAL: "alive, fills seen",
    OrderEvent.FILL: "some lots",
    OrderEvent.FILL_ALL: "the last lots",
    OrderEvent.END_FILLS_MISSING: "over, fills missing",
    OrderEvent.END: "over, lots left",
    OrderEvent.REJECT: "refused",
    OrderEvent.TIMEOUT: "no report in time",
    OrderEvent.NOT_FOUND: "queried: unknown",
}


def cells():
    """(state, event, next state) of every row of the table."""
    return [
        (state, event, following)
        for state, row in TRANSITIONS.items()
        for event, following in row.items()
    ]


def colour(state):
    """The fill of a next state."""
    if state in OVER:
        return DONE
    return OPEN if state in (OrderState.UNKNOWN, OrderState.FINISHING) else WORKS


def draw():
    """The picture."""
    figure, axes = plate(113, 59, (11.3, 5.9))
    states, events = list(OrderState), list(OrderEvent)
    for column, event in enumerate(events):
        x = LEFT + (column + 0.5) * WIDTH
        words = event.replace("END_FILLS_MISSING", "END_FILLS\n_MISSING")
        axes.text(x, TOP + 3.6, words, size=7, weight="bold", color=INK, ha="center", va="center")
        axes.text(x, TOP + 1.1, MEANS[event], size=6, color=GREY, ha="center", va="center")
    for row, state in enumerate(states):
        y = TOP - (row + 1) * HEIGHT
        mark = " •" if state in OVER else ""
        axes.text(LEFT - 1, y + HEIGHT / 2, state + mark, size=8, weight="bold", color=INK,
                  ha="right", va="center")  # fmt: skip
        axes.axhline(y, color="0.9", linewidth=0.6, zorder=0)
    for state, event, following in cells():
        x = LEFT + events.index(event) * WIDTH
        y = TOP - (states.index(state) + 1) * HEIGHT
        stays = following is state
        look = ("white", "0.85") if stays else (colour(following), LINE)
        corner, size = (x + 0.25, y + 0.3), (WIDTH - 0.5, HEIGHT - 0.6)
        axes.add_patch(
            Rectangle(corner, *size, linewidth=0.7, facecolor=look[0], edgecolor=look[1])
        )
        axes.text(x + WIDTH / 2, y + HEIGHT / 2, "stays" if stays else following, size=7,
                  color=GREY if stays else INK, ha="center", va="center")  # fmt: skip
    axes.text(
        LEFT, 9, "Row: state of a leg, • final.  Column: event.  "
        "Cell: next state; an empty cell is illegal (IllegalTransition).", size=7.5, color=GREY,
    )  # fmt: skip
    for x, fill, words in ((LEFT, WORKS, "at work"), (LEFT + 17, OPEN, "something is missing"),
                           (LEFT + 42, DONE, "over")):  # fmt: skip
        axes.add_patch(Rectangle((x, 4.6), 3, 2, facecolor=fill, edgecolor=LINE, linewidth=0.7))
        axes.text(x + 4, 5.6, words, size=7.5, color=GREY, va="center")
    return figure


def main(folder: Path = HERE) -> Path:
    """Write it."""
    return save(draw(), "order_states", folder)


if __name__ == "__main__":
    main()
