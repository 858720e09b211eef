"""Parsing of GraphQL queries: fields, fragments and arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphql.language.ast import (
        DocumentNode,
        FieldNode,
        FragmentDefinitionNode,
        SelectionSetNode,
        ValueNode,
    )

Fragments = Mapping[str, "FragmentDefinitionNode"]


class QueryError(ValueError):
    """The text is not a query that the service can answer."""


@lru_cache(maxsize=256)
def parse_query(query: str) -> tuple[DocumentNode, dict[str, FragmentDefinitionNode]]:
    """The document and its fragments by name.

    Raises:
        QueryError: The text is not GraphQL.
    """
    from graphql.error import GraphQLSyntaxError
    from graphql.language import FragmentDefinitionNode, parse

    try:
        document = parse(query, no_location=True)
    except GraphQLSyntaxError as error:
        raise QueryError(error.message) from error
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    return document, fragments


def select_fields(
    select: SelectionSetNode,
    types: frozenset[str],
    fragments: Fragments,
) -> Iterator[FieldNode]:
    """The selected fields of an object of these types, with fragments resolved."""
    for node in select.selections:
        if node.kind == "field":
            yield node  # type: ignore[misc]
            continue
        fragment: Any = node
        if node.kind == "fragment_spread":
            name = node.name.value  # type: ignore[attr-defined]
            if name not in fragments:
                raise QueryError(f"no fragment {name!r}")
            fragment = fragments[name]
        condition = fragment.type_condition
        if condition is None or condition.name.value in types:
            yield from select_fields(fragment.selection_set, types, fragments)


def plain_fields(field: FieldNode) -> Iterator[FieldNode]:
    """The selected fields of a value without schema types."""
    if field.selection_set is not None:
        yield from select_fields(field.selection_set, frozenset(), {})


def key_of(field: Any) -> str:
    """The field's alias, or its name."""
    alias = field.alias
    return str(alias.value if alias is not None else field.name.value)


def arguments(field: FieldNode, variables: Mapping[str, Any], allowed: Set[str]) -> dict[str, Any]:
    """A field's arguments with variables filled in; null arguments are left out.

    Raises:
        QueryError: An argument is not allowed.
    """
    values = {arg.name.value: _argument(arg.value, variables) for arg in field.arguments}
    unknown = values.keys() - allowed
    if unknown:
        raise QueryError(f"unknown argument {sorted(unknown)}; the arguments are {sorted(allowed)}")
    return {name: value for name, value in values.items() if value is not None}


def _argument(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    value: Any = node
    if node.kind == "variable":
        return variables.get(value.name.value)
    if node.kind == "list_value":
        return [_argument(item, variables) for item in value.values]
    if node.kind == "null_value":
        return None
    if node.kind == "int_value":
        return int(value.value)
    return value.value


def listed(value: Any) -> list[Any] | None:
    """Wrap a single value in a list; ``None`` stays None."""
    if value is None or isinstance(value, list):
        return value
    return [value]
