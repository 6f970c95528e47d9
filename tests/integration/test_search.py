"""Readers without JavaScript find a component by name, from the published files alone."""

from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from app.public_page import PageStore
from app.search_page import MOST_FOUND, SearchPage
from foundation.database import Database
from incidents import Component, define_components
from tests.support.incidents import NOW, a_page


@pytest.fixture
async def store(database: Database, tmp_path: Path) -> PageStore:
    """A page of 124 flights and one fibre area with an accent."""
    async with database.transaction() as tx:
        flights = [Component(f"dl-{n}", f"DL {n}", "To Boston", position=n) for n in range(1000, 1124)]
        await define_components(tx, [*flights, Component("orleans", "Orléans <Nord>")])
    await a_page(tmp_path).refresh(database)
    return PageStore(tmp_path, clock=lambda: NOW)


async def _found(store: PageStore, query: str, **headers: str) -> httpx2.Response:
    app = Starlette(routes=[Route("/search", SearchPage(store, "Northwind Air").search)])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://status.example.com") as client:
        return await client.get("/search", params={"q": query}, headers=headers)


async def test_a_name_is_found_however_it_is_typed(store: PageStore) -> None:
    for typed in ("orleans", "  ORLÉANS ", "Orle\u0301ans"):
        answer = await _found(store, typed)
        assert answer.status_code == 200
        assert "Orléans &lt;Nord&gt;" in answer.text
        assert "DL 1000" not in answer.text
    flight = await _found(store, "boston – dl 1117")
    assert "To Boston – DL 1117" in flight.text


async def test_a_long_list_says_how_many_more_there_are(store: PageStore) -> None:
    answer = await _found(store, "DL 1")
    assert answer.text.count("To Boston – DL ") == MOST_FOUND
    assert "24" in answer.text


async def test_nothing_found_and_nothing_asked_are_answers_too(store: PageStore) -> None:
    none = await _found(store, '"><script>alert(1)</script>', **{"Accept-Language": "nl"})
    assert none.status_code == 200
    assert "<script>alert" not in none.text
    assert '<html lang="nl"' in none.text
    assert (await _found(store, "")).status_code == 200
    assert (await _found(store, "x" * 5000)).status_code == 200


async def test_before_there_is_a_page_nothing_is_found(tmp_path: Path) -> None:
    assert (await _found(PageStore(tmp_path, clock=lambda: NOW), "DL")).status_code == 200
