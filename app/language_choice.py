"""A reader's choice of language and time zone, remembered without a script: two cookies that say nothing else.

A link with `remember=1` chooses (`?lang=de&remember=1`, `?tz=Europe/Paris&remember=1`); from then on addresses without
a choice of their own follow it. It knows cookies and headers, not what any page says.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.languages import SPOKEN, choose_language
from incidents import OFFERED_ZONES

LANGUAGE_COOKIE = "stormdesk-language"
ZONE_COOKIE = "stormdesk-zone"
_YEAR = 365 * 24 * 3600


class Choice(NamedTuple):
    """What a reader gets: a language we speak, a zone we offer ("" is the page's own), and whether to remember it."""

    language: str
    zone: str
    remember: bool


@lru_cache(4096)
def choice(query: str, accept_language: str, cookie: str) -> Choice:
    """What was chosen in the address, else what was remembered, else what the browser asks for."""
    asked = parse_qs(query, keep_blank_values=True) if "=" in query else {}
    kept = _remembered(cookie) if "stormdesk-" in cookie else {}
    language = choose_language(asked.get("lang", [""])[0], kept.get(LANGUAGE_COOKIE), accept_language)
    wished = asked["tz"][0] if "tz" in asked else kept.get(ZONE_COOKIE, "")
    return Choice(language, wished if wished in OFFERED_ZONES else "", "remember" in asked)


def cookies_for(query: str, *, https: bool) -> Sequence[tuple[bytes, bytes]]:
    """The headers that keep what the address chose; nothing when it does not ask to be remembered."""
    asked = parse_qs(query, keep_blank_values=True)
    if "remember" not in asked:
        return ()
    made = []
    if (language := asked.get("lang", [""])[0]) in SPOKEN:
        made.append(_cookie(LANGUAGE_COOKIE, language, https))
    if "tz" in asked:
        zone = asked["tz"][0]
        made.append(_cookie(ZONE_COOKIE, zone if zone in OFFERED_ZONES else "", https))
    return made


class RememberedLanguage:
    """An ASGI application in front of another, which then sees the remembered language as what the browser asks for."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        kept = cookies_for(query, https=self._https) if b"remember" in scope["query_string"] else ()

        async def remembering(message: Message) -> None:
            if kept and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *kept]
            await send(message)

        await self._app(_as_remembered(scope), receive, remembering)


def _as_remembered(scope: Scope) -> Scope:
    cookie = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"), "")
    language = _remembered(cookie).get(LANGUAGE_COOKIE) if LANGUAGE_COOKIE in cookie else None
    if language not in SPOKEN:
        return scope
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept-language"]
    return {**scope, "headers": [*headers, (b"accept-language", language.encode())]}


def _remembered(cookie: str) -> Mapping[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(cookie).items()}
    except CookieError:
        return {}


def _cookie(name: str, value: str, https: bool) -> tuple[bytes, bytes]:
    # Only values from our own lists come here: nothing of the address reaches a header.
    age = _YEAR if value else 0
    secure = "; Secure" if https else ""
    return b"set-cookie", f"{name}={value}; Path=/; Max-Age={age}; SameSite=Lax; HttpOnly{secure}".encode()
