"""The web application: routes collected from the packages, sign-in, error mapping, and the public page in front."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asyncpg import CharacterNotInRepertoireError
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Lifespan

import claims.pages
import incidents.pages
import metrics.pages
import notify.follow_pages
import notify.message_pages
from app import operations
from app.answers import GUARDS
from app.auth import BearerTokens
from app.outages import Outages, public_titles
from app.problems import away, http_error, refusal, unexpected, unstorable
from app.public_page import PageStore, PublicPage
from app.static_files import static_files
from app.templates import choose_language, render
from app.wiring import Parts
from claims import Intake
from foundation.database import DatabaseAway
from foundation.errors import Refusal
from incidents import Composer, StatusPage, Telling

# The largest request anybody needs to make today is an update in all its languages.
LARGEST_BODY = 1 << 20


def create_app(parts: Parts) -> PublicPage:
    """Everything the world sees. The status page's files are served first, without entering the application."""
    intake = Intake(parts.database)
    routes: list[BaseRoute] = [
        *_incidents_routes(parts),
        *_claims_routes(parts, intake),
        *_message_routes(parts),
        *_follow_routes(parts),
        *metrics.pages.routes(database=parts.database),
    ]
    if parts.settings.ops_bind is None:
        exposition = metrics.pages.exposition_page(parts.database)
        routes += operations.routes(parts, exposition, guarded=True)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with intake.running():
            yield

    store = PageStore(parts.settings.status_dir, clock=parts.clock)
    return PublicPage(store, _starlette(parts, routes, lifespan))


def create_operations_app(parts: Parts) -> ASGIApp:
    """What machines ask for, on an address of its own that strangers cannot reach."""
    exposition = metrics.pages.exposition_page(parts.database)
    return _starlette(parts, operations.routes(parts, exposition, guarded=False))


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
    look = claims.pages.Look(
        render=render,
        language_of=choose_language,
        page_name=settings.page_name,
        zone=settings.page_time_zone,
        public_url=settings.public_url,
        guards=GUARDS,
    )
    return claims.pages.routes(
        intake=intake,
        database=parts.database,
        tokens=parts.tokens,
        outages=Outages(parts.clock),
        clock=parts.clock,
        look=look,
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


def _incidents_routes(parts: Parts) -> Sequence[BaseRoute]:
    settings = parts.settings
    composer = Composer(
        render, settings.page_name, settings.public_url, settings.page_time_zone, texts=bool(settings.smpp_urls)
    )
    tariff = notify.Tariff(settings.sms_prices, settings.sms_cost_caps)
    return incidents.pages.routes(
        database=parts.database,
        page=status_page(parts),
        compose=composer.messages,
        compose_webhook=composer.webhook,
        clock=parts.clock,
        telling=Telling(quiet=settings.quiet_hours, fallback_after=settings.fallback_after),
        texting=(composer.sms, tariff) if settings.smpp_urls else None,
    )


def _starlette(parts: Parts, routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    return Starlette(
        routes=routes,
        middleware=[Middleware(AuthenticationMiddleware, backend=BearerTokens(parts.database, parts.clock))],
        exception_handlers={
            Refusal: refusal,
            HTTPException: http_error,
            DatabaseAway: away,
            DBAPIError: unstorable,
            CharacterNotInRepertoireError: unstorable,
            Exception: unexpected,
        },
        lifespan=lifespan,
        max_body_size=LARGEST_BODY,
    )
