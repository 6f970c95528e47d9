"""Updates in the console: writing with a live preview, approving exactly what will go out, publishing, and steering.

A preview of what is being typed is the preview of a draft that is written and taken back in one transaction, so it can
never differ from what an approver will see.
"""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from app.desk import Desk
from app.forms import local_field, moment_in, read_form
from app.incident_desk import faults_by_field
from foundation.access import needs
from foundation.database import DatabaseAway, Tx
from foundation.errors import Conflict, Fault, Invalid, Refusal
from foundation.languages import SPOKEN
from incidents.approving import approve, bypass_approval
from incidents.audience import dispatch_key
from incidents.choices import all_parties
from incidents.drafting import discard_update, draft_update, edit_update, take_back
from incidents.lifecycle import MOVES, Certainty, ComponentStatus, Draft, Impact, Phase
from incidents.page_files import PageNotWritten
from incidents.publishing import publish
from incidents.records import Incident, Update, find_incident, find_update
from incidents.responses import actor_of
from incidents.scope import overlaps, preview_audience
from incidents.segments import all_segments
from incidents.status_page import StatusPage
from incidents.update_pages import STEERING, Publishing
from incidents.update_preview import Preview, preview, published_texts
from incidents.update_templates import WriteMoment, all_templates, start_from
from incidents.wording import LANGUAGES, Link, SegmentAdvice, UpdateText

Handler = Callable[[Request], Awaitable[Response]]
_FIELDS = ("title", "body", "advice", "cause", "wrong")
_LINK = re.compile(r"\s*(.*?)\s*[|\s]\s*((?:https:|tel:|mailto:)\S+)\s*")
# What is promised unless somebody chooses otherwise: people look again within the hour.
USUAL_PROMISE = timedelta(minutes=60)


def routes(desk: Desk, publishing: Publishing, page: StatusPage, write: WriteMoment) -> list[BaseRoute]:
    """The pages of updates."""
    pages = _UpdatePages(desk, publishing, page, write)
    of, one = "/desk/incidents/{id}/updates", "/desk/updates/{id}"
    return [
        Route(f"{of}/new", pages.new, methods=["GET"]),
        Route(f"{of}/new", pages.draft, methods=["POST"]),
        Route(f"{of}/preview", pages.look, methods=["POST"]),
        Route(one, pages.show, methods=["GET"]),
        Route(f"{one}/progress", pages.progress, methods=["GET"]),
        Route(f"{one}/edit", pages.edit, methods=["GET"]),
        Route(f"{one}/edit", pages.save, methods=["POST"]),
        Route(f"{one}/approve", pages.doing("updates.approve", pages.approve), methods=["POST"]),
        Route(f"{one}/bypass", pages.doing("updates.bypass", pages.bypass), methods=["POST"]),
        Route(f"{one}/take-back", pages.doing("updates.write", pages.take_back), methods=["POST"]),
        Route(f"{one}/discard", pages.doing("updates.write", pages.discard), methods=["POST"]),
        Route(f"{one}/publish", pages.publish, methods=["POST"]),
        *(Route(f"{one}/{act}", pages.steering(act), methods=["POST"]) for act in STEERING),
    ]


