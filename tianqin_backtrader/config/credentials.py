"""Where passwords come from: the environment, else the keyring of the operating system.

They are handed on at once and kept in no value of ours. The keyring is an extra:
``pip install "tianqin_backtrader[keyring]"``, then ``keyring set tianqin_backtrader <user>``.
"""

from __future__ import annotations

import os

from .sections import ACCOUNT_PASSWORD, TIANQIN_PASSWORD

#: The keyring's name for us.
SERVICE = "tianqin_backtrader"


def tianqin_password(user: str) -> str | None:
    """The TianQin user's: ``TQ_PASS``, else the keyring's; None if there is none."""
    return os.environ.get(TIANQIN_PASSWORD) or _from_keyring(user)


def account_password(number: str) -> str | None:
    """The futures account's: ``TQBT_ACCOUNT_PASSWORD``, else the keyring's."""
    return os.environ.get(ACCOUNT_PASSWORD) or _from_keyring(number)


def _from_keyring(name: str) -> str | None:
    if not name:
        return None
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, name)
    except KeyringError:  # a server without one
        return None
