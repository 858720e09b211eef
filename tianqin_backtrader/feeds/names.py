"""Names of feeds: what they are called where each must be told apart, and what a name means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..calendars.products import EXCHANGES


def named(feeds: Iterable[Any]) -> dict[str, Any]:
    """Feeds by names that differ.

    The first of a name keeps it; one that comes later under the same, as the days of a contract
    whose minutes are watched do, has its length behind it: ``"SHFE.cu2612 day"``.

    Args:
        feeds: In the order they were made.
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
    """The symbol of the feed that has this name; what looks like a symbol is one."""
    if instrument.partition(".")[0] in (*EXCHANGES, "KQ", "KQD"):
        return instrument
    return next((str(feed.symbol) for feed in feeds if feed._name == instrument), instrument)
