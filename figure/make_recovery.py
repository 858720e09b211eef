"""Draw the time until new data after an outage, from recovery.csv.

    pip install -e . && python figure/make_recovery.py

writes recovery.svg beside this file. A row of the CSV is one outage: how long the network was down,
whose client (``product``, or ``bare`` TqSdk), and the seconds from its return to new data, empty
if none came; a bar in ``next()`` for the product, a tick for the bare client. Measured by
``python -m pytest -m bench -s tests/bench/test_recovery.py``.
"""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median

from drawing import GREY, HERE, INK, save
from matplotlib.figure import Figure

NEVER = float("inf")
SOURCE = HERE / "recovery.csv"
CLIENTS = {"product": ("tianqin_backtrader", "#2f7d4f"), "bare": ("TqSdk alone", "#a9b4be")}


def measured(path=SOURCE):
    """client -> outage in seconds -> seconds until new data, ascending."""
    found = {client: {} for client in CLIENTS}
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            times = found[row["client"]].setdefault(float(row["outage_seconds"]), [])
            times.append(float(row["seconds"] or "inf"))
    return {
        client: {outage: sorted(times) for outage, times in sorted(by_outage.items())}
        for client, by_outage in found.items()
    }


def draw(path=SOURCE):
    """The picture: a bar is the median, the dots are single outages."""
    found = measured(path)
    outages = sorted({outage for by_outage in found.values() for outage in by_outage})
    figure = Figure(figsize=(8, 0.95 * len(outages) + 1.1), layout="constrained")
    axes = figure.subplots()
    came = [time for by_outage in found.values() for times in by_outage.values() for time in times
            if time < NEVER]  # fmt: skip
    longest = max(came)
    for number, (client, (label, colour)) in enumerate(CLIENTS.items()):
        for outage, times in found[client].items():
            y = outages.index(outage) + (number - 0.5) * 0.36
            middle, shown = median(times), [time for time in times if time < NEVER]
            axes.barh(y, min(middle, longest), 0.32, color=colour,
                      label=label if outage == min(found[client]) else None)  # fmt: skip
            axes.plot(shown, [y] * len(shown), "o", color=INK, markersize=3.5, zorder=3)
            words = f"median {middle:.1f} s" if middle < NEVER else "no data came"
            end = max([*shown, min(middle, longest)])
            axes.text(end + longest * 0.015, y, words, size=8.5, color=INK, va="center")
    axes.set_yticks(range(len(outages)), [f"network down {outage:g} s" for outage in outages])
    axes.set(ylim=(len(outages) - 0.5, -0.5), xlim=(0, longest * 1.25))
    axes.set_xlabel("seconds from the network's return to new data; a dot is one outage",
                    color=GREY)  # fmt: skip
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def main(folder: Path = HERE) -> Path:
    """Write it."""
    return save(draw(), "recovery", folder)


if __name__ == "__main__":
    main()
