"""Creating and closing a client: its event loop, environment variables and proxies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from ..core.clock import machine, monotonic
from .stop_signals import WholeCallbacks

#: Turns of the loop in which cancelled tasks may end.
_LAST_TURNS = 1000


class ClientLoop(asyncio.SelectorEventLoop):
    """An event loop that can abort its connections, and uses the machine's clock.

    A frozen or half-open connection would delay the end of its client by ten seconds, waiting for
    the other side's close frame.
    """

    def __init__(self) -> None:
        super().__init__(machine().selector())
        self._connections: WeakSet[asyncio.BaseTransport] = WeakSet()
        #: A block in which signals do not interrupt callbacks.
        self.whole_callbacks = WholeCallbacks(self.call_soon_threadsafe)
        #: Connections opened so far, and whether they have been aborted.
        self.opened, self.aborted = 0, False

    def time(self) -> float:
        """The machine's time."""
        return monotonic()

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """See asyncio; the connection is remembered."""
        transport, protocol = await super().create_connection(*args, **kwargs)
        self._connections.add(transport)
        self.opened += 1
        machine().connected(transport.get_extra_info("sockname")[1])
        return transport, protocol

    def abort_connections(self) -> None:
        """Abort all connections now."""
        self.aborted = True
        for transport in list(self._connections):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()

    def end(self) -> None:
        """Cancel what is still running, and close."""
        if self.is_closed():
            return
        around = asyncio.events._get_running_loop()  # that of a notebook
        asyncio.events._set_running_loop(None)
        try:
            for task in asyncio.all_tasks(self):
                task.cancel()
            for _ in range(_LAST_TURNS):
                if not asyncio.all_tasks(self):
                    break
                # Not run_until_complete: TqSdk stops the loop whenever one of its tasks ends.
                self.call_later(0.001, self.stop)
                self.run_forever()
            self.close()
        finally:
            asyncio.events._set_running_loop(around)


@contextmanager
def closing_on_error(loop: ClientLoop) -> Iterator[None]:
    """Close tasks and loop of a ``TqApi`` whose constructor fails."""
    try:
        yield
    except BaseException:
        loop.end()
        raise


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within a block, then restore them."""
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
    """The addresses, and variables that exclude this machine from the environment's proxies."""
    return dict(urls) | exemption(urls.values())


def exemption(urls: Iterable[str]) -> dict[str, str]:
    """Variables that exclude this machine from proxies; {} if no address is on this machine."""
    if not any("://127.0.0.1" in url for url in urls):
        return {}
    exempt = ",".join(filter(None, (os.environ.get("no_proxy"), "127.0.0.1")))
    return {"no_proxy": exempt, "NO_PROXY": exempt}