class _UpdatePages:
    def __init__(self, desk: Desk, publishing: Publishing, page: StatusPage, write: WriteMoment) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._zone = desk.parts.settings.page_time_zone
        self._how = publishing
        self._page = page
        self._write = write

    # Writing

    @needs("updates.write")
    async def new(self, request: Request) -> Response:
        """The empty form, or one begun from a template (`?template=`) or as a correction (`?corrects=`)."""
        promise = self._clock() + USUAL_PROMISE
        typed = {
            "next_update_at": local_field(promise, self._zone),
            "corrects": request.query_params.get("corrects", ""),
        }
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            typed["phase"] = incident.phase
            if key := request.query_params.get("template", ""):
                texts = await start_from(tx, incident.id, key, self._write, next_update_at=promise)
                typed |= _typed_texts(texts)
                typed["phase"] = next((one.phase for one in await all_templates(tx) if one.key == key), incident.phase)
        return await self._form(request, incident.id, typed=typed, begun_from=key)

    @needs("updates.write")
    async def draft(self, request: Request) -> Response:
        typed = await read_form(request)
        incident_id = request.path_params["id"]
        try:
            draft = self._draft(typed)
            async with self._database.transaction() as tx:
                written = await draft_update(tx, actor_of(request), incident_id, draft, now=self._clock())
        except (Invalid, Conflict) as refused:
            return await self._form(request, incident_id, refused=refused, typed=typed)
        return self._desk.to(f"/desk/updates/{written.id}")

    @needs("updates.write")
    async def edit(self, request: Request) -> Response:
        async with self._database.snapshot() as tx:
            update = await find_update(tx, request.path_params["id"])
        return await self._form(request, update.incident_id, update=update, typed=_typed(update, self._zone))

    @needs("updates.write")
    async def save(self, request: Request) -> Response:
        typed = await read_form(request)
        async with self._database.snapshot() as tx:
            update = await find_update(tx, request.path_params["id"])
        try:
            draft, revision = self._draft(typed), int(typed.get("revision", "0") or 0)
            async with self._database.transaction() as tx:
                await edit_update(tx, actor_of(request), update.id, draft, now=self._clock(), revision=revision)
        except (Invalid, Conflict) as refused:
            return await self._form(request, update.incident_id, update=update, refused=refused, typed=typed)
        return self._desk.to(f"/desk/updates/{update.id}")

    @needs("updates.write", changes=False)
    async def look(self, request: Request) -> Response:
        """How what is typed would look, and whom it would reach. Nothing of it is kept."""
        typed = await read_form(request)
        found: Preview | None = None
        refused: Refusal | None = None
        try:
            draft = self._draft(typed)
            async with self._database.transaction() as tx:
                trial = await tx.begin_nested()
                written = await draft_update(tx, actor_of(request), request.path_params["id"], draft, now=self._clock())
                found = await self._preview(tx, written.id)
                await trial.rollback()
        except (Invalid, Conflict) as wrong:
            refused = wrong
        status = 200 if refused is None else 422 if isinstance(refused, Invalid) else 409
        return self._desk.page(request, "app/update-look.html", status, shown=found, unfit=refused)

    def _draft(self, typed: Mapping[str, str]) -> Draft:
        phase = typed.get("phase", "")
        if phase not in get_args(Phase):
            raise Invalid("Choose a phase.", [Fault("phase", "Choose a phase.")])
        texts, faults = {}, []
        for language in SPOKEN:
            text, wrong = _text(typed, language)
            faults += wrong
            if text is not None:
                texts[language] = text
        if faults:
            raise Invalid("Some links cannot be read.", faults)
        promises = phase in ("investigating", "identified", "monitoring")
        return Draft(
            phase=cast("Phase", phase),
            texts=texts,
            next_update_at=moment_in(typed, "next_update_at", self._zone) if promises else None,
            cause_certainty=_one_of(typed.get("cause_certainty", ""), Certainty) or "unknown",
            cause_party=typed.get("cause_party") or None,
            component_status=_one_of(typed.get("component_status", ""), ComponentStatus),
            impact=_one_of(typed.get("impact", ""), Impact),
            corrects=typed.get("corrects") or None,
            cause_stated_by=typed.get("cause_stated_by") or None,
            cause_evidence=typed.get("cause_evidence", ""),
        )

    async def _form(
        self,
        request: Request,
        incident_id: str,
        *,
        update: Update | None = None,
        refused: Refusal | None = None,
        typed: Mapping[str, str],
        begun_from: str = "",
    ) -> Response:
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, incident_id)
            wrong = typed.get("corrects", "")
            shown: dict[str, Any] = {
                "templates": await all_templates(tx),
                "parties": await all_parties(tx),
                "segments": await all_segments(tx),
                "corrected": await find_update(tx, wrong) if wrong else None,
                "audience": await preview_audience(tx, incident.id, self._clock()),
            }
        return self._desk.scripted_page(
            request,
            "app/update-form.html",
            200 if refused is None else 422 if isinstance(refused, Invalid) else 409,
            incident=incident,
            update=update,
            refused=refused,
            faults=faults_by_field(refused),
            typed=defaultdict(str, typed),
            begun_from=begun_from,
            shown=None,
            unfit=None,
            phases=_phases(incident),
            spoken=SPOKEN,
            needed_languages=LANGUAGES,
            certainties=get_args(Certainty),
            statuses=get_args(ComponentStatus),
            impacts=get_args(Impact),
            **shown,
        )

    # Approving, publishing, watching

    @needs("incidents.read")
    async def show(self, request: Request) -> Response:
        return await self._one(request)

    @needs("incidents.read")
    async def progress(self, request: Request) -> Response:
        """The part of the page that changes while an update arrives; the page asks for it again and again."""
        async with self._database.snapshot() as tx:
            said = await find_update(tx, request.path_params["id"])
            progress = await notify.delivery_progress(tx, dispatch_key(said.id))
        return self._desk.page(request, "app/update-progress.html", said=said, progress=progress)

    async def approve(self, tx: Tx, request: Request, typed: Mapping[str, str]) -> None:
        await approve(
            tx,
            actor_of(request),
            request.path_params["id"],
            self._how.compose,
            now=self._clock(),
            needed=self._how.approvals,
            seen=typed.get("digest") or None,
        )

    async def bypass(self, tx: Tx, request: Request, typed: Mapping[str, str]) -> None:
        reason = typed.get("why", "")
        request.state.about = reason
        update_id = request.path_params["id"]
        await bypass_approval(tx, actor_of(request), update_id, reason, self._how.compose, now=self._clock())

    async def take_back(self, tx: Tx, request: Request, _: Mapping[str, str]) -> None:
        await take_back(tx, actor_of(request), request.path_params["id"], now=self._clock())

    async def discard(self, tx: Tx, request: Request, _: Mapping[str, str]) -> None:
        await discard_update(tx, actor_of(request), request.path_params["id"], now=self._clock())

    def doing(self, right: str, deed: Callable[[Tx, Request, Mapping[str, str]], Awaitable[None]]) -> Handler:
        """The handler of a deed that shows the update again."""

        @needs(right)
        async def do(request: Request) -> Response:
            typed = await read_form(request)
            try:
                async with self._database.transaction() as tx:
                    await deed(tx, request, typed)
            except (Invalid, Conflict) as refused:
                return await self._one(request, refused=refused, typed=typed)
            return self._desk.to(f"/desk/updates/{request.path_params['id']}")

        return do

    @needs("updates.publish")
    async def publish(self, request: Request) -> Response:
        typed, update_id = await read_form(request), request.path_params["id"]
        telling = replace(self._how.telling, urgent=bool(typed.get("urgent")), hold=bool(typed.get("hold")))
        try:
            async with self._database.transaction() as tx:
                await publish(
                    tx,
                    actor_of(request),
                    update_id,
                    self._how.compose,
                    now=self._clock(),
                    needed=self._how.approvals,
                    telling=telling,
                    compose_webhook=self._how.compose_webhook,
                )
        except (Invalid, Conflict) as refused:
            return await self._one(request, refused=refused, typed=typed)
        try:
            await self._page.refresh(self._database)
        except (PageNotWritten, OSError, DatabaseAway):
            return self._desk.to(f"/desk/updates/{update_id}?page=late")  # the worker's loop writes it
        return self._desk.to(f"/desk/updates/{update_id}")

    def steering(self, act: str) -> Handler:
        """The handler of one of `STEERING`."""

        @needs("updates.publish")
        async def steer(request: Request) -> Response:
            try:
                async with self._database.transaction() as tx:
                    found = await find_update(tx, request.path_params["id"])
                    await STEERING[act](tx, dispatch_key(found.id))
            except Conflict as refused:
                return await self._one(request, refused=refused)
            return self._desk.to(f"/desk/updates/{found.id}")

        return steer

    async def _one(
        self, request: Request, *, refused: Refusal | None = None, typed: Mapping[str, str] | None = None
    ) -> Response:
        async with self._database.snapshot() as tx:
            said = await find_update(tx, request.path_params["id"])
            incident = await find_incident(tx, said.incident_id)
            published, waiting = said.state == "published", said.state in ("draft", "approved")
            progress = await notify.delivery_progress(tx, dispatch_key(said.id)) if published else None
            shown = await self._preview(tx, said.id) if waiting else None
            told = await published_texts(tx, said.id, self._how.compose) if published else None
            others = await overlaps(tx, incident.id, self._clock()) if waiting else []
            corrected = await find_update(tx, said.corrects) if said.corrects else None
        return self._desk.scripted_page(
            request,
            "app/update.html",
            200 if refused is None else 422 if isinstance(refused, Invalid) else 409,
            incident=incident,
            said=said,
            shown=shown,
            told=told,
            progress=progress,
            overlaps=others,
            corrected=corrected,
            own=str(actor_of(request)) == said.written_by,
            page_late=request.query_params.get("page") == "late",
            refused=refused,
            faults=faults_by_field(refused),
            typed=defaultdict(str, typed or {}),
            now=self._clock(),
        )

    async def _preview(self, tx: Tx, update_id: str) -> Preview:
        return await preview(
            tx,
            update_id,
            self._how.compose,
            needed=self._how.approvals,
            texting=self._how.texting,
            now=self._clock(),
        )


