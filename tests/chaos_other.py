"""Another client of the same account: a plain TqSdk program that trades by seed until it is told.

Run as ``python chaos_other.py '{"folder": ..., "seed": 7, "symbols": [...], ...}'`` with the
addresses of the sandbox in its environment. It holds no more than ``limit`` lots net of a
contract, and ends when the file ``drain`` is in the folder, its orders withdrawn.
"""

import json
import random
import sys
import time
from pathlib import Path

from chaos_program import account_of
from tqsdk import TqApi, TqAuth, TqKq


class Other:
    def __init__(self, options):
        self.options, self.rng = options, random.Random(f"other {options['seed']}")
        self.drain = Path(options["folder"]) / "drain"
        self.api = None

    def connect(self):
        self.api = TqApi(
            account_of(self.options) or TqKq(), auth=TqAuth(self.options["user"], "password")
        )
        self.quotes = {symbol: self.api.get_quote(symbol) for symbol in self.options["symbols"]}

    def net(self, symbol):
        """Lots by the fills of its own orders."""
        mine = self.orders(symbol)
        return sum(
            (order.volume_orign - order.volume_left) * (1 if order.direction == "BUY" else -1)
            for order in mine
        )

    def orders(self, symbol=None):
        return [
            order for order_id, order in self.api.get_order().items()
            if order_id.startswith("OTHER_")
            and symbol in (None, f"{order.exchange_id}.{order.instrument_id}")
        ]  # fmt: skip

    def act(self):
        symbol = self.rng.choice(self.options["symbols"])
        quote = self.quotes[symbol]
        alive = [order for order in self.orders(symbol) if order.status == "ALIVE"]
        if alive:
            self.api.cancel_order(self.rng.choice(alive).order_id)
            return
        direction = self.rng.choice(("BUY", "SELL"))
        sign = 1 if direction == "BUY" else -1
        position = self.api.get_position(symbol)
        side = "short" if sign > 0 else "long"
        today, held = position[f"pos_{side}_today"], position[f"pos_{side}"]
        size, offset = self.rng.randint(1, 2), "OPEN"
        if sign * self.net(symbol) + size > self.options["limit"]:
            return
        if held >= size and self.rng.random() < 0.6:
            apart = symbol.startswith(("SHFE.", "INE."))
            offset = ("CLOSETODAY" if today >= size else "CLOSE") if apart else "CLOSE"
        if quote.last_price != quote.last_price:
            return
        away = self.rng.choice((-5, 0, 3, 3)) * sign * quote.price_tick
        self.api.insert_order(
            symbol, direction, offset, size, quote.last_price + away,
            order_id=f"OTHER_{self.rng.getrandbits(60):x}",
        )  # fmt: skip

    def run(self):
        next_act = time.monotonic() + 0.5
        while not self.drain.exists():
            self.api.wait_update(deadline=time.time() + 0.2)
            if time.monotonic() >= next_act:
                next_act = time.monotonic() + self.rng.expovariate(1 / 0.9)
                self.act()
        end = time.monotonic() + 8
        while time.monotonic() < end:
            alive = [order for order in self.orders() if order.status == "ALIVE"]
            if not alive:
                return
            for order in alive:
                self.api.cancel_order(order.order_id)
            self.api.wait_update(deadline=time.time() + 1)


def main(options):
    other = Other(options)
    while not other.drain.exists():
        try:
            other.connect()
            other.run()
        except Exception as error:  # faults hit this client, too; it begins again
            print(error, file=sys.stderr)  # noqa: T201
            time.sleep(0.5)
        finally:
            if other.api is not None:
                other.api.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
