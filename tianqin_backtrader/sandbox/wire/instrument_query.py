"""The instrument service: answers the GraphQL queries of ``ins_query`` packs.

It supports what TianQin's own service has: the root fields ``multi_symbol_info`` and
``symbol_info`` with their filters, fragments by type, and the related instruments ``underlying``
and ``derivatives`` (``.edges[].node``), ``leg1`` and ``leg2``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ..market.instrument_fields import (
    PLAIN_FIELDS,
    TYPES,
    DayFacts,
    commission_per_lot,
    is_expired,
    margin_per_lot,
)
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

    from ..market.listing import Instrument

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
_DERIVATIVE_FILTERS = frozenset({"class", "exchange_id", "expired", "timestamp"})
_LEGS = ("leg1", "leg2")


class _Asked(NamedTuple):
    """What applies to a whole query: its fragments and variables, and the instant (ns)."""

    fragments: Fragments
    variables: Mapping[str, Any]
    at: int


class InstrumentQuery:
    """The service over a set of instruments.

    Args:
        instruments: By symbol.
        day_facts: Returns the figures of a symbol's current trading day; called only if selected.
        main_contract: Returns today's contract of a main contract (``"KQ.m@SHFE.cu"``), or
            ``None``.
        now: Returns the present, ns.
        trading_day: Returns the present trading day as ``YYYYMMDD``.
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

    @cached_property
    def _derivatives(self) -> dict[str, list[str]]:
        """Options by underlying, collected at the first request."""
        found: dict[str, list[str]] = {}
        for one in self._instruments.values():
            if one.ins_class == "OPTION":
                found.setdefault(one.underlying, []).append(one.symbol)
        return found

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
            QueryError: Not GraphQL, or an unknown root field or filter.
        """
        document, fragments = parse_query(query)
        result: dict[str, Any] = {}
        for operation in document.definitions:
            if operation.kind != "operation_definition":
                continue
            for field in operation.selection_set.selections:  # type: ignore[attr-defined]
                name = getattr(getattr(field, "name", None), "value", "")
                if name not in _ROOTS:
                    raise QueryError(f"unknown root field {name!r}; there are {sorted(_ROOTS)}")
                asked = _Asked(fragments, variables, self._now())
                result[key_of(field)] = self._root(field, asked)
        return result

    def _root(self, field: FieldNode, asked: _Asked) -> list[dict[str, Any]]:
        filters = arguments(field, asked.variables, _FILTERS)
        asked = _seen_from(asked, filters)
        select = field.selection_set
        if select is None:
            raise QueryError(f"{field.name.value} needs a selection of fields")
        found = self._filtered(filters, asked.at)
        return [self._object(ins, select, asked) for ins in found]

    def _filtered(self, filters: Mapping[str, Any], at: int) -> Iterator[Instrument]:
        symbols = listed(filters.get("instrument_id"))
        names = self._instruments if symbols is None else dict.fromkeys(symbols)
        classes = listed(filters.get("class"))
        exchanges = listed(filters.get("exchange_id"))
        products = listed(filters.get("product_id"))
        categories = listed(filters.get("categories"))
        expired, has_night = filters.get("expired"), filters.get("has_night")
        derived = filters.get("has_derivatives")
        for symbol in names:
            ins = self._instruments.get(symbol)
            if ins is None:
                continue
            if derived is not None and bool(self._derivatives.get(symbol)) is not derived:
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

    def _object(self, ins: Instrument, select: SelectionSetNode, asked: _Asked) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field in select_fields(select, TYPES[ins.ins_class], asked.fragments):
            name = field.name.value
            value: Any
            if name == "underlying":
                member = self._instruments.get(
                    ins.underlying or self._main_contract(ins.symbol) or ""
                )
                value = self._connection([member] if member else [], field, asked)
            elif name in ("derivatives", "derivative"):
                value = self._derived(ins, field, asked)
            elif name in _LEGS and field.selection_set is not None:
                leg = self._instruments[ins.legs[_LEGS.index(name)]]
                value = self._object(leg, field.selection_set, asked)
            else:
                value = self._value(ins, name, asked.at)
            values[key_of(field)] = value
        return values

    def _derived(self, ins: Instrument, field: FieldNode, asked: _Asked) -> dict[str, Any]:
        filters = arguments(field, asked.variables, _DERIVATIVE_FILTERS)
        asked = _seen_from(asked, filters)
        symbols = {"instrument_id": self._derivatives.get(ins.symbol, [])}
        return self._connection(list(self._filtered(filters | symbols, asked.at)), field, asked)

    def _connection(
        self, members: list[Instrument], field: FieldNode, asked: _Asked
    ) -> dict[str, Any]:
        """Related instruments in the service's format: their number, and an edge to each."""
        value: dict[str, Any] = {}
        for part in plain_fields(field):
            if part.name.value == "count":
                value[key_of(part)] = len(members)
            elif part.name.value == "edges":
                value[key_of(part)] = [self._edge(member, part, asked) for member in members]
        return value

    def _edge(self, member: Instrument, field: FieldNode, asked: _Asked) -> dict[str, Any]:
        edge: dict[str, Any] = {}
        for part in plain_fields(field):
            if part.name.value == "node" and part.selection_set is not None:
                node = self._object(member, part.selection_set, asked)
                edge.setdefault(key_of(part), {}).update(node)
            else:
                edge[key_of(part)] = 1.0 if part.name.value == "underlying_multiple" else None
        return edge

    def _value(self, ins: Instrument, name: str, at: int) -> Any:
        plain = PLAIN_FIELDS.get(name)
        if plain is not None:
            return plain(ins)
        if name == "expired":
            return is_expired(ins, at)
        if name == "trading_day":
            return self._trading_day()
        if name in DayFacts.__dataclass_fields__:
            return getattr(self._day_facts(ins.symbol), name)
        if name == "margin":
            return margin_per_lot(ins, self._day_facts(ins.symbol).settlement_price)
        if name == "commission":
            return commission_per_lot(ins, self._day_facts(ins.symbol).settlement_price)
        return None


def _seen_from(asked: _Asked, filters: Mapping[str, Any]) -> _Asked:
    """The query as of the instant in the ``timestamp`` filter, if there is one."""
    return asked._replace(at=int(filters["timestamp"])) if filters.get("timestamp") else asked
