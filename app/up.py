"""Everything on one machine: the database, one web process and one worker, kept alive."""

import asyncio

import structlog

from app.loops import stop_on_signals
from app.migrations import migrate
from app.settings import Bind, Settings
from app.supervisor import Child, own_command, supervise

_log = structlog.get_logger()


async def up(settings: Settings, database_url: str) -> None:
    """Migrate, then run `serve` and `work` until SIGTERM or SIGINT."""
    stop = stop_on_signals()
    # Alembic runs a loop of its own, so it needs a thread of its own.
    await asyncio.to_thread(migrate, database_url)
    _log.info("starting", status_page=settings.public_url, data=str(settings.data_dir.resolve()))
    await supervise([Child(own_command("serve")), Child(own_command("work"), _beside(settings.ops_bind))], stop)


def _beside(ops_bind: Bind | None) -> dict[str, str]:
    # Each process answers for itself: where the web process has an operations address, the worker has the next port.
    return {} if ops_bind is None else {"STORMDESK_OPS_BIND": f"{ops_bind.host}:{ops_bind.port + 1}"}
