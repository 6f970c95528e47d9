"""The sending process of the SMS bench: `python -m app.bench.sms_worker PORT CONNECTIONS WINDOW DEPTH`.

Its first line of input is the database's URL (arguments can be read by every user of the machine). It says "ready".
"""

import asyncio
import sys

import uvloop

from app.bench.ports import HOST
from app.loops import settle_memory, stop_on_signals
from foundation.database import Database
from notify.channels.inbound import Inbound
from notify.channels.sms import SmsChannel
from notify.sender import Sender
from notify.sms_prices import DEFAULT_PRICES, read_prices


async def send(url: str, port: int, connections: int, window: int, depth: int) -> None:
    """Send what is planned to the centre at `port` until SIGTERM."""
    database = Database(url, pool=connections + 1)
    with DEFAULT_PRICES.open(encoding="utf-8") as file:
        prices = read_prices(file)
    binds = [f"smpp://bench:bench@{HOST}:{port}?window={window}"] * connections
    channel = SmsChannel(binds, prices, _nothing)
    stop = stop_on_signals()
    settle_memory()
    sending = asyncio.create_task(Sender(database, channel, connections=channel.lanes, depth=depth).run(stop))
    print("ready", flush=True)
    try:
        await sending
    finally:
        await database.close()


async def _nothing(_: Inbound) -> None:
    """The centre of the bench sends no receipts."""


if __name__ == "__main__":
    uvloop.run(send(sys.stdin.readline().strip(), *(int(one) for one in sys.argv[1:5])))
