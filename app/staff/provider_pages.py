"""The way in through an identity provider: off to it, and back."""

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import sessions
from app.audit import Deed, record
from app.desk import Desk, local_path
from app.staff.accounts import take_in
from app.staff.pages import address_of, agent_of, proven
from app.staff.provider import JOURNEY_SECONDS, Provider, ProviderFailed, Vouched
from foundation.access import for_anybody

BACK = "/desk/sign-in/provider/back"
_log = structlog.get_logger()


def routes(desk: Desk, provider: Provider) -> list[BaseRoute]:
    """The routes of the way through `provider`."""
    pages = _ProviderPages(desk, provider)
    return [
        Route("/desk/sign-in/provider", pages.begin, methods=["GET"]),
        Route(BACK, pages.back, methods=["GET"]),
    ]


class _ProviderPages:
    def __init__(self, desk: Desk, provider: Provider) -> None:
        self._desk = desk
        self._provider = provider

    @for_anybody
    async def begin(self, request: Request) -> Response:
        try:
            url, cookie = await self._provider.begin(
                local_path(request.query_params.get("next", "")), again="again" in request.query_params
            )
        except ProviderFailed as error:
            return self._failed(str(error))
        answer = self._desk.to(url)
        self._desk.cookies.set_journey(answer, cookie, JOURNEY_SECONDS)
        return answer

    @for_anybody
    async def back(self, request: Request) -> Response:
        try:
            somebody = await self._provider.finish(request.query_params, self._desk.cookies.journey(request.cookies))
        except ProviderFailed as error:
            return self._failed(str(error))
        return await self._enter(request, somebody)

    async def _enter(self, request: Request, somebody: Vouched) -> Response:
        parts, address = self._desk.parts, address_of(request)
        token = None
        async with parts.database.transaction() as tx:
            now = parts.clock()
            user = await take_in(
                tx,
                issuer=somebody.issuer,
                subject=somebody.subject,
                name=somebody.name,
                shown_name=somebody.shown_name,
                roles=somebody.roles,
                now=now,
            )
            if user is not None:
                agent = agent_of(request)
                token = await sessions.begin(tx, user.id, "provider", address=address, agent=agent, now=now)
            name, outcome = (user.name, "done") if user is not None else (somebody.name, "no role")
            await record(tx, Deed(f"staff:{name}", "sign in by provider", "desk", outcome, address), now=now)
        if token is None:
            return self._away("no-role")
        answer = self._desk.to(local_path(somebody.onward))
        self._desk.cookies.begin_session(answer, token, "")
        if somebody.proven:
            proven(self._desk, answer, token)
        self._desk.cookies.end_journey(answer)
        return answer

    def _failed(self, why: str) -> Response:
        _log.warning("sign-in by provider failed", why=why)
        return self._away("provider")

    def _away(self, failed: str) -> Response:
        answer = self._desk.to(f"/desk/sign-in?failed={failed}")
        self._desk.cookies.end_journey(answer)
        return answer
