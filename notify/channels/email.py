"""Mail: lanes that keep a connection to a relay, send batches over it, and move to another relay when that is better.

It knows messages as `Outgoing`, and nothing of where they are stored; how mail is said to a server stands in
`conversation.py`, how a connection comes about in `connecting.py`, whose turn it is in `relays.py`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

import metrics
from foundation.clock import Clock, system_clock
from notify.channels import Accepted, Deferred, Lane, Outgoing, Refused, Result, Unclear, Unsent
from notify.channels.connecting import CannotConnect, connect
from notify.channels.conversation import Conversation
from notify.channels.envelopes import Envelope
from notify.channels.relays import Berth, Relays
from notify.channels.replies import BROKEN, UNWELCOME, Timeouts, lost_before_body
from notify.mail import MailFactory, MailTemplate, mail_date
from notify.messages import is_sendable

_log = structlog.get_logger()

# How often a lane that found every relay full looks again.
_ROOM_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """When a connection is given up though it works: servers close idle and old ones in the middle of a mail."""

    idle_seconds: float = 20
    age_seconds: float = 300


class MailChannel:
    """The channel `mail`. `relays`: their URLs; `factory`: makes the bytes; `greeting_name`: what we say in EHLO."""

    name = "mail"

    def __init__(
        self,
        relays: Sequence[str] | Relays,
        factory: MailFactory,
        *,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        greeting_name: str = "localhost",
        clock: Clock = system_clock,
    ) -> None:
        self.relays = relays if isinstance(relays, Relays) else Relays(relays)
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
        return_path, envelope_id = self.factory.return_path(reference), self.factory.envelope_id(reference)
        return Envelope(return_path, one.address, content, envelope_id)


class MailLane:
    """One connection's worth of sending: a place at a relay, and a connection there, renewed as needed."""

    def __init__(self, channel: MailChannel) -> None:
        self._channel = channel
        self._relays = channel.relays
        self._berth: Berth | None = None
        self._connection: Conversation | None = None
        self._opened = 0.0
        self._idle: asyncio.TimerHandle | None = None

    async def ready(self, stop: asyncio.Event) -> None:
        """Return once we have a place at a relay that answers; it is kept until the next call.

        A relay that failed has to answer first, so that nothing is claimed for a relay that is away.
        """
        while not stop.is_set() and not await self._placed():
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, self._relays.seconds_until_next() or _ROOM_SECONDS)):
                    await stop.wait()

    async def send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        """See `Lane.send`. A message that may have left us is never tried again here."""
        sendable = [one for one in batch if is_sendable(one.address)]
        sent = await self._send(sendable, stop)
        if len(sent) == len(batch):
            return sent
        results = iter(sent)
        return [next(results, Unsent()) if is_sendable(one.address) else Refused("unusable_address") for one in batch]

    async def close(self) -> None:
        self._leave()

    async def _send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        results: list[Result] = []
        date = mail_date(self._channel.clock())
        envelope = self._channel.envelope
        while len(results) < len(batch) and not stop.is_set():
            kept = self._connection
            connection = await self._connected()
            if connection is None:
                break
            self._stay()
            room = self._room(connection)
            due = batch[len(results) : room and len(results) + room]
            done = await connection.send((envelope(one, date) for one in due), stop)
            if connection.spent and not done and not connection.closing and connection is not kept:
                # Even a fresh connection broke at this message: let it wait its turn, so that the others get theirs.
                done = [lost_before_body("connection_lost")]
            results += done
            self._rest(connection, done)
            if connection.error is not None:  # raised when it is the first of a batch: the results come first
                break
        return results

    async def _placed(self) -> bool:
        if self._berth is not None and not self._berth.health.usable:
            self._leave()
        if self._berth is None:
            self._berth = self._relays.take()
        if self._berth is None:
            return False
        return self._berth.health.failures == 0 or await self._connected() is not None

    async def _connected(self) -> Conversation | None:
        """Our connection; a new one where it has served its time; None when no relay has room and answers."""
        if self._connection is not None and not self._is_good(self._connection):
            self._leave()
        if self._connection is not None:
            return self._connection
        while (berth := self._berth or self._relays.take()) is not None:
            self._berth = berth
            if not berth.health.usable:
                self._leave()
                continue
            try:
                self._connection = await connect(berth.relay, self._channel.timeouts, self._channel.greeting_name)
            except CannotConnect as error:
                self._failed(berth, str(error), hard=True, refused=error.refused)
                self._leave()
            else:
                self._opened = asyncio.get_running_loop().time()
                metrics.record_relay_connection(berth.relay.name)
                return self._connection
        return None

    def _is_good(self, connection: Conversation) -> bool:
        assert self._berth is not None
        age = asyncio.get_running_loop().time() - self._opened
        young = age < self._channel.limits.age_seconds
        return not connection.spent and young and self._berth.health.usable and self._room(connection) != 0

    def _room(self, connection: Conversation) -> int | None:
        """How many more messages the connection may carry; None: any number."""
        assert self._berth is not None
        most = self._berth.relay.per_connection
        return None if most is None else max(0, most - connection.begun)

    def _rest(self, connection: Conversation, done: Sequence[Result]) -> None:
        """After a batch: judge the relay; keep the connection for the next batch, but not for long."""
        assert self._berth is not None
        _count(self._berth, done)
        if connection.closing:
            self._failed(self._berth, connection.closing, hard=False)
        if not self._is_good(connection):
            self._leave()
        else:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._channel.limits.idle_seconds, self._hang_up)

    def _failed(self, berth: Berth, trouble: str, *, hard: bool, refused: bool = False) -> None:
        berth.health.failed(trouble, hard=hard, refused=refused)
        event = "relay is away" if hard else "relay wants to be left alone"
        _log.warning(event, relay=berth.relay.name, trouble=trouble)
        metrics.record_relay_state(berth.relay.name, berth.health.state)

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _hang_up(self) -> None:
        """Close the connection and keep the place: a lane that was told it is ready must not find its place taken."""
        self._stay()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _leave(self) -> None:
        self._hang_up()
        if self._berth is not None:
            self._relays.give_back(self._berth)
            self._berth = None


def _count(berth: Berth, done: Sequence[Result]) -> None:
    """Tell the relay's health and the metrics what a batch came to."""
    if not done:
        return
    sent = refused = broken = 0
    trouble = ""
    for result in done:
        if isinstance(result, Accepted):
            sent += 1
        elif isinstance(result, Deferred | Refused | Unclear):
            if result.reason in UNWELCOME:
                refused, trouble = refused + 1, f"{result.code} {result.reply}"
            elif result.reason in BROKEN:
                broken, trouble = broken + 1, result.reason
    others = len(done) - sent - refused - broken
    was = berth.health.state
    berth.health.counted(sent=sent, refused=refused, broken=broken, others=others, trouble=trouble)
    state = berth.health.state
    if state == "braked" and was != "braked":
        _log.warning("relay is braked", relay=berth.relay.name, trouble=trouble)
    metrics.record_relay_mails(berth.relay.name, sent=sent, refused=refused, broken=broken, others=others)
    metrics.record_relay_state(berth.relay.name, state)
