"""One sending process of the mail bench: `python -m app.bench.mail_worker PORT CONNECTIONS DEPTH [DKIM]`.

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


async def send(url: str, port: int, connections: int, depth: int, dkim: str) -> None:
    """Send what is planned to the relay at `port` until SIGTERM, signed as `dkim` says (as in the settings)."""
    database = Database(url, pool=connections)
    tokens = Tokens([b"a key that only the bench uses: it signs nothing"])
    factory = MailFactory(
        "updates@stormdesk.example",
        tokens,
        public_url="https://status.stormdesk.example",
        dkim=dkim_keys(dkim) if dkim else (),
    )
    channel = MailChannel([f"smtp://127.0.0.1:{port}"], factory)
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
    given_port, given_connections, given_depth = (int(one) for one in sys.argv[1:4])
    uvloop.run(send(database_url, given_port, given_connections, given_depth, "".join(sys.argv[4:5])))
