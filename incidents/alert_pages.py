"""Where machines report that something looks wrong, and where staff decide what that means."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from foundation.access import for_anybody, needs
from foundation.calls import Refusals, call, read_body
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Conflict, Invalid, NotFound
from incidents.alert_payloads import (
    AlertmanagerBody,
    SignedAlertBody,
    bad_signature,
    check_signature,
    read_alertmanager,
    read_signed,
)
from incidents.alerts import (
    LabelMeaning,
    NotedAlert,
    Taken,
    alerts_of,
    declare_draft,
    dismiss,
    is_new_signature,
    map_label,
    mappings,
    take_alerts,
)
from incidents.bodies import IncidentBody, Names
from incidents.leading_pages import ReasonBody
from incidents.records import Incident, find_incident
from incidents.responses import actor_of, json_response

# One notice of five hundred alerts with long labels is far below.
LARGEST = 512 << 10
_NO_DRAFT: Refusals = {NotFound: ("no_such_incident",), Conflict: ("no_draft",)}
_ABOUT_SIGNATURES = {
    "X-Stormdesk-Timestamp": "Seconds since 1970. Good for five minutes on either side.",
    "X-Stormdesk-Signature": "HMAC-SHA-256, in hex, of the timestamp, a full stop and the body, with the secret.",
}


class MeaningBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a label with this value means: keys of components, names of groups. Neither: nothing of ours."""

    label: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    value: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    components: Names = []
    groups: Names = []


class Meanings(msgspec.Struct, kw_only=True, frozen=True):
    """What labels of alerts mean."""

    mappings: Sequence[LabelMeaning]


class Alerts(msgspec.Struct, kw_only=True, frozen=True):
    """The alerts noted with an incident, those that are on first."""

    alerts: Sequence[NotedAlert]


def alert_routes(*, database: Database, clock: Clock, secrets: Mapping[str, bytes]) -> list[BaseRoute]:
    """`secrets`: of each system that sends signed alerts, by its name."""
    api = _Alerts(database, clock, secrets)
    return [
        Route("/api/v1/alerts/alertmanager", api.alertmanager, methods=["POST"]),
        Route("/api/v1/alerts/signed/{source}", api.signed, methods=["POST"]),
        Route("/api/v1/alert-mappings", api.mappings, methods=["GET"]),
        Route("/api/v1/alert-mappings", api.map_label, methods=["PUT"]),
        Route("/api/v1/incidents/{id}/alerts", api.show, methods=["GET"]),
        Route("/api/v1/incidents/{id}/declare", api.declare, methods=["POST"]),
        Route("/api/v1/incidents/{id}/dismiss", api.dismiss, methods=["POST"]),
    ]


class _Alerts:
    def __init__(self, database: Database, clock: Clock, secrets: Mapping[str, bytes]) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets

    @needs("alerts.send")
    @call(
        takes=AlertmanagerBody,
        gives=Taken,
        status=202,
        refuses={Invalid: ("no_notification", "too_large")},
    )
    async def alertmanager(self, request: Request) -> Response:
        """Prometheus Alertmanager's webhook, version 4: alerts that are news open a draft incident.

        Repeats are noted with it; so is that an alert is over, which ends nothing by itself.
        """
        notice = read_alertmanager(_small(await request.body()), f"alertmanager:{actor_of(request).name}")
        async with self._database.transaction() as tx:
            return json_response(await take_alerts(tx, notice, now=self._clock()), 202)

    @for_anybody
    @call(
        takes=SignedAlertBody,
        gives=Taken,
        status=202,
        headers=_ABOUT_SIGNATURES,
        refuses={Invalid: ("bad_signature", "too_large")},
    )
    async def signed(self, request: Request) -> Response:
        """An alert from any other system, signed with the secret we share with it. The same request again does nothing.

        The same `key` again is noted with the incident that it opened.
        """
        raw, now, source = _small(await request.body()), self._clock(), request.path_params["source"]
        secret = self._secrets.get(source)
        if secret is None:
            raise bad_signature()
        headers = request.headers
        timestamp, signature = headers.get("x-stormdesk-timestamp", ""), headers.get("x-stormdesk-signature", "")
        right = check_signature(secret, timestamp, raw, signature, now)
        notice = read_signed(read_body(raw, SignedAlertBody), f"signed:{source}", now)
        async with self._database.transaction() as tx:
            taken = Taken(None, opened=False)
            if await is_new_signature(tx, right, now=now):
                taken = await take_alerts(tx, notice, now=now)
        return json_response(taken, 202)

    @needs("incidents.read")
    @call(gives=Meanings)
    async def mappings(self, request: Request) -> Response:
        """What labels of alerts mean, besides those that name a component outright."""
        async with self._database.snapshot() as tx:
            return json_response(Meanings(mappings=await mappings(tx)))

    @needs("components.manage")
    @call(takes=MeaningBody, gives=Meanings)
    async def map_label(self, request: Request) -> Response:
        """Say what a label with a value means, instead of what it meant."""
        body = read_body(await request.body(), MeaningBody)
        async with self._database.transaction() as tx:
            await map_label(tx, body.label, body.value, component_keys=body.components, groups=body.groups)
            return json_response(Meanings(mappings=await mappings(tx)))

    @needs("incidents.read")
    @call(gives=Alerts, refuses={NotFound: ("no_such_incident",)})
    async def show(self, request: Request) -> Response:
        """The alerts noted with an incident."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(Alerts(alerts=await alerts_of(tx, incident.id)))

    @needs("incidents.declare")
    @call(takes=IncidentBody, gives=Incident, refuses=_NO_DRAFT)
    async def declare(self, request: Request) -> Response:
        """Declare what an alert opened: from here on it is an incident like any other.

        We have known since the alert came in, unless `aware_at` says otherwise.
        """
        body, now = read_body(await request.body(), IncidentBody), self._clock()
        async with self._database.transaction() as tx:
            incident_id = request.path_params["id"]
            declared = await declare_draft(tx, actor_of(request), incident_id, body.declaration(now), now=now)
        return json_response(declared)

    @needs("incidents.declare")
    @call(takes=ReasonBody, gives=Incident, refuses=_NO_DRAFT)
    async def dismiss(self, request: Request) -> Response:
        """Say that what an alert opened is no incident, and why. The alert opens another when it fires anew."""
        body = read_body(await request.body(), ReasonBody)
        async with self._database.transaction() as tx:
            incident_id, now = request.path_params["id"], self._clock()
            found = await dismiss(tx, actor_of(request), incident_id, reason=body.reason, now=now)
        return json_response(found)


def _small(raw: bytes) -> bytes:
    if len(raw) > LARGEST:
        raise Invalid("This is more than any alert needs to say.", code="too_large")
    return raw
