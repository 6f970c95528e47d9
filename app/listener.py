"""Takes in the mail that comes back: bounces, complaints, replies. Runs in the worker, where it is set."""

import asyncio
import logging
import ssl
import stat
from contextlib import AsyncExitStack

import structlog

from app.mail_filing import MailFiling
from app.mail_server import MailDoor
from app.settings import Bind, MailBind
from app.wiring import Parts
from claims import Intake

_log = structlog.get_logger()


async def listen(parts: Parts, stop: asyncio.Event) -> None:
    """Take in mail at every place of the settings until `stop` is set; mails in hand are filed and answered first."""
    # The library logs what strangers say, as they say it.
    logging.getLogger("mail.log").disabled = True
    settings = parts.settings
    tls = None
    if settings.mail_certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(settings.mail_certificate)
    async with Intake(parts.database).running() as intake, AsyncExitStack() as stack:
        filing = MailFiling(parts.database, intake, parts.tokens, parts.clock, inboxes=settings.mail_inboxes)
        for bind in settings.mail_listen:
            door = MailDoor(filing, bind.protocol, name=settings.mail_from.rpartition("@")[2], tls=tls)
            server = await open_door(door, bind)
            stack.push_async_callback(door.close)
            stack.callback(server.close)
            _log.info("taking in mail", protocol=bind.protocol, at=str(bind.at))
        await stop.wait()


async def open_door(door: MailDoor, bind: MailBind) -> asyncio.Server:
    """Listen at `bind`. A socket file left by a process that was killed is replaced."""
    loop = asyncio.get_running_loop()
    if not isinstance(bind.at, Bind):
        path = bind.at
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        server = await loop.create_unix_server(door.connection, str(path))
        path.chmod(0o660)  # for the mail server beside us, by its group; nobody else
        return server
    return await loop.create_server(door.connection, bind.at.host, bind.at.port, backlog=256)
