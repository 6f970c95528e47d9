"""Takes in the mail that comes back: bounces, complaints, replies. Runs in the worker, where it is set."""

import asyncio
import logging
import ssl
import stat
from pathlib import Path

import structlog

from app.loops import wait
from app.mail_filing import MailFiling
from app.mail_server import MailDoor
from app.setting_values import Bind, MailBind
from app.wiring import Parts
from claims import Intake

_log = structlog.get_logger()
_LOOK_SECONDS = 2.0


async def listen(parts: Parts, stop: asyncio.Event) -> None:
    """Take in mail at every place of the settings until `stop` is set; mails in hand are filed and answered first."""
    # The library logs what strangers say, as they say it.
    logging.getLogger("mail.log").disabled = True
    settings = parts.settings
    tls = None
    if settings.mail_certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(settings.mail_certificate)
    async with Intake(parts.database).running() as intake, asyncio.TaskGroup() as group:
        filing = MailFiling(parts.database, intake, parts.tokens, parts.clock, inboxes=settings.mail_inboxes)
        for bind in settings.mail_listen:
            door = MailDoor(filing, bind.protocol, name=settings.mail_from.rpartition("@")[2], tls=tls)
            group.create_task(_keep_open(door, bind, stop))


async def _keep_open(door: MailDoor, bind: MailBind, stop: asyncio.Event) -> None:
    """Listen at `bind` until `stop` is set. A place that cannot be had is tried again: it must not stop the sending."""
    while not stop.is_set():
        try:
            server = await open_door(door, bind)
        except OSError as error:
            _log.error("cannot take in mail, trying again", at=str(bind.at), error=str(error))
            server = None
        if server is None:
            await wait(stop, _LOOK_SECONDS)
            continue
        _log.info("taking in mail", protocol=bind.protocol, at=str(bind.at))
        await stop.wait()
        server.close()
        await door.close()


async def open_door(door: MailDoor, bind: MailBind) -> asyncio.Server | None:
    """Listen at `bind`. Workers on one machine share a port; at a socket file one listens, and None says that it does.

    A socket file left by a process that was killed is replaced.
    """
    loop = asyncio.get_running_loop()
    if isinstance(bind.at, Bind):
        return await loop.create_server(door.connection, bind.at.host, bind.at.port, backlog=256, reuse_port=True)
    path = bind.at
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        if await _somebody_listens(path):
            return None
        path.unlink(missing_ok=True)
    server = await loop.create_unix_server(door.connection, str(path))
    path.chmod(0o660)  # for the mail server beside us, by its group; nobody else
    return server


async def _somebody_listens(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    return True
