"""Texts in a worker: its channel, what comes in over it, and where that goes. Joins notify and claims.

Incoming texts become contacts under a key of their own, so that one handed over twice is one contact.
"""

import asyncio

import msgspec

from app.loops import keep
from app.templates import render
from app.wiring import Parts
from claims.intake import Arrival, Intake
from foundation.errors import Busy
from notify.channels import Accepted, Deferred, Refused, Unclear
from notify.channels.sms import SmsChannel
from notify.sender import Sender
from notify.sms_inbox import SmsInbox
from notify.sms_purse import SmsPurse
from notify.sms_texts import (
    IncomingText,
    Reply,
    claim_replies,
    read_texts,
    record_reply,
    texts_taken,
    texts_waiting,
)
from notify.tables import BATCH

# What a lane has in hand, and what a killed worker leaves in doubt for each: a batch on the wire and one behind it.
# With one alone a lane stands still while its results are written (0.66 of a bare client, not 1.20); with more
# than two, a death would repeat more texts, and they cost money.
DEPTH = 2 * BATCH


class Texts:
    """Everything a worker does with texts. `channel` is the sender's; its binds are where texts come in, too."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._database = parts.database
        self.inbox = SmsInbox(parts.database, clock=parts.clock)
        self.channel = SmsChannel(settings.smpp_urls, settings.sms_prices, self.inbox, clock=parts.clock)
        self._intake = Intake(parts.database, capacity=500, writers=1)
        purse = SmsPurse(self.channel, settings.sms_cost_caps)
        self.sender = Sender(parts.database, self.channel, connections=self.channel.lanes, depth=DEPTH, purse=purse)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, and store what comes in until the last bind has ended."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.inbox.run(ended))
            try:
                await self.sender.run(stop)
            finally:
                ended.set()

    async def read(self, stop: asyncio.Event) -> None:
        """Read what came in, hand it on and answer, until `stop`."""
        async with self._intake.running():
            await keep(self.step, stop, idle_seconds=0.5)

    async def step(self) -> bool:
        """One round. True: there may be more to do."""
        async with self._database.transaction() as tx:
            found = await read_texts(tx, render)
            waiting = await texts_waiting(tx)
        taken = [one.id for one in await asyncio.gather(*(self._hand_over(one) for one in waiting)) if one is not None]
        async with self._database.transaction() as tx:
            await texts_taken(tx, taken)
            replies = await claim_replies(tx, [one.name for one in self.channel.centres])
        for reply in replies:
            await self._answer(reply)
        return bool(found or taken or replies)

    async def _hand_over(self, text: IncomingText) -> IncomingText | None:
        """Give a text to claims; None when it cannot take it now."""
        try:
            await self._intake.accept(as_contact(text))
        except Busy:
            return None
        return text

    async def _answer(self, reply: Reply) -> None:
        result = await self.channel.answer(reply.centre, reply.sender, reply.recipient, reply.text, reply.language)
        match result:
            case Accepted():
                state, reason = "sent", None
            case Refused():
                state, reason = "refused", result.reason
            case Unclear():
                state, reason = "unknown", result.reason
            case Deferred():
                state, reason = "planned", result.reason
            case _:
                state, reason = "planned", None
        async with self._database.transaction() as tx:
            await record_reply(tx, reply.id, state, reason)


def as_contact(text: IncomingText) -> Arrival:
    """A text as claims takes contacts: its number is what says who wrote it. The same text makes the same bytes."""
    raw = msgspec.json.encode({"phone": text.sender, "message": text.text})
    return Arrival("sms", text.language, raw, f"sms:{text.id}")
