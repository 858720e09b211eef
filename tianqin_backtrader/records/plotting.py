"""``cerebro.plot()`` on a machine without a display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import backtrader as bt


def plot_to_files(cerebro: bt.Cerebro, path: str | Path, **options: object) -> list[Path]:
    """Draw ``cerebro.plot()`` into PNG files instead of windows.

    Args:
        cerebro: After its ``run``.
        path: ``"run.png"``; a second figure is written to ``run_2.png``, and so on.
        options: As for ``cerebro.plot`` (``style="candle"``, ``numfigs=2``, ...).

    Returns:
        The files.
    """
    import backtrader.plot  # noqa: F401 (asks for a window system when it is imported)
    import matplotlib

    matplotlib.use("Agg")
    first = Path(path)
    files: list[Path] = []
    for strategy_figures in cerebro.plot(iplot=False, **options):
        for figure in strategy_figures:
            count = len(files) + 1
            file = first if count == 1 else first.with_name(f"{first.stem}_{count}{first.suffix}")
            figure.savefig(file)
            files.append(file)
    return files
