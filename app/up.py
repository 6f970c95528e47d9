"""Everything on one machine: the database, one web process and one worker, kept alive."""

import asyncio
import sys
from pathlib import Path

import structlog

from app.commands import first_link
from app.loops import stop_on_signals, wait
from app.migrations import migrate
from app.postgres import PostgresUnavailable, embedded_postgres
from app.setting_values import Bind
from app.settings import Settings
from app.supervisor import Child, own_command, supervise
from app.wiring import open_parts

_log = structlog.get_logger()
_LOOK_SECONDS = 5.0


async def up(settings: Settings, database_url: str) -> None:
    """Migrate, then run `serve` and `work` until SIGTERM or SIGINT."""
    stop = stop_on_signals()
    # Also where the database is not ours: `up` is the command for one machine. Alembic runs a loop of its own.
    await asyncio.to_thread(migrate, settings.owner_url or database_url)
    _log.info("starting", status_page=settings.public_url, data=str(settings.data_dir.resolve()))
    if (link := await _first_link(settings, database_url)) is not None:
        # To the terminal and not through the log, which others collect and keep.
        print(
            f"\nNobody can sign in yet. Open this once, within a day, to be the first:\n\n  {link}\n", file=sys.stderr
        )
    children = [Child(own_command("serve")), Child(own_command("work"), _beside(settings.ops_bind))]
    async with asyncio.TaskGroup() as group:
        group.create_task(supervise(children, stop))
        if settings.database_url is None:
            group.create_task(_keep_database(settings.data_dir, stop))


async def _first_link(settings: Settings, database_url: str) -> str | None:
    async with open_parts(settings, database_url, pool=1) as parts:
        return await first_link(parts)


async def _keep_database(data_dir: Path, stop: asyncio.Event) -> None:
    """Start the embedded server again whenever it is found stopped; the processes wait for it meanwhile."""
    while not stop.is_set():
        await wait(stop, _LOOK_SECONDS)
        try:
            await asyncio.to_thread(_join_once, data_dir)
        except PostgresUnavailable as error:
            _log.error("the database does not start", advice=str(error))


def _join_once(data_dir: Path) -> None:
    with embedded_postgres(data_dir):  # joining starts it; we hold another place, so leaving does not stop it
        pass


def _beside(ops_bind: Bind | None) -> dict[str, str]:
    # Each process answers for itself: where the web process has an operations address, the worker has the next port.
    return {} if ops_bind is None else {"STORMDESK_OPS_BIND": str(Bind(ops_bind.host, ops_bind.port + 1))}
