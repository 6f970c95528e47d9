"""Checks an installation and says, line by line, what is right and what to mend. It changes nothing."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from rich.console import Console

from app.migrations import newest_revision
from app.settings import Settings
from notify.channels.connecting import CannotConnect, connect
from notify.channels.relays import relay_from
from notify.channels.replies import Timeouts


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` is empty when it is right."""

    what: str
    advice: str = ""


async def examine(settings: Settings, database_url: str, console: Console) -> bool:
    """Print every finding; true when nothing needs mending."""
    healthy = True
    async for finding in _findings(settings, database_url):
        healthy = healthy and not finding.advice
        mark, style = ("✗", "red") if finding.advice else ("✓", "green")
        console.print(f"{mark} {finding.what}" + (f": {finding.advice}" if finding.advice else ""), style=style)
    return healthy


async def _findings(settings: Settings, database_url: str) -> AsyncIterator[Finding]:
    yield await _database(database_url)
    if settings.database_url is not None:
        yield await _record(database_url)
    for url in settings.smtp_urls:
        yield await _relay(url, settings.mail_from.rpartition("@")[2])
    for name, folder in (("data folder", settings.data_dir), ("status page folder", settings.status_dir)):
        yield _folder(name, folder)
    yield _public_url(settings.public_url)
    for key in settings.dkim:
        yield Finding(f'DKIM {key.algorithm}; DNS must say: {key.selector}._domainkey.{key.domain} TXT "{key.record}"')


async def _database(url: str) -> Finding:
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        return Finding("database", f"cannot connect ({error}); check STORMDESK_DATABASE_URL")
    try:
        version = connection.get_server_version().major
        if version < 15:
            return Finding("database", f"PostgreSQL {version} is too old; 15 or newer is needed")
        migrated = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        revision = await connection.fetchval("SELECT version_num FROM alembic_version") if migrated else None
    finally:
        await connection.close()
    if revision != newest_revision():
        return Finding("database schema", "is not the newest; run: stormdesk migrate")
    return Finding(f"database (PostgreSQL {version}, schema {revision})")


async def _record(url: str) -> Finding:
    """Whether what serves and sends could change the record of who did what."""
    name = "record of who did what"
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return Finding(name, "cannot be looked at without the database")
    try:
        there = await connection.fetchval("SELECT to_regclass('audit_log') IS NOT NULL")
        may = there and await connection.fetchval("SELECT has_table_privilege('audit_log', 'UPDATE')")
    finally:
        await connection.close()
    if may:
        return Finding(
            name,
            "the role in STORMDESK_DATABASE_URL could change it; let stormdesk_app log in (ALTER ROLE stormdesk_app "
            "LOGIN PASSWORD …), use it there, and put the owner's address in STORMDESK_OWNER_URL for stormdesk migrate",
        )
    return Finding(name)


async def _relay(url: str, greeting_name: str) -> Finding:
    """As far as a worker goes before it sends: greeting, encryption, certificate, sign-in."""
    relay = relay_from(url)
    name = f"mail relay {relay.name}"
    try:
        conversation = await connect(relay, Timeouts(connect=5), greeting_name)
    except CannotConnect as error:
        return Finding(name, f"cannot be used ({error}); check STORMDESK_SMTP_URL")
    conversation.close()
    return Finding(name)


def _folder(name: str, folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding(f"{name} {folder}", "cannot be written; change its owner or choose another")
    return Finding(f"{name} {folder}")


def _public_url(url: str) -> Finding:
    if urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        return Finding("public address " + url, "only this machine can open it; set STORMDESK_PUBLIC_URL")
    return Finding("public address " + url)
