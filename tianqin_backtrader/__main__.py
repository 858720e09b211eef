"""``python -m tianqin_backtrader``: the command line."""

import sys

from .cli.main import run as main

if __name__ == "__main__":
    sys.exit(main())
