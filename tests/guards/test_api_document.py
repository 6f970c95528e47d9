"""The document of the API is about every route under /api, and a route it cannot describe keeps us from starting."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app import openapi
from app.asgi import create_app, every_route
from app.setting_values import Bind
from app.wiring import Parts
from claims import Intake
from foundation.access import entry_of, for_anybody
from foundation.calls import call
from tests.support.web import client, entrances, inner, parts_for

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return parts_for(NOWHERE, tmp_path)


async def document(parts: Parts) -> Any:
    async with client(parts) as web:
        return (await web.get(openapi.PATH)).json()


async def test_every_route_of_the_api_is_in_the_document_with_the_right_it_needs(parts: Parts) -> None:
    described = {
        f"{method.upper()} {path}": said.get("x-right")
        for path, item in (await document(parts))["paths"].items()
        for method, said in item.items()
        if path.startswith("/api/v1/")
    }
    routes = {
        entrance: getattr(entry_of(route.endpoint), "right", None)
        for entrance, route in entrances(inner(create_app(parts)))
        if " /api/" in entrance and (route.methods or entrance.startswith("POST"))
    }
    assert described == routes


@pytest.mark.parametrize("words", [None, "Something."])
def test_a_call_that_says_nothing_keeps_the_application_from_starting(parts: Parts, words: str | None) -> None:
    @for_anybody
    async def new(_: Request) -> Response:
        return PlainTextResponse("")

    new.__doc__ = words
    handler = new if words else call(gives=str)(new)  # what it gives, or its docstring, is missing
    with pytest.raises(openapi.Undescribed, match="/api/v1/new"):
        openapi.route([Route("/api/v1/new", handler)], openapi.Places("https://a", "https://a", "session"))


async def test_the_document_is_for_anybody_and_for_caches(parts: Parts) -> None:
    async with client(parts) as web:
        answer = await web.get(openapi.PATH)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"].startswith("public")
        again = await web.get(openapi.PATH, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_staffs_calls_lead_to_the_desk_where_it_has_an_address_of_its_own(tmp_path: Path) -> None:
    parts = parts_for(NOWHERE, tmp_path, desk_bind=Bind("127.0.0.1", 8443), desk_url="https://desk.example.com")
    places = openapi.Places(parts.settings.public_url, parts.settings.desk_url, "session")
    described = openapi.describe([*openapi.operations_of(every_route(parts, Intake(parts.database)))], places)
    assert described["servers"] == [{"url": "https://status.example.com"}]
    assert described["paths"]["/api/v1/cases"]["get"]["servers"] == [{"url": "https://desk.example.com"}]
    assert "servers" not in described["paths"]["/api/v1/contacts"]["post"]


async def test_nothing_under_api_is_answered_with_a_page(parts: Parts) -> None:
    async with client(parts) as web:
        for path in (
            "/api",
            "/api/",
            "/api/v1",
            "/api/v1/cases/",
            "/api/v1/nothing",
            "/api/v2/nothing.json",
            "/api/v3/x",
            "/api/v1/cases/1/2",
        ):
            answer = await web.get(path, headers={"Accept": "text/html,*/*"})
            assert answer.status_code == 404, path
            assert answer.headers["content-type"].startswith(("application/problem+json", "application/json")), path
            assert json.loads(answer.content)["code"] == "not_found"


async def test_a_page_is_found_with_a_slash_too_many_whatever_the_host_field_says(parts: Parts) -> None:
    async with client(parts) as web:
        answer = await web.get("/track/?lang=nl", headers={"Host": "evil.example"})
        assert (answer.status_code, answer.headers["location"]) == (307, "/track?lang=nl")
        for path in ("//evil.example/", "/nothing/", "//"):
            assert "location" not in (await web.get(f"https://status.example.com{path}")).headers, path
