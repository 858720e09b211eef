"""``CurrentSession``: the present ``TqApi``, if there is one, and what is known from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.model import Instrument
from ..errors import LinkLost

if TYPE_CHECKING:
    from .client import Client


class CurrentSession:
    """The state that all parts of the ``Gateway`` share.

    Attributes:
        client: The ``TqApi``, or None.
        logged_in: Whether it is logged in at the account's counter; otherwise the account keeps its
            last state, and no order is sent.
        contracts_known: Specifications from TianQin, by symbol.
        told_now: The server's own time in nanoseconds as of the last wait, if it has one (sandbox,
            back-test), else None.
    """

    def __init__(self) -> None:
        self.client: Client | None = None
        self.logged_in = False
        self.told_now: int | None = None
        self.contracts_known: dict[str, Instrument] = {}

    @property
    def api(self) -> Client:
        """The present ``TqApi``.

        Raises:
            LinkLost: There is none.
        """
        if self.client is None:
            raise LinkLost("not connected to TianQin at the moment")
        return self.client
