"""Every route says who may enter: it is on the list of public ones, or it turns strangers away."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from app.asgi import create_app
from app.settings import read_settings
from app.wiring import Parts, make_parts

# Open to anybody, on purpose. A new line here is a decision; a route that is neither here nor for staff is a hole.
PUBLIC = {
    "GET /claim",
    "POST /claim",
    "GET /claim/received/{token}",
    "GET /track",
    "POST /track",
    "GET /t/{token}",
    "GET /u/{token}",
    "POST /u/{token}",
    "GET /check",
    "POST /api/v1/contacts",
    "GET /api/v1/contacts/{receipt}",
    "GET /follow",
    "POST /follow",
    "GET /follow/asked",
    "GET /follow/confirm/{token}",
    "POST /follow/confirm/{token}",
    "GET /follow/stop/{token}",
    "POST /follow/stop/{token}",
}
# They answer the machine itself and staff; to everybody else they do not exist.
MACHINES = {"GET /healthz", "GET /readyz", "GET /metrics"}
ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    environment = {"STORMDESK_SECRET_KEY": "k" * 32, "STORMDESK_DATA_DIR": str(tmp_path)}
    return make_parts(read_settings(environment), "postgresql://nobody@127.0.0.1:1/none")


def inner(application: Any) -> Starlette:
    """The Starlette application behind whatever stands in front of it."""
    while not isinstance(application, Starlette):
        application = application._app
    return application


def entrances(application: Starlette) -> Iterator[tuple[str, Route]]:
    """`METHOD /path` of every route. One whose handler chooses the method itself has an entrance for each."""
    for route in application.routes:
        assert isinstance(route, Route), f"{route!r} hides its routes from this guard"
        for method in sorted((route.methods or set(ANY_METHOD)) - {"HEAD"}):
            yield f"{method} {route.path}", route


async def test_only_the_public_routes_let_strangers_in(parts: Parts) -> None:
    """The database is away on purpose: a stranger must be turned away before anything is asked of it."""
    application = inner(create_app(parts))
    transport = httpx2.ASGITransport(app=application, client=("203.0.113.9", 4711), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as stranger:
        for entrance, _ in entrances(application):
            if entrance in PUBLIC:
                continue
            method, path = entrance.split(" ", 1)
            answer = await stranger.request(method, re.sub(r"\{[^}]*\}", "x", path), json={})
            expected = 404 if entrance in MACHINES else 401
            assert answer.status_code in (expected, 405), f"{entrance} answers a stranger with {answer.status_code}"


def test_the_list_of_public_routes_is_true(parts: Parts) -> None:
    known = {entrance for entrance, _ in entrances(inner(create_app(parts)))}
    assert known >= PUBLIC | MACHINES


def test_no_two_routes_claim_the_same_entrance(parts: Parts) -> None:
    """The second would never be reached, and nobody would notice."""
    every = [entrance for entrance, _ in entrances(inner(create_app(parts)))]
    assert sorted(every) == sorted(set(every))
