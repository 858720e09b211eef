"""Draw the trading hours of all products of the six exchanges, from ``CLASS_SESSIONS``.

    pip install -e . && python figure/make_sessions.py

writes sessions.svg beside this file.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from drawing import GREY, HERE, INK, save
from matplotlib.figure import Figure

from tianqin_backtrader.session_calendar import CLASS_SESSIONS, EXCHANGES

NIGHT, DAY = "#34507a", "#e0a33c"
#: The axis of the day begins after the latest close of the night, 02:30, and a gap.
NIGHT_FROM, NIGHT_HOURS, GAP, DAY_FROM = 20.75, 6.0, 0.4, 8.75


def rows():
    """(exchange, sessions, product codes), products with equal hours together."""
    found = {}
    for key, sessions in CLASS_SESSIONS.items():
        exchange, _, product = key.partition(".")
        found.setdefault((exchange, sessions), []).append(product)
    order = sorted(found, key=lambda row: (EXCHANGES.index(row[0]), -_hours(row[1])))
    return [(exchange, sessions, found[exchange, sessions]) for exchange, sessions in order]


def place(text):
    """The position of a time on the axis: a trading day begins with its night session."""
    hour = int(text[:2]) + int(text[3:]) / 60
    if hour >= NIGHT_FROM or hour < 6:
        return (hour - NIGHT_FROM) % 24
    return NIGHT_HOURS + GAP + hour - DAY_FROM


def _hours(sessions):
    return sum(place(closes) - place(opens) for opens, closes in sessions)


def draw():
    """The picture."""
    table = rows()
    figure = Figure(figsize=(11.3, 0.37 * len(table) + 1.0))
    axes = figure.add_axes((0.055, 0.02, 0.60, 0.89))
    before = None
    for number, (exchange, sessions, products) in enumerate(table):
        for opens, closes in sessions:
            left = place(opens)
            axes.barh(number, place(closes) - left, 0.62, left=left,
                      color=NIGHT if left < NIGHT_HOURS else DAY)  # fmt: skip
        if exchange != before:
            axes.text(-0.25, number, exchange, size=9, weight="bold", color=INK, ha="right",
                      va="center")  # fmt: skip
            axes.axhline(number - 0.5, color="0.8", linewidth=0.7)
            before = exchange
        words = textwrap.fill(" ".join(products), 62)
        axes.text(place("15:30"), number, words, size=7.2, color=INK, va="center",
                  linespacing=1.05)  # fmt: skip
    shown = ("21:00", "23:00", "01:00", "02:30", "09:00", "10:15", "11:30", "13:00", "15:00")
    axes.set_xticks([place(text) for text in shown], shown, size=7.5, color=GREY)
    axes.tick_params(length=2, color="0.6", top=True, labeltop=True, bottom=False,
                     labelbottom=False)  # fmt: skip
    for text in shown:
        axes.axvline(place(text), color="0.9", linewidth=0.6, zorder=0)
    axes.set(xlim=(0, place("15:15") + 0.05), ylim=(len(table) - 0.45, -0.55), yticks=[])
    axes.spines[:].set_visible(False)
    figure.text(0.055, 0.965, "night session of the next trading day", size=8.5, weight="bold",
                color=NIGHT)  # fmt: skip
    figure.text(0.36, 0.965, "day", size=8.5, weight="bold", color="#b27a17")
    return figure


def main(folder: Path = HERE) -> Path:
    """Write it."""
    return save(draw(), "sessions", folder)


if __name__ == "__main__":
    main()
