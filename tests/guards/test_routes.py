"""Every route says who may enter, and every role × route pair is as the table of rights says."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from app import sessions
from app.asgi import create_app, create_desk_app
from app.auth import create_token
from app.cookies import Cookies
from app.entrance import Undeclared, shut
from app.forms import form_token
from app.proof import proof
from app.rights import RIGHTS, ROLES, TABLE, Role
from app.setting_values import Bind, ProviderSettings
from app.settings import read_settings
from app.staff.accounts import add_user
from app.wiring import Parts, make_parts
from foundation.access import entry_of, needs
from tests.support.web import ANY_METHOD, entrances, inner, parts_for

# Open to anybody, on purpose. A new line here is a decision; a route that is neither here nor needs a right is a hole.
PUBLIC = {
    "GET /claim",
    "POST /claim",
    "GET /claim/received/{token}",
    "GET /track",
    "POST /track",
    "GET /t/{token}",
    "POST /t/{token}/files",
    "GET /t/{token}/files/{id}",
    "GET /t/{token}/data",
    "POST /t/{token}/add",
    "POST /t/{token}/reach",
    "POST /t/{token}/person",
    "POST /t/{token}/withdraw",
    "POST /t/{token}/appeal",
    "POST /t/{token}/feedback",
    "POST /t/{token}/account",
    "POST /t/{token}/offer",
    "POST /t/{token}/new-link",
    "GET /u/{token}",
    "POST /u/{token}",
    "GET /check",
    "POST /api/v1/contacts",
    "POST /api/v1/alerts/signed/{source}",
    "POST /api/v1/posts",
    "GET /api/v1/contacts/{receipt}",
    "GET /api/v1/openapi.json",
    "GET /desk/sign-in",
    "POST /desk/sign-in",
    "GET /desk/welcome/{token}",
    "POST /desk/welcome/{token}",
    "GET /events",
    "GET /follow",
    "POST /follow",
    "GET /follow/asked",
    "GET /follow/confirm/{token}",
    "POST /follow/confirm/{token}",
    "GET /follow/stop/{token}",
    "POST /follow/stop/{token}",
    "GET /search",
}
# They answer the machine itself and staff; to everybody else they do not exist.
MACHINES = {"GET /healthz", "GET /readyz", "GET /metrics"}


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    environment = {"STORMDESK_SECRET_KEY": "k" * 32, "STORMDESK_DATA_DIR": str(tmp_path)}
    return make_parts(read_settings(environment), "postgresql://nobody@127.0.0.1:1/none")


def right_of(route: Route) -> str | None:
    entry = entry_of(route.endpoint)
    assert entry is not None, route.path
    return entry.right


async def ask(web: httpx2.AsyncClient, entrance: str, **headers: str) -> httpx2.Response:
    """The answer to a request to `entrance`, whatever its ids are."""
    method, path = entrance.split(" ", 1)
    return await web.request(method, re.sub(r"\{[^}]*\}", "x", path), json={}, headers=headers)


def let_in(entrance: str, answer: httpx2.Response) -> bool:
    """Whether somebody came past the door. Behind it what they asked for is not there, or not well said."""
    assert answer.status_code < 500, f"{entrance} breaks: {answer.text}"
    asked_to_sign_in = answer.headers.get("location", "").startswith("/desk/sign-in") and entrance.startswith("GET ")
    return answer.status_code not in (401, 403) and not asked_to_sign_in


async def test_only_the_public_routes_let_strangers_in(parts: Parts) -> None:
    """The database is away on purpose: a stranger must be turned away before anything is asked of it."""
    application = inner(create_app(parts))
    transport = httpx2.ASGITransport(app=application, client=("203.0.113.9", 4711), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as stranger:
        for entrance, _ in entrances(application):
            if entrance in PUBLIC:
                continue
            at_desk = {303} if entrance.startswith("GET /desk") else {401}
            expected = {404} if entrance in MACHINES else at_desk
            # Also those who ask for the header only.
            for tried in {entrance, entrance.replace("GET ", "HEAD ")}:
                status = (await ask(stranger, tried)).status_code
                assert status in expected | {405}, f"{tried} answers a stranger with {status}"


def test_the_list_of_public_routes_is_true(parts: Parts) -> None:
    open_to_all = {entrance for entrance, route in entrances(inner(create_app(parts))) if right_of(route) is None}
    # One handler of ours looks at the method itself, and refuses every other.
    other = {f"{method} /api/v1/contacts" for method in ANY_METHOD} - {"POST /api/v1/contacts"}
    assert open_to_all - other == PUBLIC | MACHINES


def test_no_two_routes_claim_the_same_entrance(parts: Parts) -> None:
    """The second would never be reached, and nobody would notice."""
    every = [entrance for entrance, _ in entrances(inner(create_app(parts)))]
    assert sorted(every) == sorted(set(every))


@pytest.fixture
async def staff(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Parts, Callable[..., httpx2.AsyncClient]]]:
    parts = parts_for(database_url, tmp_path)
    application = inner(create_app(parts))

    def client() -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=application, client=("203.0.113.9", 4711), raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="https://status.example.com")

    yield parts, client
    await parts.database.close()


@pytest.mark.parametrize("role", ROLES)
async def test_each_roles_token_enters_what_the_table_gives_it_and_nothing_else(
    staff: tuple[Parts, Callable[..., httpx2.AsyncClient]], role: Role
) -> None:
    parts, client = staff
    async with parts.database.transaction() as tx:
        token = await create_token(tx, role, roles=[role], now=parts.clock())
    async with client() as web:
        for entrance, route in entrances(inner(create_app(parts))):
            right = right_of(route)
            if right is None and entrance not in MACHINES:
                continue  # for anybody; the stream of editions would not even end
            answer = await ask(web, entrance, Authorization=f"Bearer {token}")
            if entrance in MACHINES:
                assert answer.status_code == 200, entrance
            else:
                assert let_in(entrance, answer) is (right in TABLE[role]), f"{role}: {answer.status_code} at {entrance}"


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_signed_in_enters_what_the_table_gives_it_and_nothing_else(
    staff: tuple[Parts, Callable[..., httpx2.AsyncClient]], role: Role
) -> None:
    """With the proof that the desk's own page sent it; without, nothing is changed whoever asks."""
    parts, client = staff
    async with parts.database.transaction() as tx:
        user_id = await add_user(tx, role, [role])
    async with client() as web:
        for entrance, route in entrances(inner(create_app(parts))):
            if (right := right_of(route)) is None:
                continue
            signed_in = await session_headers(parts, user_id)  # a new one: some routes end it
            answer = await ask(web, entrance, **signed_in)
            assert let_in(entrance, answer) is (right in TABLE[role]), f"{role}: {answer.status_code} at {entrance}"
            if not entrance.startswith("GET "):
                signed_in = await session_headers(parts, user_id)
                unproven = await ask(web, entrance, Cookie=signed_in["Cookie"])
                assert not let_in(entrance, unproven), f"{entrance} takes what another site's page sends"


