"""The staff API of incidents, under /api/v1. It speaks HTTP, opens the transactions and knows no rules."""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from foundation.access import needs
from foundation.calls import Refusals, call, read_body
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import NotFound
from incidents.answers import CustomerHistory, IncidentShown
from incidents.audience_pages import audience_routes
from incidents.bodies import IncidentBody, IncidentChanges
from incidents.publishing import amend, declare
from incidents.records import Incident, find_incident, updates_of
from incidents.responses import actor_of, json_response
from incidents.scope import draft_for_those_it_changes
from incidents.status_page import StatusPage
from incidents.update_pages import Publishing, update_routes
from incidents.update_templates import WriteMoment, plain_moment

_NO_INCIDENT: Refusals = {NotFound: ("no_such_incident",)}


def routes(
    *, database: Database, page: StatusPage, publishing: Publishing, clock: Clock, write: WriteMoment = plain_moment
) -> list[BaseRoute]:
    """Every route of incidents."""
    api = _Incidents(database, clock, write)
    return [
        Route("/api/v1/incidents", api.declare, methods=["POST"]),
        Route("/api/v1/incidents/{id}", api.show, methods=["GET"]),
        Route("/api/v1/incidents/{id}", api.amend, methods=["PATCH"]),
        *audience_routes(database=database, clock=clock, write=write),
        *update_routes(database=database, page=page, clock=clock, publishing=publishing),
        Route("/api/v1/customers/{number}/history", _history(database), methods=["GET"]),
    ]


class _Incidents:
    def __init__(self, database: Database, clock: Clock, write: WriteMoment) -> None:
        self._database = database
        self._clock = clock
        self._write = write

    @needs("incidents.declare")
    @call(takes=IncidentBody, gives=Incident, status=201, located=True)
    async def declare(self, request: Request) -> Response:
        """Declare an incident. It becomes public with its first published update."""
        now = self._clock()
        declared = read_body(await request.body(), IncidentBody).declaration(now)
        async with self._database.transaction() as tx:
            incident = await declare(tx, actor_of(request), declared, now=now)
        return json_response(incident, 201, location=f"/api/v1/incidents/{incident.id}")

    @needs("incidents.read")
    @call(gives=IncidentShown, refuses=_NO_INCIDENT)
    async def show(self, request: Request) -> Response:
        """An incident, with everything said or about to be said about it."""
        async with self._database.snapshot() as tx:
            return json_response(await _with_updates(tx, request.path_params["id"]))

    @needs("incidents.declare")
    @call(takes=IncidentChanges, gives=Incident, refuses=_NO_INCIDENT)
    async def amend(self, request: Request) -> Response:
        """Correct what an incident is called, how bad it is or since when, and add to what it concerns.

        What is added counts from the next update on, and for those newly concerned a draft is made. Phases move by
        updates only.
        """
        changes, now = read_body(await request.body(), IncidentChanges).changes(), self._clock()
        async with self._database.transaction() as tx:
            amended = await amend(tx, actor_of(request), request.path_params["id"], **changes, now=now)
            if (changes["components"] or changes["groups"]) and not amended.over:
                await draft_for_those_it_changes(tx, actor_of(request), amended.id, self._write, now=now)
        return json_response(amended)


def _history(database: Database) -> Callable[..., Any]:
    @needs("customers.read")
    @call(gives=CustomerHistory, refuses={NotFound: ("no_such_customer",)})
    async def history(request: Request) -> Response:
        """Everything a customer was told: when, over which channel, in which words, and what came of it."""
        number = request.path_params["number"]
        async with database.snapshot() as tx:
            return json_response(
                CustomerHistory(customer_number=number, told=await notify.customer_history(tx, number))
            )

    return history


async def _with_updates(tx: Tx, incident_id: str) -> dict[str, Any]:
    incident = await find_incident(tx, incident_id)
    return {**msgspec.to_builtins(incident), "updates": await updates_of(tx, incident.id)}
