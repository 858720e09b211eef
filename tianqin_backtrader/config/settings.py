"""``Settings``: a configuration file and the environment, and the store they describe.

::

    settings = Settings.load()
    with settings.store() as store:
        cerebro.setbroker(store.getbroker(risk=settings.risk))

The library does not need it: ``MyStore`` has parameters. ``sections`` shows what a file may
contain.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from ..errors import ConfigError
from ..monitoring.alerts.settings import AlertSettings
from ..risk.limits import RiskLimits
from ..session_calendar import use_user_sessions
from .credentials import SERVICE, account_password, tianqin_password
from .sections import (
    ACCOUNT_PASSWORD,
    PREFIX,
    AccountSettings,
    RecordsSettings,
    SessionsSettings,
    expanded,
    parse_sections,
)

if TYPE_CHECKING:
    from ..store import MyStore

#: The file's name in the working directory, and the variable that can name another file.
FILE_NAME, FILE_VARIABLE = "tianqin_backtrader.toml", f"{PREFIX}CONFIG"


class StoreOptions(TypedDict, total=False):
    """Parameters of ``MyStore`` that are not part of a configuration."""

    strategy_name: str
    rebuild_ahead: float | None
    stop_on_signals: bool
    debug: bool | str


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration. It has no passwords: they are fetched when a store is made.

    Attributes:
        account, records, sessions, risk, alerts: The sections; ``risk`` is None without limits.
        path: The file that was read; None if there was none.
    """

    account: AccountSettings = field(default_factory=AccountSettings)
    records: RecordsSettings = field(default_factory=RecordsSettings)
    sessions: SessionsSettings = field(default_factory=SessionsSettings)
    risk: RiskLimits | None = None
    alerts: AlertSettings = field(default_factory=AlertSettings)
    path: Path | None = None

    @classmethod
    def load(cls, path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the file and the environment; the environment has priority.

        Args:
            path: The file; by default that of ``TQBT_CONFIG``, else ``tianqin_backtrader.toml`` in
                the working directory if it exists.
            environ: By default ``os.environ``.

        Raises:
            ConfigError: The named file does not exist, or file or environment are invalid; the
                message names the key, the value and what is allowed.
        """
        environ = os.environ if environ is None else environ
        file = _find(path or environ.get(FILE_VARIABLE))
        tables = {} if file is None else _read(file)
        sections = parse_sections(tables, "the environment" if file is None else str(file), environ)
        settings = cls(**sections, path=file)
        return settings if file is None else settings._beside(file.parent, tables)

    def _beside(self, folder: Path, tables: Mapping[str, object]) -> Self:
        """Make paths that come from the file relative to it."""
        records, sessions = self.records, self.sessions
        if _written(tables, "records", "folder") == records.folder:
            records = replace(records, folder=str(folder / records.folder))
        if sessions.file and _written(tables, "sessions", "file") == sessions.file:
            sessions = replace(sessions, file=str(folder / sessions.file))
        return replace(self, records=records, sessions=sessions)

    def use_sessions(self) -> None:
        """Use the trading hours of ``[sessions]``, if it is set.

        Raises:
            ConfigError: As for ``use_user_sessions``.
        """
        if self.sessions.file:
            use_user_sessions(self.sessions.file)

    def alerts_expanded(self) -> AlertSettings:
        """The alert settings with variables filled into the urls: secrets, for the sender only.

        Raises:
            ConfigError: A variable is not set.
        """
        return replace(self.alerts, urls=expanded(self.alerts.urls, os.environ))

    def tianqin(self) -> tuple[str, str]:
        """User and password of TianQin.

        Raises:
            ConfigError: One of them is missing; the message says how to set it.
        """
        user = self.account.user
        password = tianqin_password(user)
        if user and password:
            return user, password
        missing = "the TianQin password is missing" if user else "the TianQin user is missing"
        raise ConfigError(
            f"{missing}: set TQ_USER and TQ_PASS, or save the password in the keyring with "
            f"'keyring set {SERVICE} {user or '<user>'}'. An account is free: "
            "https://account.shinnytech.com. The sandbox needs none"
        )

    def live_account(self) -> object:
        """TqSdk's account object of the futures account.

        Raises:
            ConfigError: Company, number or password is missing; the message says how to set it.
        """
        from ..gateway.login import futures_account

        account = self.account
        for key in ("broker", "number"):
            if not getattr(account, key):
                raise ConfigError(
                    f"--live needs a futures account: set account.{key} in the file, "
                    f"or the variable {PREFIX}ACCOUNT_{key.upper()}"
                )
        password = account_password(account.number)
        if not password:
            raise ConfigError(
                f"the password of futures account {account.number} is missing: set "
                f"{ACCOUNT_PASSWORD}, or save it in the keyring with "
                f"'keyring set {SERVICE} {account.number}'"
            )
        return futures_account(account.broker, account.number, password)

    def store(self, *, live: bool = False, **options: Unpack[StoreOptions]) -> MyStore:
        """A connected ``MyStore`` that uses the trading hours of ``[sessions]``.

        Args:
            live: Whether on the futures account; otherwise on the TianQin paper account.
            options: Further parameters of ``MyStore``.

        Raises:
            ConfigError: The account's data are incomplete; nothing was connected.
            LoginRefused, LinkError: As for ``MyStore``.
        """
        from ..store import MyStore

        user, password = self.tianqin()
        account = self.live_account() if live else None
        self.use_sessions()
        return MyStore(user, password, account=account, **options)


def _written(tables: Mapping[str, object], section: str, key: str) -> object:
    """A key's value in a file's tables; None if it is not set."""
    table = tables.get(section)
    return table.get(key) if isinstance(table, Mapping) else None


def _find(named: str | Path | None) -> Path | None:
    path = Path(named) if named else Path(FILE_NAME)
    if path.is_file():
        return path.absolute()
    if named:
        raise ConfigError(f"the configuration file {path} does not exist")
    return None


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