def _text(typed: Mapping[str, str], language: str) -> tuple[UpdateText | None, list[Fault]]:
    """What was typed in one language; None when nothing was. And what is wrong with its links."""
    values = {name: typed.get(f"texts.{language}.{name}", "") for name in _FIELDS}
    links, faults = _links(typed.get(f"texts.{language}.links", ""), language)
    parts = _segments(typed, language)
    if not any(value.strip() for value in values.values()) and not links and not parts:
        return None, faults
    return UpdateText(**values, links=tuple(links), advice_for=tuple(parts)), faults


def _links(lines: str, language: str) -> tuple[list[Link], list[Fault]]:
    """One link a line: what it is called, then its address."""
    links, faults = [], []
    for line in filter(str.strip, lines.splitlines()):
        found = _LINK.fullmatch(line)
        if found is None or not found[1]:
            said = "Write each link as: what it is called | https://…"
            faults.append(Fault(f"texts.{language}.links", said))
        else:
            links.append(Link(found[1].rstrip("| "), found[2]))
    return links, faults


def _segments(typed: Mapping[str, str], language: str) -> list[SegmentAdvice]:
    found = []
    for name, key in typed.items():
        if name.startswith("segment.") and typed.get(f"texts.{language}.for.{key}.text", "").strip():
            who, text = (typed.get(f"texts.{language}.for.{key}.{part}", "") for part in ("who", "text"))
            found.append(SegmentAdvice(key, who, text))
    return found


