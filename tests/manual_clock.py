"""A clock that tests set."""


class ManualClock:
    """A clock that stands where it was put.

    It never goes back: ``advance_to`` an earlier moment changes nothing.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Move to ``now_ns`` unless that is in the past."""
        self._now_ns = max(self._now_ns, now_ns)
