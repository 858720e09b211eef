"""Sessions that a user writes down: a TOML text, by product. They add to the table or replace it.

::

    ["SHFE.cu"]
    day = ["09:00-10:15", "10:30-11:30", "13:30-15:00"]
    night = "21:00-01:00"       # without it there is no night
    from = 2026-12-01           # a trading day; before it, and without this line never, the table
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime
from typing import Any

from ..errors import CalendarError, ConfigError
from .products import EXCHANGES, Steps
from .trading_hours import Hours, parse_spans

_KEYS = {"day", "night", "from"}
_PRODUCT = re.compile(r"[A-Za-z]+(_f)?")


def parse_user_sessions(text: str, name: str) -> dict[str, Steps]:
    """What ``SessionCalendar.use_hours`` takes.

    Args:
        text: The TOML.
        name: What errors call it, the file's name.

    Raises:
        ConfigError: It is no such text; the message names the file, the product and the key.

    >>> parsed = parse_user_sessions('["SHFE.wr"]\\nday = ["09:00-11:30"]', "my.toml")
    >>> [(key, str(steps[0][1])) for key, steps in parsed.items()]
    [('SHFE.wr', '09:00-11:30, no night')]
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}") from error
    return {key: _parse_product(name, key, table) for key, table in tables.items()}


def _parse_product(name: str, key: str, table: Any) -> Steps:
    where = f"{name}: {key}"
    exchange, _, product = key.partition(".")
    if exchange not in EXCHANGES or not _PRODUCT.fullmatch(product):
        raise ConfigError(
            f'{where} is no product of {", ".join(EXCHANGES)}; expected for example ["SHFE.cu"], '
            "with the quotation marks"
        )
    if not isinstance(table, dict):
        raise ConfigError(f"{where} is {table!r}; expected a table with day, night, from")
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise ConfigError(f"{where}: {', '.join(unknown)} is no key; expected day, night, from")
    day = _spans(where, "day", table.get("day"))
    night = _spans(where, "night", table["night"]) if table.get("night") else ()
    since = table.get("from", date.min)
    if not isinstance(since, date) or isinstance(since, datetime):
        raise ConfigError(f"{where}: from is {since!r}; expected a date such as 2026-12-01")
    try:
        return ((since, Hours(day, night)),)
    except CalendarError as error:
        raise ConfigError(f"{where}: {error}") from error


def _spans(where: str, key: str, value: Any) -> tuple[Any, ...]:
    """One session or a list of them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise ConfigError(f'{where}: {key} is {value!r}; expected ["09:00-11:30", ...]')
    try:
        return parse_spans(texts)
    except CalendarError as error:
        raise ConfigError(f"{where}: {key}: {error}") from error
