"""``ApiHolder``: the ``TqApi`` of the moment, which may be none."""

from __future__ import annotations

from typing import Any

from ..core.model import Instrument
from ..errors import LinkLost


class ApiHolder:
    """What all parts of the ``Gateway`` work with."""

    def __init__(self) -> None:
        self._api: Any = None
        #: Specifications that TianQin has given, by symbol.
        self.contracts_known: dict[str, Instrument] = {}

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

    def virtual_now(self) -> int | None:
        """The server's own time in nanoseconds where it has one (sandbox, history), else None."""
        state = self._api._data.get("_tqsdk_backtest") if self._api is not None else None
        if state is None or "current_dt" not in state:
            return None
        # At its end a back-test of tqsdk says 2038.
        return min(int(state["current_dt"]), int(state.get("end_dt", state["current_dt"])))