def _typed(update: Update, zone: str) -> dict[str, str]:
    """An update as the form would have sent it."""
    promised = update.next_update_at
    return {
        "phase": update.phase,
        "next_update_at": local_field(promised, zone),
        "cause_certainty": update.cause_certainty,
        "cause_party": update.cause_party or "",
        "cause_stated_by": update.cause_stated_by or "",
        "cause_evidence": update.cause_evidence,
        "component_status": update.component_status or "",
        "impact": update.impact or "",
        "corrects": update.corrects or "",
        "revision": str(update.revision),
        **_typed_texts(update.texts),
    }


def _typed_texts(texts: Mapping[str, UpdateText]) -> dict[str, str]:
    found: dict[str, str] = {}
    for language, text in texts.items():
        at = f"texts.{language}"
        found |= {f"{at}.{name}": getattr(text, name) for name in _FIELDS}
        found[f"{at}.links"] = "\n".join(f"{one.label} | {one.url}" for one in text.links)
        for one in text.advice_for:
            found |= {f"{at}.for.{one.segment}.who": one.who, f"{at}.for.{one.segment}.text": one.text}
    return found


def _phases(incident: Incident) -> Sequence[Phase]:
    """Where an update may lead, in the order of an incident's life."""
    reachable = MOVES[incident.phase] | ({"investigating", "identified", "monitoring"} if incident.reopening else set())
    return [phase for phase in get_args(Phase) if phase in reachable and phase != "cancelled"]


def _one_of(text: str, kind: Any) -> Any:
    return text if text in get_args(kind) else None
