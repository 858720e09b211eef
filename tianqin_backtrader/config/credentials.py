"""Passwords, from the environment or else from the keyring of the operating system.

They are passed on at once and not stored. The keyring needs a package: ``pip install keyring``,
then ``keyring set tianqin_backtrader <user>``.
"""

from __future__ import annotations

import os

from .sections import ACCOUNT_PASSWORD, TIANQIN_PASSWORD

#: The service name of the library in the keyring.
SERVICE = "tianqin_backtrader"


def tianqin_password(user: str) -> str | None:
    """The TianQin user's password: ``TQ_PASS``, else from the keyring; None if there is none."""
    return os.environ.get(TIANQIN_PASSWORD) or _from_keyring(user)


def account_password(number: str) -> str | None:
    """The futures account's password: ``TQBT_ACCOUNT_PASSWORD``, else from the keyring."""
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
    except KeyringError:  # for example a server without a keyring
        return None
