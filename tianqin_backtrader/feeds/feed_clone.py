"""``FeedClone``: the bars of a live feed for another place in the same run."""

from __future__ import annotations

from .resampling import DayClone
from .trimming import keep_latest


class FeedClone(DayClone):
    """The same bars again, for ``cerebro.resampledata`` of a feed that is in the run itself."""

    @property
    def history_phase(self) -> bool:
        """As of the feed."""
        return bool(self.data.history_phase)

    #: Bars that have been trimmed.
    trimmed = 0

    def start(self) -> None:
        """Cerebro begins a run."""
        super().start()
        self.trimmed = 0

    def buflen(self) -> int:
        """As of the feed."""
        return int(self.lines.buflen()) + self.trimmed

    @property
    def keep_bars(self) -> int | None:
        """As of the feed."""
        keep: int | None = self.data.keep_bars
        return keep

    def _load(self) -> bool | None:
        if self.keep_bars:
            keep_latest(self.data._env.runningstrats, self, self.keep_bars)
        loaded: bool | None = super()._load()
        return loaded

    @property
    def heard_until(self) -> int:
        """As of the feed, once all of its bars have been seen."""
        return int(self.data.heard_until) if len(self.data) == self._dlen else 0

    def haslivedata(self) -> bool:
        """Whether a bar has been made in a round without one."""
        return bool(self._barstack)
