"""``store.state``: small state of a strategy that survives a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol

from .journal import Journal
from .journal_values import State


class _Scribe(Protocol):
    def add(self, write: Any) -> None: ...
    def flush(self) -> bool: ...


class KeptState(MutableMapping[str, Any]):
    """Texts as keys, JSON as values; each assignment is written to the journal.

    It is recorded when the assignment returns; if the journal cannot be written, trading is halted
    and the value is written later. Without a journal it lasts as long as the program. A value that
    is changed in place must be assigned again.
    """

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._account_log: _Scribe | None = None

    def attach(self, journal: Journal, account_log: _Scribe) -> None:
        """From now on use the journal: read its values, and add those that were set before."""
        early, self._account_log = self._values, account_log
        self._values = {key: json.dumps(value) for key, value in State(journal).items()}
        for key, text in early.items():
            self[key] = json.loads(text)

    def __getitem__(self, key: str) -> Any:
        return json.loads(self._values[key])

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"a key of store.state must be a str, not {key!r}")
        self._values[key] = json.dumps(value, ensure_ascii=False)
        kept = json.loads(self._values[key])
        self._write(lambda journal: journal.state.__setitem__(key, kept))

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._write(lambda journal: journal.state.pop(key, None))

    def _write(self, write: Any) -> None:
        if self._account_log is not None:
            self._account_log.add(write)
            self._account_log.flush()

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)
