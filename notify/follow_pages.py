"""The pages of notify: following the news, and ending that. They need no JavaScript, and reading one changes nothing.

It speaks HTTP and opens the transactions; what is asked and stored is decided in `following.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from foundation.access import for_anybody
from foundation.clock import Clock
from foundation.database import Database, DatabaseAway, Tx
from foundation.errors import Busy
from foundation.tokens import Tokens
from notify.addresses import BadAddress, normalise_mail
from notify.following import (
    Asked,
    FollowChannel,
    PublicTitles,
    Wish,
    client_name,
    confirm,
    find_asked,
    is_subscriber,
    stop_following,
    wish_to_follow,
)
from notify.messages import is_sendable
from notify.subscriptions import read_confirm_token, read_stop_token, secret_purpose, stop_token
from notify.webhook_urls import read_webhook

_LARGEST_FORM = 16 << 10
_BAD_MAIL = "This does not look like a mail address. It should be like name@example.org."

# What somebody follows is nobody else's business: not a cache's, not a search engine's.
_PRIVATE = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What every page needs to be drawn. `language_of` picks the first language we have from wishes.

    `guards`: headers that keep a page from loading or running anything, and its address from the next site.
    """

    render: Callable[..., str]
    language_of: Callable[..., str]
    page_name: str
    public_url: str
    guards: Mapping[str, str]

    def page(self, request: Request, template: str, *, status: int = 200, **context: object) -> Response:
        """One page, in the language the reader wishes."""
        language = self.language(request)
        text = self.render(template, language, page_name=self.page_name, **context)
        return HTMLResponse(text.encode("utf-8", "replace"), status, headers={**self.guards, **_PRIVATE})

    def language(self, request: Request, wish: str | None = None) -> str:
        """The language of the answer to `request`; a `wish` typed into a form comes first."""
        return self.language_of(wish, request.query_params.get("lang"), request.headers.get("accept-language"))

    def onward(self, path: str) -> Response:
        """To another page, by GET."""
        return RedirectResponse(path, 303, headers={**self.guards, **_PRIVATE})


