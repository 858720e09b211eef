"""Where alerts go: apprise's URLs, and the secrets in them kept out of logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from ...core.redaction import Redact, hide
from ...errors import ConfigError
from .facts import Alert

#: Sends an alert; whether it was taken.
Target = Callable[[Alert], bool]
#: Loggers that could write a URL of ours, and the filter on them.
_TALKATIVE = ("apprise", "urllib3.connectionpool", "requests_oauthlib.oauth1_session")
_REDACT = Redact()
#: A part of a URL that is a word, a number or a host, and no token.
_PLAIN = re.compile(r"[a-z]{0,11}|\d{1,7}|.*\.[a-z]{2,}|\d+(\.\d+){3}", re.IGNORECASE)


def targets_of(urls: tuple[str, ...]) -> list[Target]:
    """What sends an alert to each URL, and says whether it was taken.

    Raises:
        ConfigError: apprise is missing, or does not understand a URL; which is told by its number.
    """
    try:
        import apprise
        import apprise.conversion
    except ImportError as error:
        raise ConfigError(
            "alerts need apprise: pip install 'tianqin_backtrader[alerts]'"
        ) from error
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_REDACT)  # the same one again adds nothing
    return [_target(apprise, number, url) for number, url in enumerate(urls, 1)]


def _target(apprise: Any, number: int, url: str) -> Target:
    hide(*secrets_of(url))
    service = apprise.Apprise.instantiate(url)
    if service is None:
        scheme = url.partition("://")[0] if "://" in url else "no scheme"
        raise ConfigError(
            f"alert URL number {number} ({scheme}) is not one that apprise understands; "
            "its wiki has the form for every service"
        )
    text = apprise.NotifyFormat.TEXT
    # A service that speaks only markup would refuse a "<" that is none.
    spoken = service.resolve_format(text)

    def written(words: str) -> str:
        return str(apprise.conversion.convert_between(text, spoken, content=words))

    def send(alert: Alert) -> bool:
        # ``Apprise.notify`` does this in threads of its own, which can no longer be started when
        # the program ends; and the last words are the ones that count.
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
