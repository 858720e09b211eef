"""CSV files that can be read at any time, and are repaired if a program ended within a line.

There are two kinds: ``CsvLog`` only grows, by whole lines, each batch written by one system call.
``replace_file`` replaces a whole file atomically.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..core.files import replacing
from ..errors import JournalError

_TAIL = 65536


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV text, each ending in ``\\n``; None becomes empty, line breaks become blanks.

    >>> csv_lines([("a,b", None, "two\\nlines")])
    '"a,b",,two lines\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(
            " ".join(value.split()) if isinstance(value, str) and "\n" in value else value
            for value in row
        )
    return text.getvalue()


def replace_file(path: Path, text: str) -> None:
    """Replace a file atomically: a reader sees the old or the new file, never a part.

    Raises:
        JournalError: It cannot be written; the old file is unchanged.
    """
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise JournalError(path, f"cannot be written: {error}") from error


def set_aside(folder: Path, files: Iterable[Path]) -> Path:
    """Move files into a new folder ``earlier_<n>`` beside them; returns that folder.

    Raises:
        JournalError: They cannot be moved.
    """
    number = 1
    while (aside := folder / f"earlier_{number}").exists():
        number += 1
    try:
        aside.mkdir()
        for file in files:
            os.replace(file, aside / file.name)
    except OSError as error:
        raise JournalError(folder, f"earlier records cannot be moved aside: {error}") from error
    return aside


class CsvLog:
    """A CSV file that only grows. Its last column is the journal's ``seq`` of the row.

    Args:
        path: The file; created with a header if it does not exist.
        columns: The header. A file with a different header is rewritten.

    Attributes:
        last_seq: The ``seq`` of the last whole line; missing rows come after it.
        last_line: That line, with its line end; "" in a new file.

    Raises:
        JournalError: The file cannot be opened.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._header = csv_lines([columns])
        self.last_line = ""
        try:
            self.last_seq = self._mend()
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(path, flags)
        except OSError as error:
            raise JournalError(path, f"cannot be opened: {error}") from error

    def _mend(self) -> int:
        """Remove an incomplete last line; returns the ``seq`` of the last whole one, 0 if none."""
        header = self._header.encode()
        if not self.path.exists():
            replace_file(self.path, self._header)
            return 0
        with self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            file.seek(0)
            if file.read(len(header)) == header and whole:
                file.truncate(size - len(tail) + len(whole))
                last = whole[whole.rfind(b"\n", 0, -1) + 1 :].decode(errors="replace")
                number = last.rstrip().rpartition(",")[2]
                if number.isdecimal():
                    self.last_line = last
                    return int(number)
        replace_file(self.path, self._header)
        return 0

    def append(self, rows: Sequence[Sequence[object]]) -> None:
        """Append whole lines.

        Raises:
            JournalError: They could not be written. None of them was, except for a part that a kill
                leaves behind and the next start removes.
        """
        if not rows:
            return
        data = csv_lines(rows).encode()
        try:
            size = os.fstat(self._file).st_size
            written = os.write(self._file, data)
            if written != len(data):
                os.ftruncate(self._file, size)  # space may be free again before the next start
        except OSError as error:
            raise JournalError(self.path, f"cannot be written: {error}") from error
        if written != len(data):
            raise JournalError(self.path, "cannot be written: the disk is full")
        self.last_seq = int(str(rows[-1][-1]))

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        os.close(self._file)
