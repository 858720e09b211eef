"""Targets of alerts: apprise's URLs, whose secrets are kept out of logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from types import ModuleType
from urllib.parse import unquote

from ...core.redaction import Redact, hide
from ...errors import ConfigError
from .facts import Alert

#: Sends an alert; returns whether it was accepted.
Target = Callable[[Alert], bool]
#: Loggers that might write such a URL, and the filter for them.
_TALKATIVE = ("apprise", "urllib3.connectionpool", "requests_oauthlib.oauth1_session")
_REDACT = Redact()
#: A part of a URL that is a word, a number or a host, not a token.
_PLAIN = re.compile(r"[a-z]{0,11}|\d{1,7}|.*\.[a-z]{2,}|\d+(\.\d+){3}", re.IGNORECASE)


def targets_of(urls: tuple[str, ...]) -> list[Target]:
    """A function for each URL that sends an alert and returns whether it was accepted.

    Raises:
        ConfigError: apprise is missing, or a URL is invalid; the message gives its number.
    """
    try:
        import apprise
        import apprise.conversion
    except ImportError as error:
        raise ConfigError("alerts need apprise: pip install 'apprise<3'") from error
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_REDACT)  # adding the same filter again has no effect
    return [_target(apprise, number, url) for number, url in enumerate(urls, 1)]


def _target(apprise: ModuleType, number: int, url: str) -> Target:
    hide(*secrets_of(url))
    service = apprise.Apprise.instantiate(url)
    if service is None:
        scheme = url.partition("://")[0] if "://" in url else "no scheme"
        raise ConfigError(
            f"alert URL number {number} ({scheme}) is not valid for apprise; "
            "apprise's wiki has the format of every service"
        )
    text = apprise.NotifyFormat.TEXT
    # A service that supports only markup would refuse a literal "<".
    spoken = service.resolve_format(text)

    def written(words: str) -> str:
        return str(apprise.conversion.convert_between(text, spoken, content=words))

    def send(alert: Alert) -> bool:
        # ``Apprise.notify`` does this in threads of its own, which cannot be started any more while
        # the program ends; and those last alerts are important.
        taken = service.notify(
            body=written(alert.text),
            title=written(alert.title) if service.title_maxlen <= 0 else alert.title,
            notify_type=str(alert.level),
            body_format=spoken,
        )
        return bool(taken)

    return send


def secrets_of(url: str) -> set[str]:
    """The parts of a URL that may be tokens, and the password.

    >>> sorted(secrets_of("tgram://123456789:abcdefg_hij/chat"))
    ['123456789', 'abcdefg_hij']
    >>> secrets_of("mailto://tom:s3cr3t@example.com")
    {'s3cr3t'}
    """
    rest = url.partition("://")[2]
    parts = {part for part in re.split(r"[/?&=@:#]", rest) if not _PLAIN.fullmatch(part)}
    host = rest.partition("/")[0]
    if "@" in host:
        password = host.rpartition("@")[0].partition(":")[2]
        parts |= {password} - {""}
    return parts | {unquote(part) for part in parts}
