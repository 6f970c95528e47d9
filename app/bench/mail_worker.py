"""One sending process of the mail bench: `python -m app.bench.mail_worker RELAY CONNECTIONS DEPTH [DKIM]`.

Its first line of input is the database's URL (arguments can be read by every user of the machine). It says "ready".
"""

import asyncio
import sys

import uvloop

from app.loops import settle_memory, stop_on_signals
from foundation.database import Database
from foundation.tokens import Tokens
from notify.channels.email import MailChannel
from notify.dkim import dkim_keys
from notify.mail import MailFactory
from notify.sender import Sender


async def send(url: str, relay: str, connections: int, depth: int, dkim: str) -> None:
    """Send what is planned to `relay` (a URL, as in the settings) until SIGTERM, signed as `dkim` says (the same)."""
    database = Database(url, pool=connections)
    tokens = Tokens([b"a key that only the bench uses: it signs nothing"])
    factory = MailFactory(
        "updates@stormdesk.example",
        tokens,
        public_url="https://status.stormdesk.example",
        dkim=dkim_keys(dkim) if dkim else (),
    )
    channel = MailChannel([relay], factory)
    stop = stop_on_signals()
    settle_memory()
    sending = asyncio.create_task(Sender(database, channel, connections=connections, depth=depth).run(stop))
    print("ready", flush=True)
    try:
        await sending
    finally:
        await database.close()


if __name__ == "__main__":
    database_url = sys.stdin.readline().strip()
    given_relay = sys.argv[1]
    given_connections, given_depth = (int(one) for one in sys.argv[2:4])
    uvloop.run(send(database_url, given_relay, given_connections, given_depth, "".join(sys.argv[4:5])))
