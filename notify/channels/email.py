"""Mail: lanes that keep a connection to a relay and send batches over it, pipelined where the relay offers that.

aiosmtplib connects, secures and signs in. It knows messages as `Outgoing`, and nothing of where they are stored.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, cast

import aiosmtplib
import structlog

from foundation.clock import Clock, system_clock
from notify.channels import Lane, Outgoing, Refused, Result, Unclear, Unsent
from notify.channels.pipelining import PipelinedConnection
from notify.channels.relays import Relay, Relays
from notify.channels.replies import Envelope, Reply, Timeouts, after_body, before_body, lost_before_body
from notify.mail import MailFactory, MailTemplate, mail_date
from notify.messages import is_sendable

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """When a connection is given up though it works: servers close idle and old ones in the middle of a mail."""

    idle_seconds: float = 20
    age_seconds: float = 300


class Connection(Protocol):
    """A connection that is ready for mail, whichever way it talks."""

    @property
    def spent(self) -> bool: ...

    @property
    def slow_down(self) -> bool: ...

    async def send(self, batch: Sequence[Envelope], stop: asyncio.Event) -> list[Result]: ...

    def close(self) -> None: ...


class MailChannel:
    """The channel `mail`. `relays`: their URLs; `factory`: makes the bytes; `greeting_name`: what we say in EHLO."""

    name = "mail"

    def __init__(
        self,
        relays: Sequence[str],
        factory: MailFactory,
        *,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        greeting_name: str = "localhost",
        clock: Clock = system_clock,
    ) -> None:
        self.relays = Relays(relays)
        self.factory = factory
        self.timeouts = timeouts or Timeouts()
        self.limits = limits or Limits()
        self.greeting_name = greeting_name
        self.clock = clock
        self._templates: dict[int, MailTemplate] = {}

    def lane(self) -> Lane:
        return MailLane(self)

    def envelope(self, one: Outgoing, date: str) -> Envelope:
        """The mail for one delivery, in bytes."""
        template = self._templates.get(one.message.id)
        if template is None:
            if len(self._templates) > 1000:  # one for each message and language; old ones are cheap to make again
                self._templates.clear()
            template = self._templates[one.message.id] = self.factory.template(one.message)
        reference = self.factory.reference(one.id)
        content = template.build(to=one.address, reference=reference, slots=one.slots, date=date)
        return Envelope(self.factory.return_path(reference), one.address, content)

    async def connect(self) -> tuple[Connection, Relay] | None:
        """A connection to the first relay that answers; None while none does."""
        for relay in self.relays.candidates():
            try:
                connection = await _connect(relay, self.timeouts, self.greeting_name)
            except (aiosmtplib.SMTPException, OSError) as error:
                relay.failed()
                _log.warning("relay is away", host=relay.host, port=relay.port, error=str(error))
            else:
                relay.answered()
                return connection, relay
        return None


class MailLane:
    """One connection's worth of sending, reconnected as needed."""

    def __init__(self, channel: MailChannel) -> None:
        self._channel = channel
        self._connection: Connection | None = None
        self._relay: Relay | None = None
        self._opened = 0.0
        self._idle: asyncio.TimerHandle | None = None

    async def ready(self, stop: asyncio.Event) -> None:
        """Return at once while relays answer; else try until one does, so that nothing is claimed meanwhile."""
        relays = self._channel.relays
        while relays.all_failing() and not stop.is_set() and not await self._connected():
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, relays.seconds_until_next())):
                    await stop.wait()

    async def send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        """See `Lane.send`. A message that may have left us is never tried again here."""
        date = mail_date(self._channel.clock())
        sendable = [one for one in batch if is_sendable(one.address)]
        envelopes = [self._channel.envelope(one, date) for one in sendable]
        results = iter(await self._send(envelopes, stop))
        return [next(results, Unsent()) if is_sendable(one.address) else Refused("unusable_address") for one in batch]

    async def close(self) -> None:
        self._drop()

    async def _send(self, envelopes: Sequence[Envelope], stop: asyncio.Event) -> list[Result]:
        results: list[Result] = []
        while len(results) < len(envelopes) and not stop.is_set():
            kept = self._connection
            connection = await self._connected()
            if connection is None:
                break
            self._stay()
            done = await connection.send(envelopes[len(results) :], stop)
            results += done
            if connection.spent and not done and connection is not kept:
                # Even a fresh connection broke at this message: let it wait its turn, so that the others get theirs.
                results.append(lost_before_body("connection_lost"))
            self._rest(connection)
        return results

    async def _connected(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        if self._connection is not None:
            if not self._connection.spent and now - self._opened < self._channel.limits.age_seconds:
                return self._connection
            self._drop()
        opened = await self._channel.connect()
        if opened is None:
            return None
        self._connection, self._relay = opened
        self._opened = now
        return self._connection

    def _rest(self, connection: Connection) -> None:
        """After a batch: keep the connection for the next one, but not for long."""
        if connection.slow_down and self._relay is not None:
            self._relay.failed()
        if connection.spent:
            self._drop()
        else:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._channel.limits.idle_seconds, self._drop)

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _drop(self) -> None:
        self._stay()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._relay = None


