"""Foreign trades on the account: their lots count at once, their money when it is known.

Of a contract that nobody here has asked for, the multiple is not known. It is asked for beside the
run; until the answer comes, which is never while market data is away, the trades wait for the
books.
"""

from __future__ import annotations

from ..account.ledger import PositionLedger
from ..core.context import Context
from ..core.model import Fill


class ForeignFills:
    """Books them.

    Args:
        context: Knows contracts.
        account: What is held.

    Attributes:
        waiting: Those whose contract is not known yet, by contract.
    """

    def __init__(self, context: Context, account: PositionLedger) -> None:
        self._context, self._account = context, account
        self.waiting: dict[str, list[Fill]] = {}

    def take(self, fill: Fill) -> None:
        """Book one."""
        self._account.take_lots(fill)
        self.waiting.setdefault(fill.symbol, []).append(fill)
        self.on_round()

    def on_round(self) -> None:
        """Every round: book those whose contract is known now."""
        for symbol in list(self.waiting):
            instrument = self._context.known_instrument(symbol)
            if instrument is not None:
                for fill in self.waiting.pop(symbol):
                    self._account.book(self._account.priced(fill), int(instrument.volume_multiple))


class LotBaseline:
    """The lots that the records start from: what is held, fills since then apart.

    Attributes:
        foreign: The identities of trades of other terminals that are in the lots.
    """

    kind, key = "held", "account"

    def __init__(self, account: PositionLedger) -> None:
        self._account = account
        self._serial = 0
        self.foreign: set[str] = set()

    def plan(self) -> tuple[dict[str, object], bool]:
        """For the journal; every row counts from its place on, so no two are equal."""
        self._serial += 1
        lots = [
            [*place, abs(int(position.size))]
            for place, position in self._account.sides.items()
            if position.size
        ]
        return {"lots": lots, "foreign": sorted(self.foreign), "serial": self._serial}, False
