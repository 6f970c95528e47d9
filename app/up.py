"""Everything on one machine: the database, one web process and one worker, kept alive."""

import asyncio

import structlog

from app.loops import stop_on_signals
from app.migrations import migrate
from app.settings import Settings
from app.supervisor import own_command, supervise

_log = structlog.get_logger()


async def up(settings: Settings, database_url: str) -> None:
    """Migrate, then run `serve` and `work` until SIGTERM or SIGINT."""
    stop = stop_on_signals()
    # Alembic runs a loop of its own, so it needs a thread of its own.
    await asyncio.to_thread(migrate, database_url)
    secret = b",".join(settings.secret_keys).decode()
    _log.info("starting", status_page=settings.public_url, data=str(settings.data_dir.resolve()))
    await supervise([own_command("serve"), own_command("work")], {"STORMDESK_SECRET_KEY": secret}, stop)
