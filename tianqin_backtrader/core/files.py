"""Files that are replaced whole: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def unfinished(name: str) -> str:
    """What a file is called beside its place while it is being written.

    A program that is killed meanwhile leaves it there.
    """
    return f".{name}.new"


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Write a file in place of one that may be there.

    Args:
        path: Its place; only one program writes there.
        durable: Whether it is on disk when the block is left, even after a power cut.

    Raises:
        OSError: It cannot be written; the old file is unchanged. So it is with any error inside.
    """
    beside = path.with_name(unfinished(path.name))
    try:
        with beside.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
