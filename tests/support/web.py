"""The web application in this process, spoken to over ASGI, on a fresh database."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
from argon2.profiles import CHEAPEST
from starlette.applications import Starlette
from starlette.routing import Route

from app import openapi
from app.asgi import create_app
from app.auth import create_token
from app.rights import FOR_SYSTEMS
from app.settings import read_settings
from app.wiring import Parts, make_parts
from foundation.clock import system_clock
from foundation.database import Database
from tests.support.described import Described

ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")


def parts_for(database_url: str, folder: Path, **changes: object) -> Parts:
    """The parts of a process on `database_url`, with its files under `folder`."""
    settings = read_settings(
        {
            "STORMDESK_SECRET_KEY": "a signing key that only tests use",
            "STORMDESK_DATA_DIR": str(folder),
            "STORMDESK_PUBLIC_URL": "https://status.example.com",
        }
    )
    made = make_parts(replace(settings, **changes), database_url)  # type: ignore[arg-type]  # names of fields
    return replace(made, password_cost=CHEAPEST)


async def staff_token(parts: Parts, name: str = "ops", *, roles: Sequence[str] = FOR_SYSTEMS) -> str:
    """A valid API token."""
    async with parts.database.transaction() as tx:
        return await create_token(tx, name, now=parts.clock(), roles=roles)


async def approved_by_another(api: httpx2.AsyncClient, database: Database, update: str) -> httpx2.Response:
    """What `POST updates/{id}/approve` answers to somebody who did not write the update."""
    async with database.transaction() as tx:
        token = await create_token(tx, f"approver-{update}", now=system_clock(), roles=["approver"])
    return await api.post(f"/api/v1/updates/{update}/approve", headers={"Authorization": f"Bearer {token}"})


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


_described: list[Described] = []  # made once a process: what we answer does not depend on the installation


async def _as_described(made: httpx2.AsyncClient) -> Callable[[httpx2.Response], Awaitable[None]]:
    if not _described:
        _described.append(Described((await made.get(openapi.PATH)).json()))

    async def check(answer: httpx2.Response) -> None:
        await answer.aread()
        _described[0].check(answer.request.method, answer.request.url.path, answer)

    return check


@asynccontextmanager
async def client(parts: Parts, *, address: str = "203.0.113.9") -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application; `address` is where its requests seem to come from."""
    app = create_app(parts)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 5000))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="https://status.example.com") as made:
            made.event_hooks = {"response": [await _as_described(made)]}
            yield made
    finally:
        await parts.database.close()


@asynccontextmanager
async def open_client(parts: Parts, *, address: str = "203.0.113.9") -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application while it takes contacts in, as a started server does."""
    app = create_app(parts)
    starlette = inner(app)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 5000))
    async with (
        starlette.router.lifespan_context(starlette),
        httpx2.AsyncClient(transport=transport, base_url="https://status.example.com") as made,
    ):
        yield made
