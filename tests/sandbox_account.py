"""A program of its own on the account of a sandbox that runs already."""

from tqsdk import TqAccount

from tianqin_backtrader import MyStore


def store_at(urls, counter, **options):
    """A store as ``MyStore.sandbox`` makes it: a futures company's account at its counter."""
    account = TqAccount("沙盒期货", "sandbox", "sandbox") if counter == "ctp" else None
    return MyStore("sandbox", "sandbox", urls=urls, account=account, **options)
