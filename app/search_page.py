"""Finds components by name for readers without JavaScript, in the published edition alone: it needs no database."""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.answers import GUARDS
from app.public_page import PageStore
from app.templates import render
from foundation.access import for_anybody
from foundation.languages import choose_language

MOST_FOUND = 100
LONGEST_QUERY = 100
COMPONENTS = "api/v2/components.json"


class _Component(msgspec.Struct, frozen=True):
    id: str
    name: str
    status: str
    group: bool
    group_id: str | None


class _Components(msgspec.Struct, frozen=True):
    components: list[_Component]


class Found(NamedTuple):
    """A component as the page names it."""

    label: str
    status: str


class SearchPage:
    """`page_name`: whose page it is."""

    def __init__(self, store: PageStore, page_name: str) -> None:
        self._store = store
        self._page_name = page_name

    @for_anybody
    async def search(self, request: Request) -> Response:
        """GET `?q=`: what is called like that, and how it is."""
        language = choose_language(request.query_params.get("lang"), request.headers.get("accept-language"))
        query = request.query_params.get("q", "")[:LONGEST_QUERY].strip()
        content = self._store.content(COMPONENTS)
        listed = [one for one, folded in _names(content) if _fold(query) in folded] if query and content else []
        page = render(
            "incidents/search.html",
            language,
            page_name=self._page_name,
            query=query,
            found=listed[:MOST_FOUND],
            more=max(0, len(listed) - MOST_FOUND),
        )
        headers = {**GUARDS, "Cache-Control": "public, max-age=10", "X-Robots-Tag": "noindex"}
        return HTMLResponse(page, headers={**headers, "Vary": "Accept-Language, Cookie"})


@lru_cache(2)
def _names(content: bytes) -> list[tuple[Found, str]]:
    rows = msgspec.json.decode(content, type=_Components).components
    groups = {one.id: one.name for one in rows if one.group}
    found = []
    for one in rows:
        label = f"{groups[one.group_id]} – {one.name}" if one.group_id else one.name
        if not one.group:
            found.append((Found(label, one.status), _fold(label)))
    return found


def _fold(text: str) -> str:
    """Without accents and capitals, as people type."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(character for character in plain if not unicodedata.combining(character)).casefold()
