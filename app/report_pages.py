"""The reports of incidents at the desk: which there can be, and each as one page to keep, print or hand on."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.answers import GUARDS
from app.desk import PRIVATE, Desk
from app.reports import drawn_report, style_source
from foundation.access import needs
from metrics.report import incidents_to_report

Handler = Callable[[Request], Awaitable[Response]]
_NOT_IN_A_NAME = 12  # characters of an incident's id; anything longer was not found anyway


def routes(desk: Desk) -> list[BaseRoute]:
    """`/desk/reports` and `/desk/reports/{id}`; `?download` gives the page as a file."""
    return [
        Route("/desk/reports", _list(desk), methods=["GET"]),
        Route("/desk/reports/{id}", _report(desk), methods=["GET"]),
    ]


def _list(desk: Desk) -> Handler:
    @needs("exports.read")
    async def listed(request: Request) -> Response:
        async with desk.parts.database.snapshot() as tx:
            found = await incidents_to_report(tx)
        return desk.page(request, "app/reports.html", incidents=found)

    return listed


def _report(desk: Desk) -> Handler:
    @needs("exports.read")
    async def report(request: Request) -> Response:
        incident = request.path_params["id"]
        page = await drawn_report(desk.parts, incident, desk.language(request))
        # The page carries its own style, so that it can be kept as a file; that sheet and nothing else is let in.
        policy = f"default-src 'none'; style-src {style_source(page)}; frame-ancestors 'none'"
        headers = {**GUARDS, **PRIVATE, "content-security-policy": policy}
        if "download" in request.query_params:
            headers["Content-Disposition"] = f'attachment; filename="incident-{incident[:_NOT_IN_A_NAME]}.html"'
        return HTMLResponse(page, headers=headers)

    return report
