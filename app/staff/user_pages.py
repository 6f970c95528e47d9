"""Pages on which administrators look after people: who has an account, with which roles, and who comes in how."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import sessions
from app.desk import Desk
from app.forms import every, read_body, read_form
from app.rights import RIGHTS, ROLES, TABLE
from app.staff.accounts import add_user, close_account, list_users, open_link, reopen_account, set_roles
from app.staff.telling import tell_owner
from foundation.access import needs
from foundation.errors import NotFound, Refusal

_BACK = "/desk/users"


def routes(desk: Desk) -> list[BaseRoute]:
    """The routes of looking after people."""
    pages = _UserPages(desk)
    return [
        Route("/desk/users", pages.show, methods=["GET"]),
        Route("/desk/users", pages.add, methods=["POST"]),
        Route("/desk/users/{id}/roles", pages.roles, methods=["POST"]),
        Route("/desk/users/{id}/link", pages.link, methods=["POST"]),
        Route("/desk/users/{id}/close", pages.close, methods=["POST"]),
        Route("/desk/users/{id}/reopen", pages.reopen, methods=["POST"]),
        Route("/desk/users/{id}/sign-out", pages.sign_out, methods=["POST"]),
    ]


class _UserPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock

    @needs("users.manage")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("users.manage")
    async def add(self, request: Request) -> Response:
        body = await read_body(request)
        typed = await read_form(request)
        name, shown, roles = typed.get("name", ""), typed.get("shown_name", ""), every(body, "roles")
        request.state.about = f"{name}: {', '.join(roles)}"
        try:
            async with self._database.transaction() as tx:
                user_id = await add_user(tx, name, roles, shown_name=shown)
                token = await open_link(tx, user_id, now=self._clock())
        except Refusal as refused:
            return await self._refused(request, refused, typed={"name": name, "shown_name": shown, "roles": roles})
        return await self._page(request, link=self._address(token), link_for=name.strip().lower())

    @needs("users.manage")
    async def roles(self, request: Request) -> Response:
        roles = every(await read_body(request), "roles")
        request.state.about = ", ".join(roles)
        try:
            async with self._database.transaction() as tx:
                await set_roles(tx, _id(request), roles, now=self._clock())
        except Refusal as refused:
            return await self._refused(request, refused)
        return self._desk.to(_BACK)

    @needs("users.manage")
    async def link(self, request: Request) -> Response:
        try:
            async with self._database.transaction() as tx:
                token = await open_link(tx, _id(request), now=self._clock())
                everybody = await list_users(tx, now=self._clock())
        except Refusal as refused:
            return await self._refused(request, refused)
        name = next(user.name for user in everybody if user.id == _id(request))
        return await self._page(request, link=self._address(token), link_for=name)

    @needs("users.manage")
    async def close(self, request: Request) -> Response:
        try:
            async with self._database.transaction() as tx:
                await close_account(tx, _id(request), now=self._clock())
        except Refusal as refused:
            return await self._refused(request, refused)
        return self._desk.to(_BACK)

    @needs("users.manage")
    async def reopen(self, request: Request) -> Response:
        async with self._database.transaction() as tx:
            await reopen_account(tx, _id(request))
        return self._desk.to(_BACK)

    @needs("users.manage")
    async def sign_out(self, request: Request) -> Response:
        async with self._database.transaction() as tx:
            await sessions.end_all(tx, _id(request), "ended by an administrator", now=self._clock())
            await tell_owner(tx, _id(request), "signed out")
        return self._desk.to(_BACK)

    async def _refused(self, request: Request, refused: Refusal, **more: object) -> Response:
        faults = {fault.field: fault.message for fault in refused.faults}
        said = "" if faults else refused.message
        return await self._page(request, 422, said=said, faults=faults, **more)

    async def _page(self, request: Request, status: int = 200, **more: object) -> Response:
        async with self._database.snapshot() as tx:
            everybody = await list_users(tx, now=self._clock())
        shared = frozenset.intersection(*TABLE.values())  # what everybody may need not be said of each
        context = {
            "people": everybody,
            "roles": {role: [RIGHTS[right] for right in RIGHTS if right in TABLE[role] - shared] for role in ROLES},
            "link": "",
            "link_for": "",
            "said": "",
            "faults": {},
            "typed": {"name": "", "shown_name": "", "roles": []},
            **more,
        }
        return self._desk.page(request, "app/users.html", status, **context)

    def _address(self, token: str) -> str:
        return f"{self._desk.parts.settings.desk_url}/desk/welcome/{token}"


def _id(request: Request) -> int:
    text = request.path_params["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise NotFound("There is no such account.", code="no_such_account")
    return int(text)
