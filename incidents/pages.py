"""The staff API of incidents, under /api/v1. It speaks HTTP, opens the transactions and knows no rules."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from foundation.access import needs
from foundation.actors import Actor
from foundation.calls import Refusals, call, read_body
from foundation.clock import Clock
from foundation.database import Database, DatabaseAway, Tx
from foundation.errors import Conflict, NotFound
from incidents.answers import CustomerHistory, IncidentShown, PublishedUpdate, UpdatePreview, UpdateProgress
from incidents.bodies import IncidentBody, IncidentChanges, PublishBody, UpdateBody
from incidents.page_files import PageNotWritten
from incidents.publishing import (
    Compose,
    ComposeWebhook,
    Telling,
    amend,
    approve,
    declare,
    dispatch_key,
    draft_update,
    preview_sms,
    preview_update,
    publish,
)
from incidents.records import Incident, Update, find_incident, find_update, updates_of
from incidents.status_page import StatusPage

_log = structlog.get_logger()

_NO_INCIDENT: Refusals = {NotFound: ("no_such_incident",)}
_NO_UPDATE: Refusals = {NotFound: ("no_such_update",)}
_NOT_TO_STEER: Refusals = {NotFound: ("no_such_update", "not_sent"), Conflict: ("cancelled",)}

# What can be done to the telling of an update while it is under way.
STEERING = {"release": notify.release, "pause": notify.pause, "resume": notify.resume, "cancel": notify.cancel}


# What writes the texts of an update (`Composer.sms`), and what sending them costs.
Texting: TypeAlias = tuple[Callable[[Update], Sequence[notify.MessageText]], notify.Tariff]


def routes(
    *,
    database: Database,
    page: StatusPage,
    compose: Compose,
    clock: Clock,
    telling: Telling | None = None,
    compose_webhook: ComposeWebhook | None = None,
    texting: Texting | None = None,
) -> list[BaseRoute]:
    """Every route of incidents. `compose` writes an update's messages (`Composer.messages`), `compose_webhook` those
    to machines (`Composer.webhook`).

    `telling`: how updates are told when nothing else is said (quiet hours, and when texts stand in for mail).
    `texting`: None where no SMS is sent; then the preview of an update says nothing of it.
    """
    api = _Incidents(database, clock)
    said = _Updates(
        database, page, compose, clock, telling=telling or Telling(), compose_webhook=compose_webhook, texting=texting
    )
    return [
        Route("/api/v1/incidents", api.declare, methods=["POST"]),
        Route("/api/v1/incidents/{id}", api.show, methods=["GET"]),
        Route("/api/v1/incidents/{id}", api.amend, methods=["PATCH"]),
        Route("/api/v1/incidents/{id}/updates", said.draft, methods=["POST"]),
        Route("/api/v1/updates/{id}", said.show, methods=["GET"]),
        Route("/api/v1/updates/{id}/preview", said.preview, methods=["GET"]),
        Route("/api/v1/updates/{id}/approve", said.approve, methods=["POST"]),
        Route("/api/v1/updates/{id}/publish", said.publish, methods=["POST"]),
        Route("/api/v1/updates/{id}/deliveries", said.deliveries, methods=["GET"]),
        *(Route(f"/api/v1/updates/{{id}}/{act}", said.steer(act), methods=["POST"]) for act in STEERING),
        Route("/api/v1/customers/{number}/history", _history(database), methods=["GET"]),
    ]


class _Incidents:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @needs("incidents.declare")
    @call(takes=IncidentBody, gives=Incident, status=201, located=True)
    async def declare(self, request: Request) -> Response:
        """Declare an incident. It becomes public with its first published update."""
        now = self._clock()
        declared = read_body(await request.body(), IncidentBody).declaration(now)
        async with self._database.transaction() as tx:
            incident = await declare(tx, _actor(request), declared, now=now)
        return _json(incident, 201, location=f"/api/v1/incidents/{incident.id}")

    @needs("incidents.read")
    @call(gives=IncidentShown, refuses=_NO_INCIDENT)
    async def show(self, request: Request) -> Response:
        """An incident, with everything said or about to be said about it."""
        async with self._database.snapshot() as tx:
            return _json(await _with_updates(tx, request.path_params["id"]))

    @needs("incidents.declare")
    @call(takes=IncidentChanges, gives=Incident, refuses=_NO_INCIDENT)
    async def amend(self, request: Request) -> Response:
        """Correct what an incident is called, how bad it is or since when, and add to what it concerns.

        What is added counts from the next update on. Phases move by updates only.
        """
        changes = read_body(await request.body(), IncidentChanges).changes()
        async with self._database.transaction() as tx:
            amended = await amend(tx, _actor(request), request.path_params["id"], **changes, now=self._clock())
        return _json(amended)


class _Updates:
    def __init__(
        self,
        database: Database,
        page: StatusPage,
        compose: Compose,
        clock: Clock,
        *,
        telling: Telling,
        compose_webhook: ComposeWebhook | None,
        texting: Texting | None,
    ) -> None:
        self._telling = telling
        self._compose_webhook = compose_webhook
        self._texting = texting
        self._database = database
        self._page = page
        self._compose = compose
        self._clock = clock

    @needs("updates.write")
    @call(
        takes=UpdateBody,
        gives=Update,
        status=201,
        located=True,
        refuses={**_NO_INCIDENT, Conflict: ("resolved",)},
    )
    async def draft(self, request: Request) -> Response:
        """Write an update without publishing it. A draft is never edited: a better one is a new draft."""
        draft = read_body(await request.body(), UpdateBody).draft()
        incident_id = request.path_params["id"]
        async with self._database.transaction() as tx:
            written = await draft_update(tx, _actor(request), incident_id, draft, now=self._clock())
        return _json(written, 201, location=f"/api/v1/updates/{written.id}")

    @needs("incidents.read")
    @call(gives=Update, refuses=_NO_UPDATE)
    async def show(self, request: Request) -> Response:
        """An update, published or not."""
        async with self._database.snapshot() as tx:
            return _json(await find_update(tx, request.path_params["id"]))

    @needs("incidents.read")
    @call(gives=UpdatePreview, refuses=_NO_UPDATE)
    async def preview(self, request: Request) -> Response:
        """Whom publishing an update would reach, and what its texts would cost. Nothing is written."""
        update_id, now = request.path_params["id"], self._clock()
        channels: tuple[notify.Channel, ...] = (
            ("mail", "webhook") if self._texting is None else ("mail", "sms", "webhook")
        )
        async with self._database.snapshot() as tx:
            reach = await preview_update(tx, update_id, now=now, channels=channels)
            sms = None if self._texting is None else await preview_sms(tx, update_id, *self._texting, now=now)
        total = sum(one.recipients for one in reach)
        unreachable = sum(one.unreachable for one in reach)
        shown = msgspec.UNSET if sms is None else sms
        return _json(UpdatePreview(reach=reach, recipients=total, unreachable=unreachable, sms=shown))

    @needs("updates.approve")
    @call(gives=Update, refuses=_NO_UPDATE)
    async def approve(self, request: Request) -> Response:
        """Vouch for the exact text of a draft. Approving again changes nothing: the first name stays."""
        async with self._database.transaction() as tx:
            return _json(await approve(tx, _actor(request), request.path_params["id"], now=self._clock()))

    @needs("updates.publish")
    @call(
        takes=PublishBody,
        may_be_empty=True,
        gives=PublishedUpdate,
        refuses={**_NO_UPDATE, Conflict: ("not_approved", "promise_lapsed", "resolved")},
    )
    async def publish(self, request: Request) -> Response:
        """Say it: to everybody concerned, and on the page.

        Publishing again answers the same and tells nobody twice.
        """
        update_id = request.path_params["id"]
        wish = read_body(await request.body() or b"{}", PublishBody)
        telling = replace(self._telling, urgent=wish.urgent, hold=wish.hold, not_after=wish.not_after)
        async with self._database.transaction() as tx:
            said = await publish(
                tx,
                _actor(request),
                update_id,
                self._compose,
                now=self._clock(),
                telling=telling,
                compose_webhook=self._compose_webhook,
            )
            planned = await notify.delivery_summary(tx, dispatch_key(update_id))
        # Committed: from here on nothing may undo it. What fails to be drawn now the worker's loop draws.
        visible = await self._draw()
        published = PublishedUpdate(
            update=said.update, newly_published=said.newly, deliveries=planned, page_is_current=visible
        )
        return _json(published)

    @needs("deliveries.read")
    @call(gives=UpdateProgress, refuses=_NO_UPDATE)
    async def deliveries(self, request: Request) -> Response:
        """How the telling of an update stands: counts per channel, language and domain, and the time left."""
        async with self._database.snapshot() as tx:
            found = await find_update(tx, request.path_params["id"])
            progress = await notify.delivery_progress(tx, dispatch_key(found.id))
        return _json({"update_id": found.id, **msgspec.to_builtins(progress)})

    def steer(self, act: str) -> Callable[..., Any]:
        """The handler of one of `STEERING`; it answers how the telling stands then."""

        @needs("updates.publish")
        @call(gives=UpdateProgress, refuses=_NOT_TO_STEER)
        async def steer(request: Request) -> Response:
            async with self._database.transaction() as tx:
                found = await find_update(tx, request.path_params["id"])
                await STEERING[act](tx, dispatch_key(found.id))
                progress = await notify.delivery_progress(tx, dispatch_key(found.id))
            _log.info("telling steered", update=found.id, act=act, actor=str(_actor(request)))
            return _json({"update_id": found.id, **msgspec.to_builtins(progress)})

        steer.__doc__ = (STEERING[act].__doc__ or "").partition(" Raises ")[0]
        return steer

    async def _draw(self) -> bool:
        try:
            await self._page.refresh(self._database)
        except (PageNotWritten, OSError, DatabaseAway) as error:
            _log.error("status page not written", error=str(error))
            return False
        return True


def _history(database: Database) -> Callable[..., Any]:
    @needs("customers.read")
    @call(gives=CustomerHistory, refuses={NotFound: ("no_such_customer",)})
    async def history(request: Request) -> Response:
        """Everything a customer was told: when, over which channel, in which words, and what came of it."""
        number = request.path_params["number"]
        async with database.snapshot() as tx:
            return _json(CustomerHistory(customer_number=number, told=await notify.customer_history(tx, number)))

    return history


async def _with_updates(tx: Tx, incident_id: str) -> dict[str, Any]:
    incident = await find_incident(tx, incident_id)
    return {**msgspec.to_builtins(incident), "updates": await updates_of(tx, incident.id)}


def _actor(request: Request) -> Actor:
    actor = request.user.actor
    assert isinstance(actor, Actor)
    return actor


def _json(value: Any, status: int = 200, *, location: str | None = None) -> Response:
    headers = {"Cache-Control": "no-store", **({} if location is None else {"Location": location})}
    return Response(msgspec.json.encode(value), status, headers=headers, media_type="application/json")
