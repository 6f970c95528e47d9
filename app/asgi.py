"""The web application: routes collected from the packages, sign-in, error mapping, and the public page in front."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from asyncpg import CharacterNotInRepertoireError
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan

import claims.drawing
import claims.letters
import claims.pages
import incidents.pages
import metrics.pages
import notify.follow_pages
import notify.message_pages
from app import (
    audit_pages,
    call_pages,
    case_pages,
    colleague_pages,
    compensation_pages,
    incident_desk,
    offer_pages,
    openapi,
    operations,
    payment_pages,
    planned_desk,
    post_pages,
    postmortem_desk,
    proof_pages,
    reaching_api,
    reaching_pages,
    reply_pages,
    report_pages,
    review_pages,
    scope_desk,
    update_desk,
)
from app.answers import GUARDS
from app.auth import Credentials
from app.client_address import ClientAddress
from app.colleague_pages import StaffList
from app.cookies import Cookies
from app.desk import Desk
from app.entrance import is_for_staff, shut
from app.guards import Guards
from app.language_choice import RememberedLanguage
from app.limits import Limits, Tries
from app.live import Live
from app.outages import Outages, public_titles
from app.problems import Problems
from app.public_page import PageStore, PublicPage
from app.search_page import SearchPage
from app.staff import pages as staff_pages
from app.staff import provider_pages, user_pages
from app.staff.accounts import case_worker
from app.staff.passwords import Passwords
from app.staff.provider import Provider
from app.staff.seal import Seal
from app.staff.sign_in import SignIn
from app.static_files import static_files
from app.templates import moment, render
from app.wiring import Parts
from claims import Intake
from foundation.database import DatabaseAway, Tx
from foundation.errors import Refusal
from foundation.languages import choose_language
from incidents import Composer, Incident, MaintenanceWords, StatusPage, Tell, Telling, Update, audience_of, tell
from incidents.alert_pages import alert_routes
from incidents.component_pages import component_routes
from incidents.leading_pages import leading_routes
from incidents.maintenance_pages import maintenance_routes
from incidents.update_pages import Publishing


def create_app(parts: Parts) -> PublicPage:
    """Everything the world sees. The status page's files are served first, without entering the application.

    Where the desk has an address of its own (STORMDESK_DESK_BIND), nothing of it is found here.
    """
    intake = Intake(parts.database)
    store = _store(parts)
    live = Live(store)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with intake.running():
            yield

    routes = every_route(parts, intake, live, store)
    if parts.settings.desk_bind is not None:
        routes = [route for route in routes if not is_for_staff(route)]
    return PublicPage(store, _at_the_edge(parts, _starlette(parts, routes, lifespan)), live.close)


def create_desk_app(parts: Parts) -> ASGIApp:
    """What staff alone use, for an address of its own (STORMDESK_DESK_BIND)."""
    intake = Intake(parts.database)  # for calls that agents note

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with intake.running():
            yield

    routes = [route for route in every_route(parts, intake) if is_for_staff(route)]
    return PublicPage(_store(parts), _at_the_edge(parts, _starlette(parts, routes, lifespan)))


def every_route(
    parts: Parts, intake: Intake, live: Live | None = None, store: PageStore | None = None
) -> list[BaseRoute]:
    """Every route there is, each open only to those it is for. `live` and `store`: the process's own, if any."""
    store = store or _store(parts)
    search = SearchPage(store, parts.settings.page_name)
    desk = Desk(parts, Cookies(parts.settings.desk_url))
    routes: list[BaseRoute] = [
        *_claims_routes(parts, intake),  # first: routes are tried in order, and contacts come by the thousand a second
        *_incidents_routes(parts),
        *_incident_life_routes(parts),
        *colleague_pages.routes(parts),
        *_message_routes(parts),
        *_follow_routes(parts),
        Route("/events", (live or Live(store)).events, methods=["GET"]),
        Route("/search", search.search, methods=["GET"]),
        *metrics.pages.routes(exports=parts.exports),
        *_staff_routes(desk),
        *user_pages.routes(desk),
        *audit_pages.routes(desk),
        *proof_pages.routes(desk),
        *planned_desk.routes(desk, _maintenance_words(parts), tell_by_itself(parts)),
        *report_pages.routes(desk),
        *incident_desk.routes(desk),
        *scope_desk.routes(desk, _writing_moments(parts)),
        *postmortem_desk.routes(desk),
        *update_desk.routes(desk, _publishing(parts), status_page(parts), _writing_moments(parts)),
        *reaching_api.routes(parts.database),
        *reaching_pages.routes(desk),
        *case_pages.routes(desk, claims_writer(parts)),
        *compensation_pages.routes(desk, claims_writer(parts)),
        *offer_pages.routes(desk, claims_writer(parts)),
        *payment_pages.routes(desk),
        *review_pages.routes(desk),
        *reply_pages.routes(desk, claims_writer(parts)),
        *call_pages.routes(desk, intake),
        *post_pages.routes(desk, intake),
    ]
    routes.append(
        openapi.route(
            routes, openapi.Places(parts.settings.public_url, parts.settings.desk_url, desk.cookies.session_name)
        )
    )
    if parts.settings.ops_bind is None:
        exposition = metrics.pages.exposition_page(parts.database, parts.settings.notice_limit)
        routes += operations.routes(parts, exposition, guarded=True)
    return shut(routes, parts)


