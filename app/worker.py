"""Runs one worker process: sends, keeps the outbox moving, resolves contacts, keeps the page fresh."""

import asyncio
from datetime import timedelta
from functools import partial

import structlog

from app.asgi import claims_writer, create_operations_app, status_page, tell_by_itself
from app.file_keeping import FileKeeping
from app.listener import listen
from app.loops import Loop, keep, run, settle_memory, stop_on_signals, wait
from app.mirrors import Copying, Target, targets
from app.outages import Outages, public_titles
from app.settings import Settings
from app.templates import render
from app.texts import Texts
from app.web import serve_operations
from app.wiring import Parts, open_parts
from claims import Resolver
from claims.acknowledging import Acknowledging
from claims.offering import Offering
from foundation.database import Database, DatabaseAway, driver
from incidents import Chaser, MaintenanceWords, PlannedWork, StatusPage
from incidents.page_files import PageNotWritten
from notify.channels.email import MailChannel
from notify.channels.webhook import WebhookChannel
from notify.confirmations import Confirmations
from notify.following import webhook_is_gone
from notify.mail import MailFactory
from notify.paced import set_ceilings
from notify.reports import waiting_step
from notify.sender import Sender
from notify.sms_proof import receipts_step
from notify.upkeep import upkeep_step

_log = structlog.get_logger()

# Longer than a batch takes at a slow relay; it is renewed while the batch lasts.
LEASE = timedelta(seconds=60)
# Receivers are strangers' machines, a lane's whole batch at once: few lanes reach many.
WEBHOOK_LANES, WEBHOOK_DEPTH = 4, 10


async def work(settings: Settings, database_url: str) -> None:
    """Work until SIGTERM or SIGINT; messages on their way are finished and recorded first."""
    stop = stop_on_signals()
    # Senders have connections of their own; the rest is for the other loops, and for mail and texts that come in.
    async with open_parts(settings, database_url, pool=24) as parts:
        loops: dict[str, Loop] = {
            "mail": mail_sender(parts).run,
            "webhooks": webhook_sender(parts).run,
            "following": partial(keep, confirmations(parts).step, idle_seconds=0.5),
            "limits": partial(keep, partial(limits_step, parts), idle_seconds=60.0),
            "upkeep": partial(keep, partial(upkeep_step, parts.database, lease=LEASE), idle_seconds=1.0),
            "reports": partial(keep, partial(waiting_step, parts.database), idle_seconds=2.0),
            "contacts": partial(keep, Resolver(parts.database, Outages(parts.clock)).step, idle_seconds=0.25),
            "acknowledgements": partial(keep, acknowledging(parts).step, idle_seconds=1.0),
            "offers": partial(keep, offering(parts).step, idle_seconds=1.0),
            "promises": partial(keep, chaser(parts).step, idle_seconds=1.0),
            "planned work": partial(keep, planned_work(parts).step, idle_seconds=1.0),
            "snapshots": partial(keep, partial(parts.exports.sweep, settings.snapshots_kept), idle_seconds=600.0),
            "files": partial(keep, file_keeping(parts).step, idle_seconds=1.0),
            "status page": partial(keep_page, status_page(parts), parts.database),
        }
        loops |= {f"copy to {one.name}": partial(copies, parts, one) for one in targets(settings.mirrors)}
        if settings.mail_listen:
            loops["mail listener"] = partial(listen, parts)
        if settings.smpp_urls:
            texts = Texts(parts)
            loops["texts"] = texts.run
            loops["incoming texts"] = texts.read
            loops["text receipts"] = partial(keep, partial(receipts_step, parts.database), idle_seconds=0.5)
        if settings.ops_bind is not None:
            loops["operations"] = partial(serve_operations, create_operations_app(parts), settings.ops_bind)
        settle_memory()
        _log.info("working", loops=sorted(loops), relays=len(settings.smtp_urls))
        await run(loops, stop)


