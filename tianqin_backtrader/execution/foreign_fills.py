"""Book foreign trades on the account: lots at once, money when the contract is known.

The multiplier of a contract that this program has not used is unknown at first. It is requested in
the background, and the money is booked when it comes; this needs a market-data connection.
"""

from __future__ import annotations

from ..account.ledger import PositionLedger
from ..core.context import Context
from ..core.model import Fill


class ForeignFills:
    """Books trades of other terminals.

    Args:
        context: Knows contracts.
        account: The ledger.

    Attributes:
        waiting: Fills whose contract is not known yet, by contract.
    """

    def __init__(self, context: Context, account: PositionLedger) -> None:
        self._context, self._account = context, account
        self.waiting: dict[str, list[Fill]] = {}

    def take(self, fill: Fill) -> None:
        """Book a fill."""
        self._account.take_lots(fill)
        self.waiting.setdefault(fill.symbol, []).append(fill)
        self.on_round()

    def on_round(self) -> None:
        """Book fills whose contract has become known; called every round."""
        for symbol in list(self.waiting):
            instrument = self._context.known_instrument(symbol)
            if instrument is not None:
                for fill in self.waiting.pop(symbol):
                    self._account.book(self._account.priced(fill), int(instrument.volume_multiple))


class LotBaseline:
    """The positions that the records start from; fills after it are recorded separately.

    Attributes:
        foreign: Identities of other terminals' trades that these positions include.
    """

    kind, key = "held", "account"

    def __init__(self, account: PositionLedger) -> None:
        self._account = account
        self._serial = 0
        self.foreign: set[str] = set()

    def plan(self) -> tuple[dict[str, object], bool]:
        """Return the row for the journal; a serial number makes every row different."""
        self._serial += 1
        lots = [
            [*place, abs(int(position.size))]
            for place, position in self._account.sides.items()
            if position.size
        ]
        return {"lots": lots, "foreign": sorted(self.foreign), "serial": self._serial}, False
