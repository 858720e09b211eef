"""Around the making and the end of a client: its event loop, its environment, its proxies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet


class ClientLoop(asyncio.SelectorEventLoop):
    """An event loop that can break its connections.

    A connection that is frozen or half dead would hold up the end of its client for ten seconds,
    waiting for the other side to say good-bye.
    """

    def __init__(self) -> None:
        super().__init__()
        self._connections: WeakSet[asyncio.BaseTransport] = WeakSet()

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """As of any loop; the connection is remembered."""
        transport, protocol = await super().create_connection(*args, **kwargs)
        self._connections.add(transport)
        return transport, protocol

    def abort_connections(self) -> None:
        """Break all connections now."""
        for transport in list(self._connections):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()


@contextmanager
def closing_on_error(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """A ``TqApi`` that fails while it is made leaves its tasks and its loop open."""
    try:
        yield
    except BaseException:
        if not loop.is_closed():
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()
        raise


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the length of a block, then put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def past_proxies(urls: Mapping[str, str]) -> dict[str, str]:
    """The addresses, and that no proxy of the environment gets what is meant for this machine."""
    if not any("://127.0.0.1" in url for url in urls.values()):
        return dict(urls)
    exempt = ",".join(filter(None, (os.environ.get("no_proxy"), "127.0.0.1")))
    return dict(urls) | {"no_proxy": exempt, "NO_PROXY": exempt}
