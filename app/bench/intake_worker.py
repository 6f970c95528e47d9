"""The worker of `stormdesk bench intake`: gives contacts their cases until it is stopped. Argument: the database."""

import asyncio
import sys

import uvloop

from app.outages import Outages
from claims import Resolver
from foundation.clock import system_clock
from foundation.database import Database

_WAIT = 0.02


async def _work(url: str) -> None:
    database = Database(url)
    resolver = Resolver(database, Outages(system_clock), batch=1000)
    try:
        while True:
            if not await resolver.step():
                await asyncio.sleep(_WAIT)
    finally:
        await database.close()


if __name__ == "__main__":
    uvloop.run(_work(sys.argv[1]))
