"""Trading hours in a user's TOML file, by product. They extend the table or override it.

::

    ["SHFE.cu"]
    day = ["09:00-10:15", "10:30-11:30", "13:30-15:00"]
    night = "21:00-01:00"       # without this line there is no night session
    from = 2026-12-01           # a trading day; before it, the table applies; default: always
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime

from ..errors import CalendarError, ConfigError
from .products import EXCHANGES, Steps
from .trading_hours import Hours, Spans, parse_spans

_KEYS = {"day", "night", "from"}
_PRODUCT = re.compile(r"[A-Za-z]+(_f)?")


def parse_user_sessions(text: str, name: str) -> dict[str, Steps]:
    """Parse the file for ``SessionCalendar.use_hours``.

    Args:
        text: The TOML.
        name: The file's name, for error messages.

    Raises:
        ConfigError: The text is invalid; the message names the file, the product and the key.

    >>> parsed = parse_user_sessions('["SHFE.wr"]\\nday = ["09:00-11:30"]', "my.toml")
    >>> [(key, str(steps[0][1])) for key, steps in parsed.items()]
    [('SHFE.wr', '09:00-11:30, no night')]
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from error
    return {key: _parse_product(name, key, table) for key, table in tables.items()}


def _parse_product(name: str, key: str, table: object) -> Steps:
    where = f"{name}: {key}"
    exchange, _, product = key.partition(".")
    if exchange not in EXCHANGES or not _PRODUCT.fullmatch(product):
        raise ConfigError(
            f'{where} is not a product of {", ".join(EXCHANGES)}; expected, say, ["SHFE.cu"], '
            "with the quotation marks"
        )
    if not isinstance(table, dict):
        raise ConfigError(f"{where} is {table!r}; expected a table with day, night, from")
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise ConfigError(f"{where}: {', '.join(unknown)} is not a key; expected day, night, from")
    day = _spans(where, "day", table.get("day"))
    night = _spans(where, "night", table["night"]) if table.get("night") else ()
    since = table.get("from", date.min)
    if not isinstance(since, date) or isinstance(since, datetime):
        raise ConfigError(f"{where}: from is {since!r}; expected a date such as 2026-12-01")
    try:
        return ((since, Hours(day, night)),)
    except CalendarError as error:
        raise ConfigError(f"{where}: {error}") from error


def _spans(where: str, key: str, value: object) -> Spans:
    """Parse one session or a list of them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise ConfigError(f'{where}: {key} is {value!r}; expected ["09:00-11:30", ...]')
    try:
        return parse_spans(texts)
    except CalendarError as error:
        raise ConfigError(f"{where}: {key}: {error}") from error
