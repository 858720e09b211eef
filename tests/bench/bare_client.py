"""The other side of the comparisons: tqsdk without anything of ours."""

import os

from tqsdk import TqApi, TqAuth, TqKq


def bare_api(server):
    """A TqApi on an embedded exchange."""
    before = dict(os.environ)
    os.environ.update(server.urls)
    try:
        return TqApi(TqKq(), auth=TqAuth("u", "p"), disable_print=True, debug=False)
    finally:
        os.environ.clear()
        os.environ.update(before)
