"""Signing in through an OpenID Connect provider: the code flow with PKCE, nonce and state, and what comes of it.

It knows the protocol (Authlib, joserfc) and the provider's groups; accounts and sessions are others' work.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any

import httpx2
import msgspec
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.setting_values import ProviderSettings
from app.staff.outbound import NotReached, outbound_client, read_json
from app.staff.seal import Seal
from foundation.clock import Clock

JOURNEY_SECONDS = 600  # somebody may have to look for their key
_KEEP = timedelta(hours=1)  # what the provider says of itself
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_LEEWAY = 60  # seconds their clock may differ from ours
_LONGEST = 200


class ProviderFailed(Exception):
    """The provider did not vouch for somebody; the message is for our log, not for strangers."""


class _Journey(msgspec.Struct, frozen=True):
    """What we remember of somebody on their way through the provider, sealed in their cookie."""

    state: str
    nonce: str
    verifier: str
    onward: str
    again_at: int = 0  # when they were sent to show once more who they are (Unix time); 0: they were not


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom the provider vouches for, and our roles for their groups. `onward`: where they wanted to go."""

    issuer: str
    subject: str
    name: str
    shown_name: str
    roles: tuple[str, ...]
    onward: str
    proven: bool = False  # asked again, and not only known to the provider from before


class Provider:
    """One provider. `back`: the address it sends people back to."""

    def __init__(self, settings: ProviderSettings, seal: Seal, back: str, clock: Clock) -> None:
        self._settings = settings
        self._seal = seal
        self._back = back
        self._clock = clock
        self._known: tuple[datetime, dict[str, Any]] | None = None

    async def begin(self, onward: str, *, again: bool = False) -> tuple[str, str]:
        """Where to send somebody, and the cookie to send along. Raises `ProviderFailed`.

        `again`: the provider shall ask them who they are though it knows.
        """
        at = int(self._clock().timestamp()) if again else 0
        journey = _Journey(token_urlsafe(24), token_urlsafe(24), token_urlsafe(48), onward, at)
        asked = {"prompt": "login", "max_age": "0"} if again else {}
        async with self._client() as client:
            about = await self._about(client)
            url, _ = client.create_authorization_url(
                about["authorization_endpoint"],
                state=journey.state,
                nonce=journey.nonce,
                code_verifier=journey.verifier,
                redirect_uri=self._back,
                **asked,
            )
        return url, self._seal.close(msgspec.json.encode(journey).decode()).decode()

    async def finish(self, query: Mapping[str, str], cookie: str) -> Vouched:
        """Whom the provider vouches for, when they come back with `query`. Raises `ProviderFailed`."""
        journey = self._journey(cookie)
        if not hmac.compare_digest(query.get("state", "").encode(), journey.state.encode()):
            raise ProviderFailed("the state is not the one we gave")
        if query.get("iss", self._settings.issuer).rstrip("/") != self._settings.issuer:  # RFC 9207
            raise ProviderFailed("the answer is another provider's")
        if query.get("error") or not query.get("code"):
            raise ProviderFailed(f"the provider said {query.get('error', 'nothing')[:60]!r}")
        try:
            async with self._client() as client:
                claims = await self._claims(client, query["code"], journey)
        except (OAuthError, JoseError, NotReached, httpx2.HTTPError, KeyError, TypeError, ValueError) as error:
            raise ProviderFailed(f"{type(error).__name__}: {error}") from error
        if journey.again_at and not _asked_since(claims, journey.again_at):
            raise ProviderFailed("the provider did not ask them again, or does not say when it did (auth_time)")
        return replace(self._vouched(claims, journey.onward), proven=bool(journey.again_at))

    def _journey(self, cookie: str) -> _Journey:
        text = self._seal.open(cookie.encode("utf-8", "replace"), seconds=JOURNEY_SECONDS)
        if text is None:
            raise ProviderFailed("nobody of ours was on their way, or too long")
        return msgspec.json.decode(text, type=_Journey)

    async def _claims(self, client: AsyncOAuth2Client, code: str, journey: _Journey) -> dict[str, Any]:
        about = await self._about(client)
        token = await client.fetch_token(
            about["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            code_verifier=journey.verifier,
            redirect_uri=self._back,
        )
        claims = await self._verified(client, about, token, journey)
        if self._settings.groups_claim not in claims and "userinfo_endpoint" in about:
            more = await read_json(client, about["userinfo_endpoint"], bearer=token["access_token"])
            if more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return claims

    async def _verified(
        self, client: AsyncOAuth2Client, about: Mapping[str, Any], token: Mapping[str, Any], journey: _Journey
    ) -> dict[str, Any]:
        """The claims of the ID token, once its signature and every claim hold (OpenID Connect Core, 3.1.3.7)."""
        keys = KeySet.import_key_set(await read_json(client, about["jwks_uri"]))  # type: ignore[arg-type]  # as read
        read = jwt.decode(token["id_token"], keys, algorithms=_ALGORITHMS)
        claims = CodeIDToken(
            read.claims,
            read.header,
            options={
                "iss": {"essential": True, "values": [about["issuer"]]},
                "aud": {"essential": True, "value": self._settings.client_id},
                "nonce": {"essential": True},
            },
            params={
                "nonce": journey.nonce,
                "client_id": self._settings.client_id,
                "access_token": token.get("access_token"),
            },
        )
        claims.validate(now=int(self._clock().timestamp()), leeway=_LEEWAY)
        return dict(read.claims)

    async def _about(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        """What the provider says of itself, an hour old at most."""
        now = self._clock()
        if self._known is not None and now - self._known[0] < _KEEP:
            return self._known[1]
        try:
            about = await read_json(client, f"{self._settings.issuer}/.well-known/openid-configuration")
        except (NotReached, httpx2.HTTPError, ValueError) as error:
            raise ProviderFailed(f"the provider cannot be asked about itself: {error}") from error
        if str(about.get("issuer", "")).rstrip("/") != self._settings.issuer:
            raise ProviderFailed("the provider names another issuer")
        wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if not all(isinstance(about.get(name), str) for name in wanted):
            raise ProviderFailed("the provider does not say where to go")
        self._known = now, about
        return about

    def _client(self) -> AsyncOAuth2Client:
        return outbound_client(
            self._settings.issuer,
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            scope="openid profile email",
            code_challenge_method="S256",
        )

    def _vouched(self, claims: Mapping[str, Any], onward: str) -> Vouched:
        groups = claims.get(self._settings.groups_claim, [])
        if isinstance(groups, str):
            groups = groups.split()
        roles = [role for group in groups for role in self._settings.roles.get(str(group), ())]
        subject = str(claims["sub"])
        name = next((str(claims[one]) for one in ("preferred_username", "email") if claims.get(one)), subject)
        shown = str(claims.get("name") or name)
        return Vouched(
            self._settings.issuer, subject[:255], name[:_LONGEST], shown[:100], tuple(dict.fromkeys(roles)), onward
        )


def _asked_since(claims: Mapping[str, Any], at: int) -> bool:
    """Whether the provider says that it asked somebody who they are at `at` or later (OpenID Connect Core, 2)."""
    asked = claims.get("auth_time")
    return isinstance(asked, int) and asked >= at - _LEEWAY