def _staff_routes(desk: Desk) -> Sequence[BaseRoute]:
    parts, settings = desk.parts, desk.parts.settings
    seal, passwords = Seal("second factor", parts.settings.secret_keys), Passwords(parts.password_cost)
    sign_in = SignIn(parts.database, parts.tokens, seal, passwords, parts.clock)
    staff = staff_pages.Staff(desk, sign_in, passwords, seal, provider=settings.provider is not None)
    if settings.provider is None:
        return staff_pages.routes(staff)
    journey = Seal("journey", settings.secret_keys)
    provider = Provider(settings.provider, journey, settings.desk_url + provider_pages.BACK, parts.clock)
    return [*staff_pages.routes(staff), *provider_pages.routes(desk, provider)]


def _store(parts: Parts) -> PageStore:
    return PageStore(parts.settings.status_dir, clock=parts.clock, https=_https(parts))


def _at_the_edge(parts: Parts, app: ASGIApp) -> ASGIApp:
    """`app`, told who really asks, and asked no more than anybody may ask."""
    limited = RememberedLanguage(Limits(app), https=_https(parts))
    return ClientAddress(Guards(limited, https=_https(parts)), parts.settings.trusted_proxies)


def _https(parts: Parts) -> bool:
    return parts.settings.public_url.startswith("https://")


def create_operations_app(parts: Parts) -> ASGIApp:
    """What machines ask for, on an address of its own that strangers cannot reach."""
    exposition = metrics.pages.exposition_page(parts.database, parts.settings.notice_limit)
    return _starlette(parts, shut(operations.routes(parts, exposition, guarded=False), parts))


def status_page(parts: Parts) -> StatusPage:
    """The writer of the status page's files."""
    settings = parts.settings
    return StatusPage(
        settings.status_dir,
        render=render,
        page_name=settings.page_name,
        public_url=settings.public_url,
        time_zone=settings.page_time_zone,
        assets=static_files(),
        clock=parts.clock,
    )


def _claims_routes(parts: Parts, intake: Intake) -> Sequence[BaseRoute]:
    settings = parts.settings
    look = claims.drawing.Look(
        render=render,
        language_of=choose_language,
        page_name=settings.page_name,
        zone=settings.page_time_zone,
        public_url=settings.public_url,
        guards=GUARDS,
        may_try=Tries().allows,
    )
    return claims.pages.routes(
        intake=intake,
        database=parts.database,
        tokens=parts.tokens,
        outages=Outages(parts.clock),
        clock=parts.clock,
        look=look,
        files=parts.files,
        writer=claims_writer(parts),
        staff_name=case_worker,
        audience=lambda incident_id: audience_of(incident_id, parts.clock()),
    )


