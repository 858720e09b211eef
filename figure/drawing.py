"""Common parts of the diagrams: a figure without axes, boxes, arrows, saving."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).parent
INK, GREY, LINE = "#22303c", "#5c6b78", "#90a0ad"
#: Fills: decisions, communication, stored data, foreign parts.
CORE, SHELL, KEPT, FOREIGN = "#e3f0e6", "#e2ecf7", "#fbf0d9", "#eeeeee"


def plate(width, height, size):
    """A figure of ``size`` inches whose axes run over 0..width and 0..height, without a frame."""
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def box(axes, x, y, width, height, title, text="", fill=SHELL, size=9):
    """A rounded box with its lower left corner at (x, y); the text is below the title."""
    shape = FancyBboxPatch(
        (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.8",
        facecolor=fill, edgecolor=LINE, linewidth=0.9, mutation_aspect=1, zorder=2,
    )  # fmt: skip
    axes.add_patch(shape)
    middle = x + width / 2
    place, anchor = (y + height - 1.1, "top") if text else (y + height / 2, "center")
    axes.text(middle, place, title, ha="center", va=anchor, size=size, weight="bold", color=INK,
              zorder=4)  # fmt: skip
    if text:
        lower = y + (height - 2.4) / 2
        axes.text(middle, lower, text, ha="center", va="center", size=size - 2, color=INK, zorder=4,
                  linespacing=1.35)  # fmt: skip


def arrow(axes, start, end, color=GREY):
    """A straight arrow from a point to a point."""
    line = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=9, color=color, linewidth=1.0,
        shrinkA=0, shrinkB=0, zorder=1.5,
    )  # fmt: skip
    axes.add_patch(line)


def save(figure, name, folder=HERE):
    """Write ``<name>.svg``, byte-identical for equal pictures; return its path."""
    path = Path(folder, f"{name}.svg")
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
    return path
