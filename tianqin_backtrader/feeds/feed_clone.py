"""``FeedClone``: the bars of a live feed, for a second use in the same run."""

from __future__ import annotations

from .resampling import DayClone
from .trimming import keep_latest


class FeedClone(DayClone):
    """The same bars again, for ``cerebro.resampledata`` of a feed that is also in the run."""

    @property
    def history_phase(self) -> bool:
        """As in the feed."""
        return bool(self.data.history_phase)

    #: Bars that have been trimmed.
    trimmed = 0

    def start(self) -> None:
        """Begin a run; called by Cerebro."""
        super().start()
        self.trimmed = 0

    def buflen(self) -> int:
        """As in the feed."""
        return int(self.lines.buflen()) + self.trimmed

    @property
    def keep_bars(self) -> int | None:
        """As in the feed."""
        keep: int | None = self.data.keep_bars
        return keep

    def _load(self) -> bool | None:
        if self.keep_bars:
            keep_latest(self.data._env.runningstrats, self, self.keep_bars)
        loaded: bool | None = super()._load()
        return loaded

    @property
    def heard_until(self) -> int:
        """As in the feed, once all of its bars have been delivered here; before that 0."""
        return int(self.data.heard_until) if len(self.data) == self._dlen else 0

    def haslivedata(self) -> bool:
        """Whether a bar was made in a round in which none arrived."""
        return bool(self._barstack)