def claims_writer(parts: Parts) -> claims.letters.Writer:
    """What writes to people in their case."""
    settings = parts.settings
    return claims.letters.Writer(
        render,
        parts.tokens,
        settings.page_name,
        settings.public_url,
        settings.page_time_zone,
        texts=bool(settings.smpp_urls),
    )


def _message_routes(parts: Parts) -> Sequence[BaseRoute]:
    settings = parts.settings
    look = notify.message_pages.MessageLook(
        render=render,
        language_of=choose_language,
        page_name=settings.page_name,
        zone=settings.page_time_zone,
        mail_from=settings.mail_from,
        guards=GUARDS,
    )
    return notify.message_pages.message_routes(database=parts.database, tokens=parts.tokens, look=look)


def _follow_routes(parts: Parts) -> Sequence[BaseRoute]:
    settings = parts.settings
    look = notify.follow_pages.Look(
        render=render,
        language_of=choose_language,
        page_name=settings.page_name,
        public_url=settings.public_url,
        guards=GUARDS,
    )
    return notify.follow_pages.follow_routes(
        database=parts.database, tokens=parts.tokens, titles=public_titles, clock=parts.clock, look=look
    )


def composer_of(parts: Parts) -> Composer:
    """What writes the messages of updates."""
    settings = parts.settings
    return Composer(
        render, settings.page_name, settings.public_url, settings.page_time_zone, texts=bool(settings.smpp_urls)
    )


def _telling(parts: Parts) -> Telling:
    return Telling(quiet=parts.settings.quiet_hours, fallback_after=parts.settings.fallback_after)


def tell_by_itself(parts: Parts) -> Tell:
    """What plans the deliveries of what planned work says by itself."""
    composer = composer_of(parts)

    async def told(tx: Tx, moved: Incident, said: Update, *, now: datetime) -> None:
        machines = composer.webhook
        await tell(tx, moved, said, composer.messages, now=now, telling=_telling(parts), compose_webhook=machines)

    return told


def _publishing(parts: Parts) -> Publishing:
    settings = parts.settings
    composer = composer_of(parts)
    tariff = notify.Tariff(settings.sms_prices, settings.sms_cost_caps)
    texting = (composer.sms, tariff) if settings.smpp_urls else None
    return Publishing(composer.messages, composer.webhook, _telling(parts), texting, settings.approvals)


def _writing_moments(parts: Parts) -> Callable[[datetime, str], str]:
    return lambda at, language: moment(at, parts.settings.page_time_zone, language)


def _maintenance_words(parts: Parts) -> MaintenanceWords:
    return MaintenanceWords(render, parts.settings.page_time_zone)


def _incidents_routes(parts: Parts) -> Sequence[BaseRoute]:
    return incidents.pages.routes(
        database=parts.database,
        page=status_page(parts),
        publishing=_publishing(parts),
        clock=parts.clock,
        write=_writing_moments(parts),
    )


def _incident_life_routes(parts: Parts) -> Sequence[BaseRoute]:
    database, clock, settings = parts.database, parts.clock, parts.settings
    words = _maintenance_words(parts)
    return [
        *leading_routes(database=database, clock=clock, staff=StaffList(clock), notice_limit=settings.notice_limit),
        *maintenance_routes(database=database, clock=clock, words=words, tell=tell_by_itself(parts)),
        *component_routes(database=database),
        *alert_routes(database=database, clock=clock, secrets=settings.alert_secrets),
    ]


def _starlette(parts: Parts, routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    cookies = Cookies(parts.settings.desk_url)
    problems = Problems(Desk(parts, cookies))
    backend = Credentials(parts.database, parts.clock, cookies)
    app = Starlette(
        routes=routes,
        middleware=[Middleware(AuthenticationMiddleware, backend=backend)],
        exception_handlers={
            Refusal: problems.refusal,
            HTTPException: problems.http_error,
            ClientDisconnect: problems.half,
            DatabaseAway: problems.away,
            DBAPIError: problems.unstorable,
            CharacterNotInRepertoireError: problems.unstorable,
            Exception: problems.unexpected,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # `Problems` does it, for pages only and without trusting the Host field
    return app
