"""Conversion of configuration values, from TOML or a variable's text, to field types."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ConfigError
from ..risk.limits import GuardState


def read_value(hint: object, value: object, where: str) -> object:
    """Convert a value to its field's type.

    Raises:
        ConfigError: It cannot be converted; the message says what is expected.
    """
    read, expected = _READERS[hint]
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        shown = "" if where.endswith(("alerts.urls", "ALERTS_URLS")) else f" {value!r}:"
        raise ConfigError(f"{where} cannot be{shown} expected {expected}") from error


def _exactly(*kinds: type) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise TypeError
        return value

    return read


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    return float(value)


def _texts(value: object) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise TypeError
    return tuple(listed)


#: By field type: the converter, and what an error message says is expected.
_READERS: dict[object, tuple[Callable[[object], object], str]] = {
    str: (_exactly(str), "a text in quotation marks"),
    bool: (_exactly(bool), "true or false"),
    float: (_number, "a number"),
    int | None: (_exactly(int), "a whole number"),
    float | None: (_number, "a number"),
    GuardState: (
        lambda value: GuardState(str(value)),
        f"{GuardState.REDUCING} or {GuardState.HALTED}",
    ),
    tuple[str, ...]: (_texts, 'a list of texts, ["...", "..."]'),
}


def from_text(hint: object, text: str) -> object:
    """Convert a variable's text as TOML would; invalid text stays a str, for the error message."""
    if hint == tuple[str, ...]:
        return [one.strip() for one in text.split(",") if one.strip()]
    if hint is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    for kind in (int, float) if hint in (float, int | None, float | None) else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return text
