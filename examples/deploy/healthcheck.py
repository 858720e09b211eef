"""Exit with 0 if ``trade.py`` is well, else say what is wrong and exit with 1.

    python examples/deploy/healthcheck.py

A lost line is no reason to restart a program that reconnects by itself: only a program that does
not answer, whose thread stands still, or that has given its session up is not well.
"""

from __future__ import annotations

import json
import os
import sys
from urllib.request import ProxyHandler, build_opener

URL = f"http://127.0.0.1:{os.environ.get('HEALTH_PORT', '9101')}/health"
#: Seconds after which the program's thread counts as standing still.
LONGEST = 60.0


def wrong():
    """Return what is wrong, "" if nothing is."""
    try:
        with build_opener(ProxyHandler({})).open(URL, timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError) as error:
        return f"{URL} does not answer: {error}"
    if health["age"] > LONGEST:
        return f"the program has stood still for {health['age']:.0f} s"
    if health["state"] == "FATAL":
        return f"the session is given up: {health['last_error']}"
    return ""


if __name__ == "__main__":
    sys.exit(wrong() or None)
