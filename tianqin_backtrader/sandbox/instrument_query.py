"""The instrument service: answers the GraphQL text that comes in ``ins_query``.

Only what TianQin's own service has is understood: the root fields ``multi_symbol_info`` and
``symbol_info`` with their filters, fragments by type, and ``underlying.edges[].node``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..clock import to_ns
from .graphql_text import (
    Fragments,
    QueryError,
    arguments,
    key_of,
    listed,
    parse_query,
    plain_fields,
    select_fields,
)

if TYPE_CHECKING:
    from graphql.language.ast import FieldNode, SelectionSetNode

    from .instruments import Instrument

#: The types of the service's schema that an instrument of a class belongs to.
_TYPES = {
    "FUTURE": frozenset({"basic", "tradeable", "future"}),
    "CONT": frozenset({"basic", "tradeable", "derivative", "cont"}),
    "INDEX": frozenset({"basic", "index"}),
}
_ROOTS = frozenset({"multi_symbol_info", "symbol_info"})
_FILTERS = frozenset(
    {
        "instrument_id",
        "class",
        "exchange_id",
        "product_id",
        "expired",
        "has_night",
        "has_derivatives",
        "categories",
        "timestamp",
    }
)


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What the service tells about a contract's day; ``None`` where there is nothing yet."""

    settlement_price: float | None = None
    pre_close: float | None = None
    upper_limit: float | None = None
    lower_limit: float | None = None
    pre_open_interest: int | None = None


