"""One folder of records, opened once and shared by all its writers.

The trackers of several strategies write into the same records.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from .journal import Journal
from .records import WrittenRecords

User = TypeVar("User")


class SharedFolder(Generic[User]):
    """The journal and files of a folder.

    Args:
        folder: The folder.
        given: The journal, if the broker keeps one.
        make: Opens the journal otherwise.
        left: Called when the last user has left.

    Attributes:
        users: The trackers that write into it.

    Raises:
        JournalError: The journal or a file cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        given: Journal | None,
        make: Callable[[], Journal],
        left: Callable[[Path], object],
    ) -> None:
        self._folder, self._left = folder, left
        self.users: list[User] = []
        self.given = given
        self.journal = given or make()
        try:
            self.records = WrittenRecords(folder)
        except BaseException:
            if given is None:
                self.journal.close()
            raise

    def leave(self, user: User) -> None:
        """Remove a user; the last one closes everything."""
        self.users.remove(user)
        if not self.users:
            self._left(self._folder)
            self.records.close()
            if self.given is None:
                self.journal.close()