def follow_routes(
    *,
    database: Database,
    tokens: Tokens,
    titles: PublicTitles,
    clock: Clock,
    look: Look,
    schemes: tuple[str, ...] = ("https",),
) -> list[BaseRoute]:
    """The routes of following. `titles` answers for incidents; `schemes`: of webhooks, another than https for tests."""
    parts = _Parts(database, tokens, titles, clock, look, schemes)
    form, links = _FollowForm(parts), _FollowLinks(parts)
    return [
        Route("/follow", form.show, methods=["GET"]),
        Route("/follow", form.send, methods=["POST"]),
        Route("/follow/asked", form.asked, methods=["GET"]),
        Route("/follow/confirm/{token}", links.show, methods=["GET"]),
        Route("/follow/confirm/{token}", links.confirm, methods=["POST"]),
        Route("/follow/stop/{token}", links.show_stop, methods=["GET"]),
        Route("/follow/stop/{token}", links.stop, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class _Parts:
    database: Database
    tokens: Tokens
    titles: PublicTitles
    clock: Clock
    look: Look
    schemes: tuple[str, ...]


class _FollowForm:
    """The form, and the one answer to it."""

    def __init__(self, parts: _Parts) -> None:
        self._at = parts
        self._look = parts.look

    @for_anybody
    async def show(self, request: Request) -> Response:
        return await self._page(request, {"incident": request.query_params.get("incident", "")})

    @for_anybody
    async def send(self, request: Request) -> Response:
        typed = _fields(await _body(request))
        channel: FollowChannel = "webhook" if typed.get("by") == "webhook" else "mail"
        try:
            address, host = self._address(channel, typed)
        except BadAddress as error:
            fault = _BAD_MAIL if channel == "mail" else str(error)
            return await self._page(request, typed, {_FIELD[channel]: fault}, status=422)
        about = await self._about(typed.get("incident", ""))
        language = self._look.language(request, typed.get("language"))
        client = client_name(self._at.tokens, request.client.host if request.client else None)
        incident_id = None if typed.get("scope") == "page" or about is None else about[0]
        # What machines get has one language.
        wish = Wish(channel, address, host, "en" if channel == "webhook" else language, incident_id, client)
        try:
            async with self._at.database.transaction() as tx:
                await wish_to_follow(tx, wish, now=self._at.clock())
        except Busy as busy:
            page = await self._page(request, typed, busy=True, status=429)
            page.headers["Retry-After"] = str(busy.retry_after)
            return page
        # The same for everybody: whether we know the address shows neither here nor in how long it took.
        return self._look.onward(f"/follow/asked?by={channel}&lang={language}")

    @for_anybody
    async def asked(self, request: Request) -> Response:
        webhook = request.query_params.get("by") == "webhook"
        return self._look.page(request, "notify/asked.html", webhook=webhook)

    def _address(self, channel: FollowChannel, typed: Mapping[str, str]) -> tuple[str, str]:
        """The address typed, normalised, and the host in it."""
        if channel == "webhook":
            url = read_webhook(typed.get("url", ""), schemes=self._at.schemes)
            return str(url), url.host
        try:
            mail = normalise_mail(typed.get("email", ""))
        except BadAddress:  # in the words of a library, which has English only
            raise BadAddress(_BAD_MAIL) from None
        if not is_sendable(mail):
            raise BadAddress(_BAD_MAIL)
        return mail, mail.rpartition("@")[2]

    async def _about(self, incident_id: str) -> tuple[str, Mapping[str, str]] | None:
        """The incident a page is about, if the public knows of it. Without the database the form opens all the same."""
        if not (0 < len(incident_id) <= 40 and incident_id.isascii() and incident_id.isalnum()):
            return None
        try:
            async with self._at.database.snapshot() as tx:
                found = await self._at.titles(tx, {incident_id})
        except DatabaseAway:
            return None
        return (incident_id, found[incident_id]) if incident_id in found else None

    async def _page(
        self,
        request: Request,
        typed: Mapping[str, str],
        faults: Mapping[str, str] | None = None,
        *,
        busy: bool = False,
        status: int = 200,
    ) -> Response:
        about = await self._about(typed.get("incident", ""))
        return self._look.page(
            request,
            "notify/follow.html",
            status=status,
            typed={name: typed.get(name, "") for name in ("email", "url", "scope", "language")},
            by="webhook" if typed.get("by") == "webhook" else "mail",
            faults=faults or {},
            busy=busy,
            incident=None if about is None else {"id": about[0], "title": about[1]},
        )


_FIELD: Mapping[FollowChannel, str] = {"mail": "email", "webhook": "url"}


class _FollowLinks:
    """The links we send: one asks for a yes, the other for an end. Only a button does either; scanners follow links."""

    def __init__(self, parts: _Parts) -> None:
        self._at = parts
        self._look = parts.look

    @for_anybody
    async def show(self, request: Request) -> Response:
        request_id = read_confirm_token(self._at.tokens, request.path_params["token"])
        found = None
        if request_id is not None:
            async with self._at.database.snapshot() as tx:
                found = await find_asked(tx, request_id, now=self._at.clock())
                titles = await self._titles_of(tx, found)
        if found is None:
            return self._look.page(request, "notify/stale_link.html", status=404)
        return self._look.page(request, "notify/confirm.html", asked=found, titles=titles)

    @for_anybody
    async def confirm(self, request: Request) -> Response:
        request_id = read_confirm_token(self._at.tokens, request.path_params["token"])
        found = None
        if request_id is not None:
            async with self._at.database.transaction() as tx:
                found = await confirm(tx, request_id, now=self._at.clock())
                titles = await self._titles_of(tx, found)
        if found is None:
            return self._look.page(request, "notify/stale_link.html", status=404)
        return self._look.page(
            request,
            "notify/following.html",
            asked=found,
            titles=titles,
            stop_path=f"/follow/stop/{stop_token(self._at.tokens, found.number)}",
            secret=self._at.tokens.name(*secret_purpose(found.number)) if found.channel == "webhook" else None,
        )

    @for_anybody
    async def show_stop(self, request: Request) -> Response:
        return await self._stop_page(request, stop=False)

    @for_anybody
    async def stop(self, request: Request) -> Response:
        return await self._stop_page(request, stop=True)

    async def _stop_page(self, request: Request, *, stop: bool) -> Response:
        number = read_stop_token(self._at.tokens, request.path_params["token"])
        if number is None:
            return self._look.page(request, "notify/stale_link.html", status=404)
        async with self._at.database.transaction() as tx:
            known = await is_subscriber(tx, number)
            if known and stop:
                await stop_following(tx, number)
        if not known:
            return self._look.page(request, "notify/stale_link.html", status=404)
        return self._look.page(request, "notify/stop.html", stopped=stop)

    async def _titles_of(self, tx: Tx, asked: Asked | None) -> Mapping[str, Mapping[str, str]]:
        return await self._at.titles(tx, {one for one in asked.incident_ids if one is not None}) if asked else {}


def _fields(raw: bytes) -> dict[str, str]:
    """The fields of a form, as typed. Bytes that are not UTF-8 become replacement characters, never an error."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace"):
        fields.setdefault(name, value)
    return fields


async def _body(request: Request) -> bytes:
    """The body of a request, refused once it is longer than any form of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise HTTPException(413, f"This is more than we can take in one piece ({_LARGEST_FORM // 1024} kB).")
    return body