class InstrumentQuery:
    """The service over a set of instruments.

    Args:
        instruments: By symbol.
        day_facts: The numbers of a symbol's current trading day; asked only when selected.
        main_contract: The member of a main contract (``"KQ.m@SHFE.cu"``) today, or ``None``.
        now: The present in ns.
        trading_day: The present trading day as ``YYYYMMDD``.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        day_facts: Callable[[str], DayFacts],
        main_contract: Callable[[str], str | None],
        now: Callable[[], int],
        trading_day: Callable[[], str],
    ) -> None:
        self._instruments = instruments
        self._day_facts = day_facts
        self._main_contract = main_contract
        self._now = now
        self._trading_day = trading_day

    def answer(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The value under ``symbols.<query_id>``: the query, its variables, result or error."""
        head = {"query": query, "variables": dict(variables)}
        try:
            return {**head, "result": self.execute(query, variables)}
        except QueryError as error:
            return {**head, "error": str(error)}

    def execute(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The ``result`` part.

        Raises:
            QueryError: Not GraphQL, or a root field or filter that does not exist.
        """
        document, fragments = parse_query(query)
        result: dict[str, Any] = {}
        for operation in document.definitions:
            if operation.kind != "operation_definition":
                continue
            for field in operation.selection_set.selections:  # type: ignore[attr-defined]
                name = getattr(getattr(field, "name", None), "value", "")
                if name not in _ROOTS:
                    raise QueryError(f"no root field {name!r}; there are {sorted(_ROOTS)}")
                result[key_of(field)] = self._root(field, fragments, variables)
        return result

    def _root(
        self,
        field: FieldNode,
        fragments: Fragments,
        variables: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        filters = arguments(field, variables, _FILTERS)
        at = self._now()
        if filters.get("timestamp"):
            at = int(filters["timestamp"])
        select = field.selection_set
        if select is None:
            raise QueryError(f"{field.name.value} needs a selection of fields")
        found = self._filtered(filters, at)
        return [self._object(ins, select, fragments, at) for ins in found]

    def _filtered(self, filters: Mapping[str, Any], at: int) -> Iterator[Instrument]:
        symbols = listed(filters.get("instrument_id"))
        names = self._instruments if symbols is None else dict.fromkeys(symbols)
        classes = listed(filters.get("class"))
        exchanges = listed(filters.get("exchange_id"))
        products = listed(filters.get("product_id"))
        categories = listed(filters.get("categories"))
        expired, has_night = filters.get("expired"), filters.get("has_night")
        for symbol in names:
            ins = self._instruments.get(symbol)
            if ins is None or (filters.get("has_derivatives") is True):
                continue
            if classes is not None and ins.ins_class not in classes:
                continue
            if exchanges is not None and ins.exchange_id not in exchanges:
                continue
            if products is not None and ins.product_id not in products:
                continue
            if categories is not None and ins.category[0] not in categories:
                continue
            if expired is not None and is_expired(ins, at) is not expired:
                continue
            if has_night is not None and bool(ins.trading_time.get("night")) is not has_night:
                continue
            yield ins

    def _object(
        self,
        ins: Instrument,
        select: SelectionSetNode,
        fragments: Fragments,
        at: int,
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field in select_fields(select, _TYPES[ins.ins_class], fragments):
            name = field.name.value
            if name == "underlying":
                values[key_of(field)] = self._underlying(ins, field, fragments, at)
            else:
                values[key_of(field)] = self._value(ins, name, at)
        return values

    def _underlying(
        self,
        ins: Instrument,
        field: FieldNode,
        fragments: Fragments,
        at: int,
    ) -> dict[str, Any]:
        member = self._instruments.get(self._main_contract(ins.symbol) or "")
        value: dict[str, Any] = {}
        for part in plain_fields(field):
            if part.name.value == "count":
                value[key_of(part)] = 0 if member is None else 1
            elif part.name.value == "edges":
                value[key_of(part)] = []
                if member is not None:
                    value[key_of(part)].append(self._edge(member, part, fragments, at))
        return value

    def _edge(
        self,
        member: Instrument,
        field: FieldNode,
        fragments: Fragments,
        at: int,
    ) -> dict[str, Any]:
        edge: dict[str, Any] = {}
        for part in plain_fields(field):
            if part.name.value == "node" and part.selection_set is not None:
                node = self._object(member, part.selection_set, fragments, at)
                edge.setdefault(key_of(part), {}).update(node)
            else:
                edge[key_of(part)] = 1.0 if part.name.value == "underlying_multiple" else None
        return edge

    def _value(self, ins: Instrument, name: str, at: int) -> Any:
        plain = _PLAIN.get(name)
        if plain is not None:
            return plain(ins)
        if name == "expired":
            return is_expired(ins, at)
        if name == "trading_day":
            return self._trading_day()
        if name in DayFacts.__dataclass_fields__:
            return getattr(self._day_facts(ins.symbol), name)
        if name == "margin":
            return self._margin(ins)
        if name == "commission":
            return self._commission(ins)
        return None

    def _margin(self, ins: Instrument) -> float | None:
        price = self._day_facts(ins.symbol).settlement_price
        return None if price is None else round(price * ins.volume_multiple * ins.margin_ratio, 2)

    def _commission(self, ins: Instrument) -> float | None:
        price = self._day_facts(ins.symbol).settlement_price
        if price is None:
            return None
        return round(ins.fees.per_lot + price * ins.volume_multiple * ins.fees.ratio, 2)


_PLAIN: dict[str, Callable[[Instrument], Any]] = {
    "instrument_id": lambda ins: ins.symbol,
    "ins_id": lambda ins: ins.code,
    "class": lambda ins: ins.ins_class,
    "exchange_id": lambda ins: ins.exchange_id,
    "product_id": lambda ins: ins.product_id,
    "instrument_name": lambda ins: ins.name,
    "product_short_name": lambda ins: ins.product_id,
    "price_tick": lambda ins: ins.price_tick,
    "price_decs": lambda ins: ins.price_decs,
    "volume_multiple": lambda ins: float(ins.volume_multiple),
    "index_multiple": lambda ins: float(ins.volume_multiple),
    "max_limit_order_volume": lambda ins: ins.max_limit_order_volume,
    "max_market_order_volume": lambda ins: ins.max_market_order_volume,
    "min_limit_order_volume": lambda ins: 1,
    "min_market_order_volume": lambda ins: 1 if ins.max_market_order_volume else 0,
    "trading_time": lambda ins: ins.trading_time,
    "expire_datetime": lambda ins: to_ns(ins.expire),
    "delivery_year": lambda ins: ins.delivery_year,
    "delivery_month": lambda ins: ins.delivery_month,
    "categories": lambda ins: [{"id": ins.category[0], "name": ins.category[1]}],
    "mmsa": lambda ins: True,
}


def is_expired(ins: Instrument, at: int) -> bool:
    """Whether the last trading day is over at the instant (ns)."""
    return ins.ins_class == "FUTURE" and to_ns(ins.expire) < at
