"""A worker process that only sends: `python -m tests.support.sending_worker URL PORT CONNECTIONS DEPTH LEASE`.

As `stormdesk work` does, with figures small enough for a test.
"""

import asyncio
import sys
from datetime import timedelta
from functools import partial

from app.loops import keep, run, stop_on_signals
from foundation.database import Database
from foundation.tokens import Tokens
from notify.channels.email import MailChannel
from notify.mail import MailFactory
from notify.sender import Sender
from notify.upkeep import upkeep_step

KEY = b"a signing key that only tests use"


async def work(url: str, port: int, connections: int, depth: int, lease: timedelta) -> None:
    database = Database(url, pool=connections + 2)
    channel = MailChannel([f"smtp://127.0.0.1:{port}"], MailFactory("updates@example.com", Tokens([KEY])))
    sender = Sender(database, channel, connections=connections, depth=depth, lease=lease, idle_seconds=0.1)
    upkeep = partial(keep, partial(upkeep_step, database, lease=lease), idle_seconds=0.2)
    try:
        await run({"mail": sender.run, "upkeep": upkeep}, stop_on_signals())
    finally:
        await database.close()


def command(url: str, port: int, *, connections: int, depth: int, lease: float) -> list[str]:
    """The command line of such a worker."""
    return [sys.executable, "-m", __name__, url, *(str(one) for one in (port, connections, depth, lease))]


if __name__ == "__main__":
    _, *given = sys.argv
    asyncio.run(work(given[0], int(given[1]), int(given[2]), int(given[3]), timedelta(seconds=float(given[4]))))
