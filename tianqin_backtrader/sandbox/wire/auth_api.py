"""Login over HTTP: tokens, licence and account grants, like TianQin's own service."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from ...core.clock import SECOND, WallClock
from ..faults import FaultBook

REALM = "/auth/realms/shinnytech"
_FEATURES = ("futr", "sec", "lmt_idx", "tq_ma", "tq_dl", "adv", "cmb", "opt")
_FOREVER = 4102444799  # 2099-12-31 23:59:59 Beijing time
_KEY = "the embedded exchange signs with this, nobody verifies it"
_NAMESPACE = uuid.UUID("5c1f4b5e-4c6f-4d43-9a39-0d2f8e2b7d10")


def user_uuid(name: str) -> str:
    """The ``sub`` claim of a user, always the same for a name."""
    return str(uuid.uuid5(_NAMESPACE, name))


@dataclass(slots=True)
class Users:
    """The users who may log in.

    Attributes:
        passwords: By name; if empty, every name and password is accepted.
    """

    passwords: Mapping[str, str] = field(default_factory=dict)
    accounts: dict[str, list[str]] = field(default_factory=dict)
    _issued: int = 0

    def accepts(self, name: str, password: str) -> bool:
        """Whether name and password are right."""
        return not self.passwords or self.passwords.get(name) == password

    def token(self, name: str, kind: str, features: Sequence[str] = _FEATURES) -> str:
        """A JWT for the user; every token is different."""
        import jwt

        self._issued += 1
        payload = {
            "sub": user_uuid(name),
            "preferred_username": name,
            "exp": _FOREVER,
            "jti": f"{kind}-{self._issued}",
            "grants": {"features": list(features), "accounts": self.accounts.get(name, [])},
        }
        return jwt.encode(payload, _KEY, algorithm="HS256")

    def name_of(self, token: str) -> str | None:
        """The user of a token; ``None`` if it was not issued here."""
        import jwt

        try:
            payload = jwt.decode(token, _KEY, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            return None
        return str(payload["preferred_username"])


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


class AuthApi:
    """The HTTP handlers.

    Args:
        users: The users who may log in.
        faults: The faults that apply to logins.
        later: Calls a function after so many seconds.
    """

    def __init__(
        self, users: Users, faults: FaultBook, later: Callable[[float, Callable[[], object]], None]
    ) -> None:
        self._users = users
        self._faults = faults
        self._later = later

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.post(f"{REALM}/protocol/openid-connect/token", self.token),
            web.get(f"{REALM}/rest/get-grant/tq", self.licence),
            web.put(REALM + "/rest/update-grant-accounts/{account}", self.add_account),
        ]

    async def _slowly(self) -> None:
        """Wait as long as a fault requires, or until it ends."""
        if not self._faults.login_seconds:
            return
        waiting = asyncio.Event()
        self._faults.slow_logins.add(waiting)
        self._later(self._faults.login_seconds, waiting.set)
        try:
            await waiting.wait()
        finally:
            self._faults.slow_logins.remove(waiting)

    async def token(self, request: web.Request) -> web.Response:
        """Log in, or exchange a refresh token."""
        await self._slowly()
        form = await request.post()
        name: str | None = str(form.get("username", ""))
        allowed = self._users.accepts(str(name), str(form.get("password", "")))
        if form.get("grant_type") == "refresh_token":
            name = self._users.name_of(str(form.get("refresh_token", "")))
            allowed = name is not None
        faulty = self._faults.refuses_token()
        if not allowed or name is None or faulty:
            refused = {
                "error": "invalid_grant",
                "error_description": "Invalid user credentials",
            }
            return web.json_response(refused, status=self._faults.token_status if faulty else 401)
        kinds = ("access", "refresh")
        given = self._faults.features
        features = _FEATURES if given is None else given
        return web.json_response(
            {f"{k}_token": self._users.token(name, k, features) for k in kinds}
        )

    async def licence(self, request: web.Request) -> web.Response:
        """A licence without end, unless a fault sets one."""
        await self._slowly()
        days = self._faults.licence_days
        exp = _FOREVER if days is None else int(WallClock().now_ns() / SECOND + days * 86400)
        left = 9999 if days is None else int(days)
        return web.json_response({"exp": exp, "daysleft": left, "account_type": "sandbox"})

    async def add_account(self, request: web.Request) -> web.Response:
        """Grant an account to the bearer of the token."""
        await self._slowly()
        name = self._users.name_of(_bearer(request))
        if name is None:
            return web.json_response({"error": "invalid_token"}, status=401)
        accounts = self._users.accounts.setdefault(name, [])
        if request.match_info["account"] not in accounts:
            accounts.append(request.match_info["account"])
        return web.json_response({})
