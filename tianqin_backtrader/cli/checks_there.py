"""The checks of ``doctor`` with TianQin: user, permissions, servers, clock, a session."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import (
    ConfigError,
    LinkError,
    LinkTimeout,
    LoginRefused,
    TianqinError,
    TradingLoginRefused,
)
from .findings import Finding, State, bad, good, skipped, warning
from .probe import Refused, clock_offset, first_word

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..gateway.login import TianqinLogin

#: ``doctor`` warns this many days before a licence ends.
SOON = 14
#: Seconds by which a clock may be wrong, beyond the uncertainty of the measurement.
CLOCK_MAY_BE_WRONG = 2.0
_NETWORK = "check this machine's network, proxy and firewall; TianQin itself may be down"
#: Advice if a counter does not answer: it may have refused the password.
_SILENT = (
    "log in with the company's own client before the next attempt: a wrong password is not "
    "always reported, and brokers lock an account after a few attempts"
)
_PAGE = "https://account.shinnytech.com"


def tianqin(settings: Settings, *, live: bool, now: datetime) -> Iterator[Finding]:
    """All checks, in order; those that depend on a failed one are skipped."""
    login, finding = _log_in(settings)
    yield finding
    if login is None:
        for check in ("permissions", "clock", "market data", "trading", "session"):
            yield skipped(check, "needs the login")
        return
    yield permissions(login, settings, live=live, now=now)
    yield clock(login.auth_url)
    servers = list(_servers(login, settings, live=live))
    yield from servers
    if any(one.state is State.BAD for one in servers):
        yield skipped("session", "needs both servers")
    else:
        yield session(settings, live=live)


def _log_in(settings: Settings) -> tuple[TianqinLogin | None, Finding]:
    check = "account"
    try:
        user, password = settings.tianqin()
    except ConfigError as error:
        missing, _, advice = str(error).partition(": ")
        return None, bad(check, missing, advice)
    from ..gateway.login import TianqinLogin

    try:
        return TianqinLogin(user, password), good(check, f"TianQin knows {user}")
    except LoginRefused as error:
        advice = f"check TQ_USER and TQ_PASS by logging in at {_PAGE}"
        return None, bad(check, str(error), advice)
    except LinkError as error:
        return None, bad(check, str(error), _NETWORK)


def permissions(login: TianqinLogin, settings: Settings, *, live: bool, now: datetime) -> Finding:
    """The user's permissions, and when the licence ends."""
    check = "permissions"
    try:
        licence = login.licence()
    except LinkError as error:
        return warning(check, str(error), f"look at {_PAGE}")
    days = (licence.expires - now).days
    end = "for ever" if licence.expires.year >= 2099 else f"until {licence.expires:%Y-%m-%d}"
    text = f"{licence.product} {end}: {', '.join(sorted(licence.features)) or 'nothing'}"
    if licence.expires <= now:
        return bad(check, f"{licence.product} expired on {licence.expires:%Y-%m-%d %H:%M}",
                   f"renew it at {_PAGE}")  # fmt: skip
    if "futr" not in licence.features:
        return bad(check, f"{text}; no futures (futr)", f"enable it at {_PAGE}")
    if days < SOON:
        return warning(check, f"{text}; {days} days left", f"renew it at {_PAGE}")
    number = settings.account.number
    if live and number and number not in licence.accounts:
        return warning(check, f"{text}; account {number} is not bound to the user yet",
                       "the first login binds it, if the licence has room for it")  # fmt: skip
    return good(check, text)


def clock(url: str) -> Finding:
    """This machine's clock against the server's."""
    try:
        offset, sure = clock_offset(url)
    except LinkError as error:
        return warning("clock", str(error), "compare this machine's clock with another clock")
    behind = "behind" if offset > 0 else "ahead of"
    if abs(offset) - sure > CLOCK_MAY_BE_WRONG:
        return bad(
            "clock",
            f"this machine is {abs(offset):.0f} s {behind} TianQin",
            "set it with a time server: timedatectl set-ntp true; Windows: w32tm /resync; "
            "macOS: sudo sntp -sS time.apple.com",
        )
    return good("clock", f"accurate to {abs(offset) + sure:.1f} s")


def _servers(login: TianqinLogin, settings: Settings, *, live: bool) -> Iterator[Finding]:
    account = settings.account
    company = (account.broker, account.number) if live else ("", "")
    for check, url in (
        ("market data", login.market_data_url),
        ("trading", lambda: login.trading_url(*company)),
    ):
        try:
            address = url()
        except ConfigError as error:
            yield bad(check, str(error), "set account.broker to TqSdk's name of the company")
        except LinkError as error:
            yield bad(check, str(error), _NETWORK)
        else:
            yield server(check, address, login.headers)


def server(check: str, url: str, headers: dict[str, str]) -> Finding:
    """Whether a server accepts the connection and sends data."""
    host = url.partition("://")[2].partition("/")[0]
    if not url.startswith(("ws://", "wss://")):
        return skipped(check, f"{host} uses a protocol of its own; see the session")
    try:
        seconds = first_word(url, headers)
    except Refused as error:
        advice = "it is up but refuses connections, as in maintenance: try again in some minutes"
        return bad(check, f"{host} {error}", advice)
    except LinkTimeout as error:
        return bad(
            check,
            f"{host} is frozen: it {error}",
            "try again; if it stays so, TianQin hangs or something in between delays packs "
            "(proxy, VPN, firewall)",
        )
    except LinkError as error:
        return bad(check, f"{host} {error}", _NETWORK)
    return good(check, f"{host} answers after {seconds * 1000:.0f} ms")


def session(settings: Settings, *, live: bool) -> Finding:
    """A session like a strategy's, including the account."""
    try:
        with settings.store(live=live) as store:
            broker = store.getbroker()
            account, held = broker.get_account(), broker.get_account_positions()
    except TradingLoginRefused as error:
        words, _, advice = str(error).rpartition(". ")
        return bad("session", words, advice)
    except LoginRefused as error:
        return bad("session", str(error), f"look at {_PAGE}")
    except ConfigError as error:
        missing, _, advice = str(error).partition(": ")
        return bad("session", missing, advice)
    except LinkTimeout as error:
        return bad("session", str(error), _SILENT if live else _NETWORK)
    except TianqinError as error:
        return bad("session", str(error), "tianqin-backtrader -v doctor shows more")
    return good("session", f"equity {account['balance']:,.2f} yuan, {len(held)} contracts held")