async def session_headers(parts: Parts, user_id: int) -> dict[str, str]:
    """What a browser sends along from a page of the desk."""
    async with parts.database.transaction() as tx:
        cookie = await sessions.begin(tx, user_id, "password", address="", agent="", now=parts.clock())
    names = Cookies(parts.settings.desk_url)
    proven = proof(parts.tokens, cookie, now=parts.clock())
    return {
        "Cookie": f"{names.session_name}={cookie}; {names.proof_name}={proven}",
        "X-CSRF-Token": form_token(parts.tokens, cookie),
    }


def test_the_way_through_a_provider_is_for_anybody_and_all_that_it_adds(parts: Parts) -> None:
    provider = ProviderSettings("https://id.example.com", "stormdesk", "secret", "groups", {})
    with_it = replace(parts, settings=replace(parts.settings, provider=provider))
    found = dict(entrances(inner(create_app(with_it))))
    added = found.keys() - dict(entrances(inner(create_app(parts)))).keys()
    assert added == {"GET /desk/sign-in/provider", "GET /desk/sign-in/provider/back"}
    assert all(right_of(found[entrance]) is None for entrance in added)


def test_every_right_is_somebodys_and_every_route_names_one_we_know(parts: Parts) -> None:
    named = {right for _, route in entrances(inner(create_app(parts))) if (right := right_of(route)) is not None}
    assert named <= set(RIGHTS)
    assert set().union(*TABLE.values()) == set(RIGHTS)


def test_a_route_that_says_nothing_keeps_the_application_from_starting(parts: Parts) -> None:
    def forgotten(_: object) -> PlainTextResponse:
        return PlainTextResponse("")

    @needs("everything")
    def unknown(_: object) -> PlainTextResponse:
        return PlainTextResponse("")

    for route in (Route("/new", forgotten), Route("/new", unknown), Mount("/hidden", routes=[])):
        with pytest.raises(Undeclared):
            shut([route], parts)


def test_a_desk_with_an_address_of_its_own_is_found_nowhere_else(database_url: str, tmp_path: Path) -> None:
    parts = parts_for(database_url, tmp_path, desk_bind=Bind("127.0.0.1", 8443))
    public = {entrance for entrance, _ in entrances(inner(create_app(parts)))}
    desk = {entrance for entrance, _ in entrances(inner(create_desk_app(parts)))}
    assert not public & desk
    assert {route for route in public if "/desk" in route} == set()
    assert {"GET /desk/sign-in", "POST /api/v1/incidents", "GET /api/v1/cases"} <= desk
    assert {"POST /claim", "POST /api/v1/contacts", "GET /metrics"} <= public
