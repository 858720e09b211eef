"""``ApiHolder``: the ``TqApi`` of the moment, which may be none."""

from __future__ import annotations

from typing import Any

from .errors import LinkLost


class ApiHolder:
    """What all parts of the ``Gateway`` work with."""

    def __init__(self) -> None:
        self._api: Any = None

    @property
    def api(self) -> Any:
        """The ``TqApi`` of the moment.

        Raises:
            LinkLost: There is none.
        """
        if self._api is None:
            raise LinkLost("not connected to TianQin at the moment")
        return self._api

    @property
    def connected(self) -> bool:
        """Whether there is a session, working or not."""
        return self._api is not None
