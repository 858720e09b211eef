"""Names of feeds: unique names for reports, and the symbol that a name stands for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..calendars.products import EXCHANGES


def named(feeds: Iterable[Any]) -> dict[str, Any]:
    """Return feeds by unique names.

    The first feed of a name keeps it. A later one, such as the daily bars of a contract that also
    has a feed of minutes, has its bar length behind the name: ``"SHFE.cu2612 day"``.

    Args:
        feeds: In the order in which they were made.
    """
    found: dict[str, Any] = {}
    for feed in feeds:
        name, number = feed._name, 1
        if name in found:
            name = longer = f"{name} {feed.bar_length}"
            while name in found:
                number += 1
                name = f"{longer} {number}"
        found[name] = feed
    return found


def symbol_of(feeds: Iterable[Any], instrument: str) -> str:
    """Return the symbol of the feed with this name; a symbol, or an unknown name, as it is."""
    if instrument.partition(".")[0] in (*EXCHANGES, "KQ", "KQD"):
        return instrument
    return next((str(feed.symbol) for feed in feeds if feed._name == instrument), instrument)