async def _connect(relay: Relay, timeouts: Timeouts, greeting_name: str) -> Connection:
    client = aiosmtplib.SMTP(
        hostname=relay.host,
        port=relay.port,
        username=relay.user,
        password=relay.password,
        use_tls=relay.security == "tls",
        start_tls={"off": False, "offered": None, "starttls": True, "tls": False}[relay.security],
        validate_certs=relay.security != "offered",
        timeout=timeouts.connect,
        local_hostname=greeting_name,
    )
    await client.connect()
    try:
        if client.is_ehlo_or_helo_needed:
            await _greet(client)
        if client.supports_extension("pipelining"):
            return PipelinedConnection(cast(asyncio.Transport, client.transport), timeouts)
    except BaseException:
        client.close()
        raise
    return LockstepConnection(client, timeouts)


async def _greet(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


class LockstepConnection:
    """A relay without PIPELINING: command and reply in turn, by aiosmtplib."""

    def __init__(self, client: aiosmtplib.SMTP, timeouts: Timeouts) -> None:
        self.slow_down = False
        self._client = client
        self._timeouts = timeouts

    @property
    def spent(self) -> bool:
        return not self._client.is_connected

    async def send(self, batch: Sequence[Envelope], stop: asyncio.Event) -> list[Result]:
        results: list[Result] = []
        try:
            for envelope in batch:
                if self.spent or (results and stop.is_set()):
                    break
                result = await self._send_one(envelope)
                if result is None:
                    break
                results.append(result)
        except asyncio.CancelledError:
            self._client.close()
            raise
        return results

    def close(self) -> None:
        self._client.close()

    async def _send_one(self, envelope: Envelope) -> Result | None:
        """None: the connection was lost before a reply to MAIL, as happens to one that was kept for long."""
        at_mail = True
        try:
            await self._client.mail(envelope.return_path, timeout=self._timeouts.command)
            at_mail = False
            await self._client.rcpt(envelope.recipient, timeout=self._timeouts.command)
        except aiosmtplib.SMTPResponseException as error:
            reply = _reply(error)
            # aiosmtplib takes 250 and 251 alone for success; any other 2xx leaves the envelope in a state to clear.
            refusal = before_body(b"%d" % reply.code, b"2", reply.text, at_mail=at_mail) if reply.code else None
            return await self._cleared(refusal or lost_before_body("unreadable_reply", reply), error.code)
        except (aiosmtplib.SMTPException, OSError) as error:
            self._client.close()
            timed_out = isinstance(error, TimeoutError)
            return None if at_mail and not timed_out else lost_before_body(_reason(error))
        return await self._send_body(envelope)

    async def _send_body(self, envelope: Envelope) -> Result:
        try:
            # DATA and body are one call, so its failure without a code leaves open whether the body left us.
            response = await self._client.data(envelope.content, timeout=self._timeouts.final_dot)
        except aiosmtplib.SMTPDataError as error:
            reply = _reply(error)
            if reply.code == 250:  # after the dot it would be success, so it was the reply to DATA
                self._client.close()
                return lost_before_body("unreadable_reply", reply)
            result = after_body(reply)
            return await self._cleared(result, -1 if isinstance(result, Unclear) else reply.code)
        except aiosmtplib.SMTPResponseException as error:
            self._client.close()
            return Unclear("unreadable_reply", None, _reply(error).words)
        except (aiosmtplib.SMTPException, OSError) as error:
            self._client.close()
            return Unclear(_reason(error))
        return after_body(Reply(response.code, response.message.encode("utf-8", "replace")))

    async def _cleared(self, result: Result, code: int) -> Result:
        """`result`, once the server has forgotten the envelope; a server that does not is left."""
        self.slow_down = self.slow_down or code == 421
        if code in (421, -1):
            self._client.close()
        if not self.spent:
            try:
                await self._client.rset(timeout=self._timeouts.command)
            except (aiosmtplib.SMTPException, OSError):
                self._client.close()
        return result


def _reply(error: aiosmtplib.SMTPResponseException) -> Reply:
    return Reply(max(error.code, 0), error.message.encode("utf-8", "replace"))


def _reason(error: Exception) -> str:
    return "no_answer_in_time" if isinstance(error, TimeoutError) else "connection_lost"
