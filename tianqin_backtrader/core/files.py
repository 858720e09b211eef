"""Atomic replacement of files: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def unfinished(name: str) -> str:
    """Return the temporary name of a file while it is being written, in the same folder.

    A program that is killed meanwhile leaves it there.
    """
    return f".{name}.new"


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Write a file that replaces an existing one.

    Args:
        path: Its path; only one program writes there.
        durable: Whether it must survive a power cut once the block is left.

    Raises:
        OSError: It cannot be written. The old file is unchanged, as after any error in the block.
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
