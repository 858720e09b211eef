"""A wire between a client and the sandbox's trading side, on which packs can be seen and changed.

What a real counter sends otherwise than the sandbox is made here: packs held back, taken apart,
added; orders of other terminals; ids that a gateway has made.
"""

import asyncio
import json
import threading
from contextlib import contextmanager

from aiohttp import ClientSession, WSMsgType, web


class TdRelay:
    """Stands at ``urls["TQ_TD_URL"]`` in place of the sandbox's trading side.

    Attributes:
        change: Given the differences of each pack, gives those that the client gets.
        change_asked: Given a pack of the client, gives the one that the exchange gets.
        asked: Packs of the client, peeks left out.
        user: Who has logged in.
    """

    def __init__(self, urls):
        self._upstream = urls["TQ_TD_URL"]
        self.change, self.change_asked, self.user = list, dict, ""
        self.asked = []
        self._clients, self._servers = [], []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        self.urls = dict(urls) | {"TQ_TD_URL": f"ws://127.0.0.1:{self._port}/td"}

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self):
        app = web.Application()
        app.add_routes([web.get("/td", self._relay)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = site._server.sockets[0].getsockname()[1]

    async def _relay(self, request):
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        async with (
            ClientSession() as session,
            session.ws_connect(self._upstream, max_msg_size=0) as server,
        ):
            self._clients.append(client)
            self._servers.append(server)
            up = asyncio.ensure_future(self._up(client, server))
            try:
                async for message in server:
                    if message.type is not WSMsgType.TEXT:
                        break
                    await client.send_str(self._down(message.data))
            except ConnectionError:
                pass
            finally:
                up.cancel()
                self._clients.remove(client)
                self._servers.remove(server)
                await client.close()
        return client

    def _down(self, text):
        pack = json.loads(text)
        if pack.get("aid") == "rtn_data":
            pack["data"] = self.change(pack["data"])
        return json.dumps(pack)

    async def _up(self, client, server):
        async for message in client:
            if message.type is not WSMsgType.TEXT:
                break
            pack = json.loads(message.data)
            if pack.get("aid") != "peek_message":
                self.asked.append(pack)
            self.user = pack.get("user_name", self.user)
            await server.send_str(json.dumps(self.change_asked(pack)))
        await server.close()

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def send(self, *differences):
        """Have the client get these, in a pack of their own."""
        pack = json.dumps({"aid": "rtn_data", "data": list(differences)})
        for client in list(self._clients):
            self._do(client.send_str(pack))

    def tell(self, **branches):
        """Have the client get branches of its account, in a pack of their own."""
        self.send({"trade": {self.user: branches}})

    def order(self, order_id, symbol, direction, offset, volume, price):
        """An order of another terminal."""
        exchange_id, instrument_id = symbol.split(".")
        self.ask(
            {"aid": "insert_order", "user_id": self.user, "order_id": order_id,
             "exchange_id": exchange_id, "instrument_id": instrument_id, "direction": direction,
             "offset": offset, "volume": volume, "price_type": "LIMIT", "limit_price": price,
             "time_condition": "GFD", "volume_condition": "ANY"}
        )  # fmt: skip

    def ask(self, pack):
        """Send the exchange a pack that the client knows nothing of."""
        for server in list(self._servers):
            self._do(server.send_str(json.dumps(pack)))

    def close(self):
        """End all connections."""
        for client in list(self._clients):
            self._do(client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@contextmanager
def td_relay(urls):
    """A relay, for as long as the block lasts."""
    relay = TdRelay(urls)
    try:
        yield relay
    finally:
        relay.close()


def trades_of(differences):
    """(user, trade branch) of each difference that has one."""
    return [item for one in differences for item in one.get("trade", {}).items()]
