"""``CurrentSession``: the ``TqApi`` of the moment, which may be none, and what was learnt of it."""

from __future__ import annotations

from typing import Any

from ..core.model import Instrument
from ..errors import LinkLost


class CurrentSession:
    """What all parts of the ``Gateway`` work with.

    Attributes:
        client: The ``TqApi``, or None.
        logged_in: Whether it is logged in at the account's counter; without that the last picture
            of the account stays, and no order leaves.
        contracts_known: Specifications that TianQin has given, by symbol.
    """

    def __init__(self) -> None:
        self.client: Any = None
        self.logged_in = False
        self.contracts_known: dict[str, Instrument] = {}

    @property
    def api(self) -> Any:
        """The ``TqApi`` of the moment.

        Raises:
            LinkLost: There is none.
        """
        if self.client is None:
            raise LinkLost("not connected to TianQin at the moment")
        return self.client

    def virtual_now(self) -> int | None:
        """The server's own time in nanoseconds where it has one (sandbox, history), else None."""
        state = self.client._data.get("_tqsdk_backtest") if self.client is not None else None
        if state is None or "current_dt" not in state:
            return None
        # At its end a back-test of tqsdk says 2038.
        return min(int(state["current_dt"]), int(state.get("end_dt", state["current_dt"])))
