"""The answer to a ping of a client that has closed."""

import asyncio

from aiohttp.client_exceptions import ClientConnectionResetError

from tianqin_backtrader.sandbox.server import send_pong


class Gone:
    """A websocket whose transport is closing."""

    asked = b""

    async def pong(self, data):
        self.asked = data
        raise ClientConnectionResetError("Cannot write to closing transport")


def test_a_pong_to_a_client_that_is_gone_ends_no_exchange():
    ws = Gone()
    asyncio.run(send_pong(ws, b"1"))
    assert ws.asked == b"1"
