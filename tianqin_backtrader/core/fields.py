"""Fields of the rows that TqSdk shows: numbers and texts by name, some of which may be missing."""

from __future__ import annotations

from collections.abc import Mapping

from .model import NAN

#: An account, a position, an order or a contract, its fields as TqSdk names them.
Fields = Mapping[str, object]


def number(fields: Fields, name: str, otherwise: float = NAN) -> float:
    """A field that is a number; what is missing, or a text such as "-", is ``otherwise``.

    >>> number({"balance": 10}, "balance"), number({"balance": "-"}, "balance", 0.0)
    (10.0, 0.0)
    """
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) else otherwise
