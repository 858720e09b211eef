"""The feeds of one store."""

from __future__ import annotations

from typing import Any


class FeedList(list[Any]):
    """Feeds in the order in which they were made."""

    @property
    def in_history(self) -> bool:
        """Whether all that the run has seen is history.

        A feed of days, or of a contract without a night, shows a bar of history for hours while
        another one is live, or waits for its next bar: the run is live then.
        """
        begun = [feed for feed in self if len(feed)]
        return bool(begun) and all(feed.history_phase for feed in begun)