async def copies(parts: Parts, target: Target, stop: asyncio.Event) -> None:
    """Keep a copy of the page up to date until `stop` is set."""
    settings = parts.settings
    await keep(Copying(settings.status_dir, target, settings.public_url, parts.clock).step, stop, idle_seconds=0.5)


async def limits_step(parts: Parts) -> bool:
    """Hold the domains named in the settings to their limits; every worker says the same."""
    async with parts.database.transaction() as tx:
        await set_ceilings(await driver(tx), "mail", parts.settings.domain_limits)
    return False


async def keep_page(page: StatusPage, database: Database, stop: asyncio.Event, *, patience: float = 10.0) -> None:
    """Keep the page's files fresh until `stop` is set.

    A folder that cannot be written (full, read-only) is tried again after `patience` seconds: it must stop neither mail
    nor contacts, and the page in it says by itself how old it is.
    """

    async def step() -> bool:
        try:
            return await page.step(database)
        except (PageNotWritten, OSError) as error:
            _log.error("status page not written, trying again", error=str(error), seconds=patience)
            await wait(stop, patience)
            return False

    await keep(step, stop, idle_seconds=1.0)


def acknowledging(parts: Parts) -> Acknowledging:
    """What tells people that we have their message."""
    return Acknowledging(parts.database, claims_writer(parts), parts.clock, parts.settings.mail_verdicts_by)


def offering(parts: Parts) -> Offering:
    """What sends offers once what they need is true, and takes them back."""
    return Offering(parts.database, claims_writer(parts), parts.clock)


def chaser(parts: Parts) -> Chaser:
    """What warns and calls those who lead an incident about the update they promised."""
    settings = parts.settings
    return Chaser(
        database=parts.database,
        render=render,
        page_name=settings.page_name,
        desk_url=settings.desk_url,
        zone=settings.page_time_zone,
        clock=parts.clock,
        warn_before=settings.warn_before,
        texts=bool(settings.smpp_urls),
    )


def planned_work(parts: Parts) -> PlannedWork:
    """What begins and ends planned work when its time has come."""
    words = MaintenanceWords(render, parts.settings.page_time_zone)
    return PlannedWork(database=parts.database, words=words, tell=tell_by_itself(parts), clock=parts.clock)


def file_keeping(parts: Parts) -> FileKeeping:
    """What looks after the files of contacts."""
    return FileKeeping(parts.database, parts.files, parts.clock, scanner=parts.settings.scan_command)


def mail_sender(parts: Parts) -> Sender:
    """The sender of this process, to the relays of the settings."""
    settings = parts.settings
    factory = MailFactory(
        settings.mail_from,
        parts.tokens,
        sender_name=settings.page_name,
        public_url=settings.public_url,
        dkim=settings.dkim,
    )
    channel = MailChannel(settings.smtp_urls, factory, greeting_name=settings.mail_from.rpartition("@")[2])
    return Sender(
        parts.database, channel, connections=settings.sender_connections, depth=settings.sender_depth, lease=LEASE
    )


def webhook_sender(parts: Parts) -> Sender:
    """The sender to subscribers' machines."""

    async def gone(url: str) -> None:
        try:
            async with parts.database.transaction() as tx:
                await webhook_is_gone(tx, url)
        except DatabaseAway as error:  # it will answer the same the next time
            _log.warning("database is away, webhook not taken off", reason=str(error))

    channel = WebhookChannel(parts.tokens, public_url=parts.settings.public_url, gone=gone)
    return Sender(parts.database, channel, connections=WEBHOOK_LANES, depth=WEBHOOK_DEPTH, lease=LEASE)


def confirmations(parts: Parts) -> Confirmations:
    """What asks the owners of addresses whether they want to follow."""
    settings = parts.settings
    return Confirmations(
        database=parts.database,
        tokens=parts.tokens,
        titles=public_titles,
        render=render,
        page_name=settings.page_name,
        public_url=settings.public_url,
        time_zone=settings.page_time_zone,
        clock=parts.clock,
    )
