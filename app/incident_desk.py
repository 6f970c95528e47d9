"""Incidents in the console: what is going on, declaring one in under a minute, and one incident with all its facts.

It shows what `incidents` tells and hands it what people type; a refused form comes back with what was typed in it.
Writing and publishing updates stands in `update_desk`.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from app.colleague_pages import StaffList
from app.desk import Desk
from app.forms import every, local_field, moment_in, read_body, read_form
from foundation.access import needs
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid, Refusal
from foundation.languages import SPOKEN
from incidents.alerts import alerts_of, declare_draft, dismiss
from incidents.audience import dispatch_key
from incidents.choices import all_groups, all_parties, named_components
from incidents.confirmations import Confirmation, confirmations_of, note_confirmation
from incidents.journal import timeline
from incidents.leading import ROLES, assign, reopen, roles_of
from incidents.lifecycle import SEVERITIES, Declaration, Impact
from incidents.notice import notice_clock
from incidents.promises import promises_of
from incidents.publishing import amend, declare
from incidents.records import Incident, find_incident, list_incidents, standing_promise, updates_of
from incidents.responses import actor_of

Handler = Callable[[Request], Awaitable[Response]]
SHOWN_OVER = 20  # of those that are over, the newest
_IMPACTS = get_args(Impact)


@dataclass(frozen=True, slots=True)
class Line:
    """An incident in the list. `promised`: when its next update is due; `drafts`: updates that wait to be approved."""

    incident: Incident
    promised: datetime | None
    drafts: int
    published: int


def routes(desk: Desk) -> list[BaseRoute]:
    """The pages of incidents."""
    pages = _IncidentPages(desk)
    one = "/desk/incidents/{id}"
    return [
        Route("/desk/incidents", pages.list, methods=["GET"]),
        Route("/desk/incidents/new", pages.new, methods=["GET"]),
        Route("/desk/incidents/new", pages.declare, methods=["POST"]),
        Route(one, pages.show, methods=["GET"]),
        Route(f"{one}/declare", pages.new_from_draft, methods=["GET"]),
        Route(f"{one}/declare", pages.declare_draft, methods=["POST"]),
        *(Route(f"{one}/{name}", pages.doing(name), methods=["POST"]) for name in pages.deeds),
    ]


class _IncidentPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._zone = desk.parts.settings.page_time_zone
        self.deeds: Mapping[str, Callable[[Tx, Request, Mapping[str, str]], Awaitable[None]]] = {
            "standing": self._standing,
            "role": self._role,
            "confirmation": self._confirm,
            "reopen": self._reopen,
            "dismiss": self._dismiss,
        }

    @needs("incidents.read")
    async def list(self, request: Request) -> Response:
        async with self._database.snapshot() as tx:
            going_on = [await _line(tx, one) for one in await list_incidents(tx, over=False)]
            over = await list_incidents(tx, over=True, limit=SHOWN_OVER)
        return self._desk.scripted_page(
            request, "app/incidents.html", going_on=going_on, over=over, now=self._clock(), spoken=SPOKEN
        )

    @needs("incidents.declare")
    async def new(self, request: Request) -> Response:
        return await self._form(request)

    @needs("incidents.declare")
    async def declare(self, request: Request) -> Response:
        body, typed = await read_body(request), await read_form(request)
        groups = every(body, "groups")
        try:
            async with self._database.transaction() as tx:
                declared = await declare(
                    tx, actor_of(request), await self._declaration(tx, typed, groups), now=self._clock()
                )
        except Invalid as refused:
            return await self._form(request, 422, refused=refused, typed=typed, groups=groups)
        request.state.about = declared.id
        return self._desk.to(f"/desk/incidents/{declared.id}/updates/new")

    @needs("incidents.declare")
    async def new_from_draft(self, request: Request) -> Response:
        """The form for what an alert opened. Its title is a machine's: people read it, customers never do."""
        async with self._database.snapshot() as tx:
            draft = await find_incident(tx, request.path_params["id"])
        typed = {"started_at": local_field(draft.started_at, self._zone)}
        return await self._form(request, typed=typed, draft=draft)

    @needs("incidents.declare")
    async def declare_draft(self, request: Request) -> Response:
        body, typed = await read_body(request), await read_form(request)
        groups, incident_id = every(body, "groups"), request.path_params["id"]
        async with self._database.snapshot() as tx:
            draft = await find_incident(tx, incident_id)
        try:
            async with self._database.transaction() as tx:
                declared = await self._declaration(tx, typed, groups)
                await declare_draft(tx, actor_of(request), incident_id, declared, now=self._clock())
        except (Invalid, Conflict) as refused:
            status = 422 if isinstance(refused, Invalid) else 409
            return await self._form(request, status, refused=refused, typed=typed, groups=groups, draft=draft)
        return self._desk.to(f"/desk/incidents/{incident_id}/updates/new")

    async def _declaration(self, tx: Tx, typed: Mapping[str, str], groups: Sequence[str]) -> Declaration:
        now = self._clock()
        title = {one: typed[f"title.{one}"] for one in SPOKEN if typed.get(f"title.{one}", "").strip()}
        return Declaration(
            title=title,
            impact=_impact(typed.get("impact", "")),
            started_at=moment_in(typed, "started_at", self._zone) or now,
            components=await named_components(tx, typed.get("components", "").splitlines()),
            groups=groups,
            severity=_number(typed.get("severity", "")),
            exercise=bool(typed.get("exercise")),
        )

    async def _form(
        self,
        request: Request,
        status: int = 200,
        *,
        refused: Refusal | None = None,
        typed: Mapping[str, str] | None = None,
        groups: Sequence[str] = (),
        draft: Incident | None = None,
    ) -> Response:
        async with self._database.snapshot() as tx:
            offered = await all_groups(tx)
            noted = await alerts_of(tx, draft.id) if draft else []
        return self._desk.scripted_page(
            request,
            "app/declare.html",
            status,
            offered=offered,
            draft=draft,
            noted=noted,
            refused=refused,
            faults=faults_by_field(refused),
            typed=defaultdict(str, typed or {}),
            ticked=groups,
            severities=SEVERITIES,
            impacts=_IMPACTS,
            spoken=SPOKEN,
        )

    @needs("incidents.read")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    def doing(self, name: str) -> Handler:
        """The handler of one deed: does it and shows the incident, or shows what is wrong with what was typed."""

        @needs("incidents.declare")
        async def do(request: Request) -> Response:
            typed = await read_form(request)
            try:
                async with self._database.transaction() as tx:
                    await self.deeds[name](tx, request, typed)
            except (Invalid, Conflict) as refused:
                status = 422 if isinstance(refused, Invalid) else 409
                return await self._page(request, status, refused=refused, deed=name, typed=typed)
            return self._desk.to(f"/desk/incidents/{request.path_params['id']}?did={name}")

        return do

    async def _standing(self, tx: Tx, request: Request, typed: Mapping[str, str]) -> None:
        impact = typed.get("impact", "")
        minutes = _number(typed.get("notice_limit", ""))
        await amend(
            tx,
            actor_of(request),
            request.path_params["id"],
            impact="computed" if impact == "computed" else _impact(impact),
            severity=_number(typed.get("severity", "")),
            aware_at=moment_in(typed, "aware_at", self._zone),
            notice_limit=None if minutes is None else timedelta(minutes=minutes),
            now=self._clock(),
        )

    async def _role(self, tx: Tx, request: Request, typed: Mapping[str, str]) -> None:
        role = typed.get("role", "")
        if role not in ROLES:
            raise Invalid("Choose which role.", [Fault("role", "Choose which role.")])
        await assign(
            tx,
            actor_of(request),
            request.path_params["id"],
            role,
            holder=typed.get("holder", "").strip() or None,
            staff=StaffList(self._clock),
            now=self._clock(),
        )

    async def _confirm(self, tx: Tx, request: Request, typed: Mapping[str, str]) -> None:
        keys = await named_components(tx, [typed.get("component", "")])
        if not keys:
            raise Invalid("Say which component.", [Fault("component", "Say which component.")])
        now = self._clock()
        said = Confirmation(
            party=typed.get("party", ""),
            component=keys[0],
            what="restoration" if typed.get("what") == "restoration" else "cause",
            confirmed_at=moment_in(typed, "confirmed_at", self._zone) or now,
            evidence=typed.get("evidence", ""),
        )
        await note_confirmation(tx, actor_of(request), request.path_params["id"], said, now=now)

    async def _reopen(self, tx: Tx, request: Request, typed: Mapping[str, str]) -> None:
        await reopen(tx, actor_of(request), request.path_params["id"], reason=typed.get("why", ""), now=self._clock())

    async def _dismiss(self, tx: Tx, request: Request, typed: Mapping[str, str]) -> None:
        await dismiss(tx, actor_of(request), request.path_params["id"], reason=typed.get("why", ""), now=self._clock())

    async def _page(
        self,
        request: Request,
        status: int = 200,
        *,
        refused: Refusal | None = None,
        deed: str = "",
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        now = self._clock()
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            updates = await updates_of(tx, incident.id)
            said = [one.id for one in updates if one.state == "published"]
            arrived = {one: await notify.delivery_summary(tx, dispatch_key(one)) for one in said}
            shown: dict[str, Any] = {
                "roles": await roles_of(tx, incident.id),
                "clock": await notice_clock(tx, incident.id, now=now, usual=self._desk.parts.settings.notice_limit),
                "promised": await standing_promise(tx, incident.id),
                "promises": await promises_of(tx, incident.id),
                "confirmed": await confirmations_of(tx, incident.id),
                "story": await timeline(tx, incident.id),
                "parties": await all_parties(tx),
                "noted": await alerts_of(tx, incident.id),
            }
        return self._desk.scripted_page(
            request,
            "app/incident.html",
            status,
            incident=incident,
            updates=list(reversed(updates)),
            arrived=arrived,
            refused=refused,
            faults=faults_by_field(refused),
            deed=deed,
            typed=defaultdict(str, typed or {}),
            did=request.query_params.get("did", ""),
            severities=SEVERITIES,
            impacts=_IMPACTS,
            now=now,
            **shown,
        )


async def _line(tx: Tx, incident: Incident) -> Line:
    said = await updates_of(tx, incident.id)
    drafts = sum(one.state in ("draft", "approved") for one in said)
    published = sum(one.state == "published" for one in said)
    return Line(incident, await standing_promise(tx, incident.id), drafts, published)


def faults_by_field(refused: Refusal | None) -> dict[str, str]:
    """What is wrong, by the field it stands at."""
    found: dict[str, str] = {}
    for fault in refused.faults if isinstance(refused, Invalid) else ():
        found.setdefault(fault.field, fault.message)
    return found


def _impact(text: str) -> Impact | None:
    return cast("Impact", text) if text in _IMPACTS else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
