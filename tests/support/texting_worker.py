"""A worker process that only texts: `python -m tests.support.texting_worker URL SMPP_URL LEASE`.

As `stormdesk work` does, with a lease short enough for a test.
"""

import asyncio
import sys
from datetime import timedelta
from functools import partial

from app.loops import keep, run, stop_on_signals
from app.texts import DEPTH
from foundation.database import Database
from notify.channels.sms import SmsChannel
from notify.sender import Sender
from notify.sms_inbox import SmsInbox
from notify.sms_purse import SmsPurse
from notify.upkeep import upkeep_step
from tests.support.smpp import PRICES


async def work(url: str, centre: str, lease: timedelta) -> None:
    database = Database(url, pool=6)
    inbox = SmsInbox(database)
    channel = SmsChannel([centre], PRICES, inbox)
    purse = SmsPurse(channel, {"EUR": 10**12})
    sender = Sender(
        database, channel, connections=channel.lanes, depth=DEPTH, lease=lease, idle_seconds=0.05, purse=purse
    )
    upkeep = partial(keep, partial(upkeep_step, database, lease=lease), idle_seconds=0.2)
    ended = asyncio.Event()
    storing = asyncio.create_task(inbox.run(ended))
    try:
        await run({"sms": sender.run, "upkeep": upkeep}, stop_on_signals())
    finally:
        ended.set()
        await storing
        await database.close()


def command(url: str, centre: str, *, lease: float) -> list[str]:
    """The command line of such a worker."""
    return [sys.executable, "-m", __name__, url, centre, str(lease)]


if __name__ == "__main__":
    _, *given = sys.argv
    asyncio.run(work(given[0], given[1], timedelta(seconds=float(given[2]))))
