"""The staff API of updates, under /api/v1: writing, approving, publishing, and watching them arrive."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from foundation.access import needs
from foundation.calls import Refusals, call, read_body
from foundation.clock import Clock
from foundation.database import Database, DatabaseAway
from foundation.errors import Conflict, NotFound
from incidents.answers import PublishedUpdate, UpdateProgress
from incidents.approving import approve, bypass_approval
from incidents.audience import dispatch_key
from incidents.bodies import ApproveBody, BypassBody, PublishBody, UpdateBody, UpdateEdit
from incidents.drafting import discard_update, draft_update, edit_update, take_back
from incidents.page_files import PageNotWritten
from incidents.publishing import ComposeWebhook, Telling, publish
from incidents.records import Update, find_update
from incidents.responses import actor_of, json_response
from incidents.saying import Compose
from incidents.status_page import StatusPage
from incidents.update_preview import Preview, Texting, preview

_log = structlog.get_logger()

_NO_INCIDENT: Refusals = {NotFound: ("no_such_incident",)}
_NO_UPDATE: Refusals = {NotFound: ("no_such_update",)}
_NO_DRAFT: Refusals = {**_NO_UPDATE, Conflict: ("not_a_draft",)}
_NOT_TO_STEER: Refusals = {NotFound: ("no_such_update", "not_sent"), Conflict: ("cancelled",)}
_CANNOT_MOVE = ("not_declared", "no_such_move", "resolved")
_CANNOT_PUBLISH = ("not_approved", "approval_outdated", "not_a_draft", "promise_lapsed", *_CANNOT_MOVE)

# What can be done to the telling of an update while it is under way.
STEERING = {"release": notify.release, "pause": notify.pause, "resume": notify.resume, "cancel": notify.cancel}


@dataclass(frozen=True, slots=True)
class Publishing:
    """How an installation says things. `compose` writes an update's messages (`Composer.messages`), `compose_webhook`
    those to machines (`Composer.webhook`).

    `telling`: how updates are told when nothing else is said (quiet hours, and when texts stand in for mail).
    `texting`: None where no SMS is sent; then the preview of an update says nothing of it. `approvals`: how many others
    must approve an update.
    """

    compose: Compose
    compose_webhook: ComposeWebhook | None
    telling: Telling
    texting: Texting | None
    approvals: int


def update_routes(*, database: Database, page: StatusPage, clock: Clock, publishing: Publishing) -> list[BaseRoute]:
    """Every route of updates."""
    said = _Updates(database, page, clock, publishing)
    return [
        Route("/api/v1/incidents/{id}/updates", said.draft, methods=["POST"]),
        Route("/api/v1/updates/{id}", said.show, methods=["GET"]),
        Route("/api/v1/updates/{id}", said.edit, methods=["PUT"]),
        Route("/api/v1/updates/{id}/preview", said.preview, methods=["GET"]),
        Route("/api/v1/updates/{id}/approve", said.approve, methods=["POST"]),
        Route("/api/v1/updates/{id}/bypass", said.bypass, methods=["POST"]),
        Route("/api/v1/updates/{id}/take-back", said.take_back, methods=["POST"]),
        Route("/api/v1/updates/{id}/discard", said.discard, methods=["POST"]),
        Route("/api/v1/updates/{id}/publish", said.publish, methods=["POST"]),
        Route("/api/v1/updates/{id}/deliveries", said.deliveries, methods=["GET"]),
        *(Route(f"/api/v1/updates/{{id}}/{act}", said.steer(act), methods=["POST"]) for act in STEERING),
    ]


class _Updates:
    def __init__(self, database: Database, page: StatusPage, clock: Clock, publishing: Publishing) -> None:
        self._database = database
        self._page = page
        self._clock = clock
        self._how = publishing

    @needs("updates.write")
    @call(
        takes=UpdateBody,
        gives=Update,
        status=201,
        located=True,
        refuses={**_NO_INCIDENT, Conflict: _CANNOT_MOVE},
    )
    async def draft(self, request: Request) -> Response:
        """Write an update without publishing it."""
        draft = read_body(await request.body(), UpdateBody).draft()
        incident_id = request.path_params["id"]
        async with self._database.transaction() as tx:
            written = await draft_update(tx, actor_of(request), incident_id, draft, now=self._clock())
        return json_response(written, 201, location=f"/api/v1/updates/{written.id}")

    @needs("incidents.read")
    @call(gives=Update, refuses=_NO_UPDATE)
    async def show(self, request: Request) -> Response:
        """An update, published or not."""
        async with self._database.snapshot() as tx:
            return json_response(await find_update(tx, request.path_params["id"]))

    @needs("incidents.read")
    @call(gives=Preview, refuses=_NO_UPDATE)
    async def preview(self, request: Request) -> Response:
        """The exact text per channel and language, who gets it, what it costs, and what is doubtful.

        Nothing is written. `digest` is what an approval of exactly this names.
        """
        how = self._how
        async with self._database.snapshot() as tx:
            shown = await preview(
                tx,
                request.path_params["id"],
                how.compose,
                needed=how.approvals,
                texting=how.texting,
                now=self._clock(),
            )
        return json_response(shown)

    @needs("updates.write")
    @call(
        takes=UpdateEdit,
        gives=Update,
        refuses={**_NO_UPDATE, Conflict: ("not_a_draft", "edited_meanwhile", *_CANNOT_MOVE)},
    )
    async def edit(self, request: Request) -> Response:
        """Write a draft anew. Approvals given to the text before are gone."""
        body = read_body(await request.body(), UpdateEdit)
        async with self._database.transaction() as tx:
            edited = await edit_update(
                tx,
                actor_of(request),
                request.path_params["id"],
                body.draft(),
                now=self._clock(),
                revision=body.revision,
            )
        return json_response(edited)

    @needs("updates.approve")
    @call(
        takes=ApproveBody,
        may_be_empty=True,
        gives=Update,
        refuses={**_NO_UPDATE, Conflict: ("not_a_draft", "own_text", "changed_meanwhile")},
    )
    async def approve(self, request: Request) -> Response:
        """Vouch for the exact text and audience of a draft that somebody else wrote.

        Approving again changes nothing. With the last approval it needs, the update is approved.
        """
        seen = read_body(await request.body() or b"{}", ApproveBody).digest
        async with self._database.transaction() as tx:
            approved = await approve(
                tx,
                actor_of(request),
                request.path_params["id"],
                self._how.compose,
                now=self._clock(),
                needed=self._how.approvals,
                seen=seen,
            )
        return json_response(approved)

    @needs("updates.bypass")
    @call(takes=BypassBody, gives=Update, refuses=_NO_DRAFT)
    async def bypass(self, request: Request) -> Response:
        """Do without the approval of others, in an emergency. The reason is on record and stays with the update."""
        reason = read_body(await request.body(), BypassBody).reason
        request.state.reason = reason
        async with self._database.transaction() as tx:
            approved = await bypass_approval(
                tx, actor_of(request), request.path_params["id"], reason, self._how.compose, now=self._clock()
            )
        return json_response(approved)

    @needs("updates.write")
    @call(gives=Update, refuses=_NO_DRAFT)
    async def take_back(self, request: Request) -> Response:
        """Make an approved update a draft again, so that it can be changed."""
        async with self._database.transaction() as tx:
            return json_response(await take_back(tx, actor_of(request), request.path_params["id"], now=self._clock()))

    @needs("updates.write")
    @call(gives=Update, refuses=_NO_DRAFT)
    async def discard(self, request: Request) -> Response:
        """Put an update aside that was not published. It stays on record."""
        async with self._database.transaction() as tx:
            return json_response(
                await discard_update(tx, actor_of(request), request.path_params["id"], now=self._clock())
            )

    @needs("updates.publish")
    @call(
        takes=PublishBody,
        may_be_empty=True,
        gives=PublishedUpdate,
        refuses={
            **_NO_UPDATE,
            Conflict: ("not_approved", "approval_outdated", "not_a_draft", "promise_lapsed", *_CANNOT_MOVE),
        },
    )
    async def publish(self, request: Request) -> Response:
        """Say it: to everybody concerned, and on the page.

        Publishing again answers the same and tells nobody twice.
        """
        update_id = request.path_params["id"]
        wish = read_body(await request.body() or b"{}", PublishBody)
        telling = replace(self._how.telling, urgent=wish.urgent, hold=wish.hold, not_after=wish.not_after)
        async with self._database.transaction() as tx:
            said = await publish(
                tx,
                actor_of(request),
                update_id,
                self._how.compose,
                now=self._clock(),
                needed=self._how.approvals,
                telling=telling,
                compose_webhook=self._how.compose_webhook,
            )
            planned = await notify.delivery_summary(tx, dispatch_key(update_id))
        # Committed: from here on nothing may undo it. What fails to be drawn now the worker's loop draws.
        visible = await self._draw()
        published = PublishedUpdate(
            update=said.update, newly_published=said.newly, deliveries=planned, page_is_current=visible
        )
        return json_response(published)

    @needs("deliveries.read")
    @call(gives=UpdateProgress, refuses=_NO_UPDATE)
    async def deliveries(self, request: Request) -> Response:
        """How the telling of an update stands: counts per channel, language and domain, and the time left."""
        async with self._database.snapshot() as tx:
            found = await find_update(tx, request.path_params["id"])
            progress = await notify.delivery_progress(tx, dispatch_key(found.id))
        return json_response({"update_id": found.id, **msgspec.to_builtins(progress)})

    def steer(self, act: str) -> Callable[..., Any]:
        """The handler of one of `STEERING`; it answers how the telling stands then."""

        @needs("updates.publish")
        @call(gives=UpdateProgress, refuses=_NOT_TO_STEER)
        async def steer(request: Request) -> Response:
            async with self._database.transaction() as tx:
                found = await find_update(tx, request.path_params["id"])
                await STEERING[act](tx, dispatch_key(found.id))
                progress = await notify.delivery_progress(tx, dispatch_key(found.id))
            _log.info("telling steered", update=found.id, act=act, actor=str(actor_of(request)))
            return json_response({"update_id": found.id, **msgspec.to_builtins(progress)})

        steer.__doc__ = (STEERING[act].__doc__ or "").partition(" Raises ")[0]
        return steer

    async def _draw(self) -> bool:
        try:
            await self._page.refresh(self._database)
        except (PageNotWritten, OSError, DatabaseAway) as error:
            _log.error("status page not written", error=str(error))
            return False
        return True
