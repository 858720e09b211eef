"""The sections of a configuration: one frozen dataclass each, from TOML tables and variables.

::

    [account]
    user = "trader"              # or TQ_USER; passwords are not allowed here
    broker = "H海通期货"          # for live: the futures company, as TqSdk names it
    number = "022631"            # for live: the account number with it

    [records]
    folder = "records"

    [sessions]
    file = "my_sessions.toml"

    [risk]                       # the fields of RiskLimits
    max_position = 5
    max_daily_loss = 20000.0

    [alerts]
    urls = ["${DINGTALK_URL}"]
    events = ["link", "rejected", "exposed", "risk"]
    alive_at = ["12:00"]

Each key has an environment variable with priority over the file: ``TQBT_RISK_MAX_POSITION=3``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TypedDict, cast, get_type_hints
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..monitoring.alerts.settings import AlertSettings
from ..risk.limits import RiskLimits
from .values import from_text, read_value

#: The prefix of all variables except TianQin's own.
PREFIX = "TQBT_"
#: The variables of the TianQin user's password and of the futures account's.
TIANQIN_PASSWORD, ACCOUNT_PASSWORD = "TQ_PASS", "TQBT_ACCOUNT_PASSWORD"

_REFERENCE = re.compile(r"\$\{(\w+)\}")
_SECRET = re.compile(r"pass|pwd|secret|token|auth_?code|credential|api_?key", re.IGNORECASE)
_ON_THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The account to log in to.

    Attributes:
        user: The TianQin user; variable ``TQ_USER``.
        broker: The futures company, as ``TqAccount`` names it; for live trading.
        number: The account number with it.
    """

    user: str = ""
    broker: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class RecordsSettings:
    """Where records are written.

    Attributes:
        folder: Their folder; in a file, relative to the file.
        min_free_gb: ``doctor`` fails if less disk space than this is free.
    """

    folder: str = "records"
    min_free_gb: float = 1.0


@dataclass(frozen=True, slots=True)
class SessionsSettings:
    """Trading hours with priority over the table and TianQin.

    Attributes:
        file: A file for ``session_calendar.use_user_sessions``; in a file, relative to the file.
    """

    file: str = ""


Section = AccountSettings | RecordsSettings | SessionsSettings | RiskLimits | AlertSettings


class Sections(TypedDict, total=False):
    """The sections that are set, by name."""

    account: AccountSettings
    records: RecordsSettings
    sessions: SessionsSettings
    risk: RiskLimits
    alerts: AlertSettings


#: The sections by name.
SECTIONS: dict[str, type] = {
    "account": AccountSettings,
    "records": RecordsSettings,
    "sessions": SessionsSettings,
    "risk": RiskLimits,
    "alerts": AlertSettings,
}


def variable(section: str, key: str) -> str:
    """The environment variable of a key.

    >>> variable("risk", "max_position")
    'TQBT_RISK_MAX_POSITION'
    """
    return (
        "TQ_USER" if (section, key) == ("account", "user") else f"{PREFIX}{section}_{key}".upper()
    )


def expanded(urls: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Replace ``${NAME}`` in urls by environment variables.

    Raises:
        ConfigError: A variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        if not environ.get(found[1]):
            raise ConfigError(f"alerts.urls refers to ${{{found[1]}}}, which is not set")
        return environ[found[1]]

    return tuple(_REFERENCE.sub(value, url) for url in urls)


def parse_sections(
    tables: Mapping[str, object], source: str, environ: Mapping[str, str]
) -> Sections:
    """Parse the sections of a file and of the environment.

    Args:
        tables: The parsed TOML file.
        source: The file's name, for error messages.
        environ: The environment.

        Returns:
            The sections by name; those that are not set are left out.

    Raises:
        ConfigError: An unknown section, key or variable, an invalid value, or a secret; the
            message names the place and what is allowed there, but never shows a secret.
    """
    found: dict[str, dict[str, object]] = {}
    for section, table in tables.items():
        _must_be_known(section, SECTIONS, f"{source}: [{section}]", "section")
        if not isinstance(table, Mapping):
            raise ConfigError(f"{source}: {section} is a value; write [{section}] above its keys")
        known = get_type_hints(SECTIONS[section])
        for key, value in table.items():
            where = f"{source}: {section}.{key}"
            _must_be_no_secret(where, section, key)
            _must_be_known(key, known, where, "key")
            found.setdefault(section, {})[key] = read_value(known[key], value, where)
        if section == "alerts":
            _must_hold_no_secrets(f"{source}: alerts.urls", found.get(section, {}).get("urls"))
    for section, key, name in _variables(environ):
        hint = get_type_hints(SECTIONS[section])[key]
        found.setdefault(section, {})[key] = read_value(hint, from_text(hint, environ[name]), name)
    made = {section: _make(section, values, source) for section, values in found.items()}
    return cast("Sections", made)


def _make(section: str, values: dict[str, object], source: str) -> Section:
    try:
        made: Section = SECTIONS[section](**values)
        return made
    except ConfigError as error:  # the rules of RiskLimits
        raise ConfigError(f"{source}: [{section}] {error}") from error


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(section, key, variable) for all variables that are set.

    Raises:
        ConfigError: A variable has the prefix but an unknown name: a misspelt limit would have no
            effect.
    """
    names = {
        variable(section, one.name): (section, one.name)
        for section, kind in SECTIONS.items()
        for one in fields(kind)
    }
    prefixes = tuple(f"{PREFIX}{section}_".upper() for section in SECTIONS)
    for name in environ:
        if name.startswith(prefixes) and name != ACCOUNT_PASSWORD:
            _must_be_known(name, names, f"the environment: {name}", "variable")
    return [(*names[name], name) for name in names if environ.get(name)]


# -- rules ------------------------------------------------------------------------------------


def _must_be_known(name: str, known: Mapping[str, object], where: str, what: str) -> None:
    if name in known:
        return
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ConfigError(f"{where} is not a {what}; {hint}expected {', '.join(known)}")


def _must_be_no_secret(where: str, section: str, key: str) -> None:
    if not _SECRET.search(key):
        return
    advice = "put it into an environment variable and write ${NAME} in the url"
    if section == "account":
        advice = (
            f"set {TIANQIN_PASSWORD} for the TianQin user or {ACCOUNT_PASSWORD} for the futures "
            "account, or keep it in the keyring: keyring set tianqin_backtrader <user or number>"
        )
    raise ConfigError(
        f"{where}: secrets do not belong in a file; remove it, change it if others could read "
        f"it, and {advice}"
    )


def _must_hold_no_secrets(where: str, urls: object) -> None:
    for url in urls if isinstance(urls, tuple) else ():
        host = urlsplit(_REFERENCE.sub("x", url)).hostname
        if not _REFERENCE.search(url) and host not in _ON_THIS_MACHINE:
            scheme = url.partition(":")[0]
            raise ConfigError(
                f"{where}: the url of an alert is a secret ({scheme}:...); put it into an "
                'environment variable and write "${NAME}" here'
            )
