"""CSV files that can be read at any moment, and are mended when a program was ended within a line.

Two kinds: ``CsvLog`` grows by whole lines, each piece written by one call of the system, and never
touches what is there. ``replace_file`` puts a whole new file in place of the old one at once.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import JournalError

_TAIL = 65536


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV text, ``\\n`` at the end of each; None is empty, line breaks become blanks.

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
    """Put a file in place at once: a reader sees the old or the new one, never a part.

    Raises:
        JournalError: It cannot be written; the old one is still there.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8", newline="")
        os.replace(beside, path)
    except OSError as error:
        raise JournalError(path, f"cannot be written: {error}") from error


def set_aside(folder: Path, files: Iterable[Path]) -> Path:
    """Move files into a new folder ``earlier_<n>`` beside them; return that folder.

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
        raise JournalError(folder, f"earlier records cannot be put aside: {error}") from error
    return aside


class CsvLog:
    """A CSV file that only grows. The last column is the journal's ``seq`` of the row.

    Args:
        path: The file; made with its header if it is not there.
        columns: Its header. A file with another one is written anew.

    Attributes:
        last_seq: The journal row of the last whole line; what is missing comes after it.
        last_line: That line, with its end, as it was found; "" in a new file.

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
        """Cut a torn last line; return the ``seq`` of the last whole one, 0 for none."""
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

    def append(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add whole lines.

        Raises:
            JournalError: They could not be written; nothing of them was, but what a kill leaves,
                which the next start mends.
        """
        if not rows:
            return
        data = csv_lines(rows).encode()
        try:
            size = os.fstat(self._file).st_size
            written = os.write(self._file, data)
            if written != len(data):
                os.ftruncate(self._file, size)  # there may be room again before the next start
        except OSError as error:
            raise JournalError(self.path, f"cannot be written: {error}") from error
        if written != len(data):
            raise JournalError(self.path, "cannot be written: the disk is full")
        self.last_seq = int(rows[-1][-1])

    def close(self) -> None:
        """Close the file; once."""
        os.close(self._file)
