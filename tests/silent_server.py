"""A server that does not tell the market's time, and that shares no clock with anybody."""

import json
import subprocess
import sys
from contextlib import contextmanager
from urllib.request import ProxyHandler, Request, build_opener


@contextmanager
def silent_server(*options):
    """Its addresses, for ``MyStore(urls=...)``."""
    with started("-m", "tianqin_backtrader.sandbox", *options) as said:
        yield said["urls"]


@contextmanager
def started(*command):
    """What it says at its start; ``command`` is the program, with options of the sandbox."""
    process = subprocess.Popen(
        [sys.executable, *command, "--json", "--parent-pipe", "--silent"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def ask(urls, what, body=None):
    """Ask the sandbox behind the addresses, as ``EmbeddedSandbox`` does."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{urls['TQ_AUTH_URL']}/sandbox/{what}", data)
    with build_opener(ProxyHandler({})).open(request) as answer:
        return json.load(answer)
