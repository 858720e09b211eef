"""Draw the way of a tick; the code's names in it are checked by the tests.

    pip install -e . && python figure/make_way_of_a_tick.py

writes way_of_a_tick.svg beside this file.
"""

from __future__ import annotations

from pathlib import Path

from drawing import CORE, FOREIGN, GREY, HERE, SHELL, arrow, box, plate, save

#: (title, names in the code, what happens, fill), in the order of a tick's way.
STATIONS = (
    ("wire", (), "rows with\nconsecutive ids", FOREIGN),
    ("client", ("gateway.gateway:Gateway.pump",), "one wait per\nround", SHELL),
    (
        "rows",
        ("gateway.charts:TreeCharts.series", "gateway.rows:Series.bars"),
        "frozen bars,\nby id",
        SHELL,
    ),
    ("quote", ("gateway.quote_ticks:QuoteTicks.take",), "stamps and\norder book", SHELL),
    ("live bars", ("feeds.live_bars:LiveBars.take",), "final, by slots\nand proof", CORE),
    ("certainty", ("store:MyStore.horizon",), "a minute of\nall contracts", SHELL),
    ("feed", ("datafeed:Mydatafeed._load",), "lines, then\nyour next()", SHELL),
)
#: (text, names in the code) of steps beside the way.
BESIDE = (
    ("closed by the clock, before a break,\nonly if the line is proved alive",
     ("gateway.liveness:Liveness.prove", "feeds.live_bars:LiveBars.flush")),
    ("compared with TianQin's own bar once\nmore, when it is final: certificate",
     ("feeds.live_bars:LiveBars.check", "feeds.live_bars:LiveBars.pop")),
)  # fmt: skip
WIDTH, STEP = 13.2, 15.8


def names():
    """All names of code in the picture."""
    shown = [own for _, own, *_ in STATIONS] + [own for _, own in BESIDE]
    return [name for own in shown for name in own]


def short(name):
    """``gateway.gateway:Gateway.pump`` -> ``Gateway.pump``."""
    return name.partition(":")[2]


def draw():
    """The picture."""
    figure, axes = plate(112, 34, (11.2, 3.4))
    for number, (title, own, text, fill) in enumerate(STATIONS):
        x = 2 + number * STEP
        box(axes, x, 19, WIDTH, 9.5, title, text, fill)
        for line, name in enumerate(own):
            words = short(name).replace(".", ".\n") if len(short(name)) > 19 else short(name)
            axes.text(x + WIDTH / 2, 30.2 + 2.4 * line, words, size=6, color=GREY, ha="center",
                      va="bottom", family="monospace", linespacing=1.0)  # fmt: skip
        if number:
            arrow(axes, (x - STEP + WIDTH, 23.5), (x, 23.5))
    for place, (text, own) in zip((3.0, 5.0), BESIDE, strict=True):
        x = 2 + place * STEP - 9
        box(axes, x, 5, 28, 7.6, "", "", CORE)
        axes.text(x + 14, 9, text, size=7, ha="center", va="center")
        axes.text(x + 14, 3.4, "  ".join(map(short, own)), size=6, color=GREY, ha="center",
                  va="center", family="monospace")  # fmt: skip
        arrow(axes, (x + 14, 12.6), (x + 14, 19))
    return figure


def main(folder: Path = HERE) -> Path:
    """Write it."""
    return save(draw(), "way_of_a_tick", folder)


if __name__ == "__main__":
    main()
