"""Fields of TqSdk's rows: numbers and texts by name, some of which may be missing."""

from __future__ import annotations

from collections.abc import Mapping

from .model import NAN

#: An account, a position, an order or a contract, with TqSdk's field names.
Fields = Mapping[str, object]


def number(fields: Fields, name: str, otherwise: float = NAN) -> float:
    """Return a field as a number; if it is missing, or a text such as "-", ``otherwise``.

    >>> number({"balance": 10}, "balance"), number({"balance": "-"}, "balance", 0.0)
    (10.0, 0.0)
    """
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) else otherwise
