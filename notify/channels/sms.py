"""SMS: lanes that send texts in segments over the binds to SMS centres, and say of each what became of it.

Knows messages as `Outgoing`, prices only for the sender id of a country, and nothing of where anything is stored.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle

from foundation.clock import Clock, system_clock
from notify.channels import Accepted, Deferred, Lane, Outgoing, Refused, Result, Unclear, Unsent
from notify.channels.centres import centre_from
from notify.channels.inbound import Inbox
from notify.channels.smpp_bind import Segment, SmsTimeouts
from notify.channels.smpp_line import Line
from notify.messages import fill_slots
from notify.sms_prices import Cost, Prices, SenderId, sender_id
from notify.sms_text import MOST_SEGMENTS, Part, Written, parts, write
from notify.tables import BATCH

# A message of which one part went out and another must wait is finished here: the reader already has the one.
_TRIES_FOR_THE_REST = 3
_ANSWER_LASTS = timedelta(hours=24)


class SmsChannel:
    """The channel `sms`. `urls`: the centres, one bind for each; `prices` names the sender per country.

    `inbox` is called for every receipt and text that comes in on a bind; while it waits, the centre is made to wait.
    """

    name = "sms"

    def __init__(
        self,
        urls: Sequence[str],
        prices: Prices,
        inbox: Inbox,
        *,
        timeouts: SmsTimeouts | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self.centres = [centre_from(url) for url in urls]
        self.prices = prices
        self.clock = clock
        seconds = timeouts or SmsTimeouts()
        self.lines = [Line(one, inbox, seconds) for one in self.centres]
        ways = [line for line in self.lines for _ in range(_lanes_for(line.centre.window))]
        self.lanes = len(ways)
        self._turns = cycle(ways)
        self._written: dict[int, Written] = {}

    def lane(self) -> "SmsLane":
        """One of `lanes`: operators count binds, so there are never more of these than URLs."""
        return SmsLane(self, next(self._turns))

    async def answer(self, centre: str, sender: str, recipient: str, text: str, language: str) -> Result:
        """Send one text outside the outbox, to a number that just wrote to us, from the number it wrote to."""
        try:
            ours = sender_id(sender)
        except ValueError:
            return Refused("sender_refused")
        pieces = parts(write(text, language), 0)
        segments = list(_segments(pieces, recipient, ours, self.clock() + _ANSWER_LASTS))
        for line in self.lines:
            if line.centre.name == centre and line.is_bound:
                return _together(await line.send(segments, asyncio.Event()))
        return Unsent()

    def cost(self, one: Outgoing) -> Cost | None:
        """What sending one delivery would cost, to be set aside before it is sent; None for one that will not be."""
        price = self.prices.price(one.address)
        if price is None or price.sender is None:
            return None
        count = self._text(one).segments
        return Cost(count, count * price.micro, price.currency)

    def segments(self, one: Outgoing) -> list[Segment] | Refused | Deferred:
        """The segments of one delivery, or why it cannot be sent."""
        price = self.prices.price(one.address)
        if price is None or price.sender is None:
            return Refused("country_not_served")
        if one.not_after <= self.clock():
            return Deferred("too_late")
        written = self._text(one)
        if written.segments > MOST_SEGMENTS:
            return Refused("text_too_long")
        # The same reference at every attempt: what a reader has of it already is completed, not shown twice.
        return list(_segments(parts(written, one.id), one.address, price.sender, one.not_after))

    def _text(self, one: Outgoing) -> Written:
        if "{" in one.message.body:
            return write(fill_slots(one.message.body, one.slots), one.message.language)
        written = self._written.get(one.message.id)
        if written is None:
            if len(self._written) > 1000:  # one for each message and language; old ones are cheap to make again
                self._written.clear()
            body = fill_slots(one.message.body, {})
            written = self._written[one.message.id] = write(body, one.message.language)
        return written


def _lanes_for(window: int) -> int:
    """Enough batches at once to keep a window full, and one that is being recorded."""
    return -(-window // BATCH) + 1


def _segments(pieces: Sequence[Part], phone: str, sender: SenderId, not_after: datetime) -> Iterator[Segment]:
    # SMPP 3.4 section 7.1.1.1, absolute: tenths of a second, then quarter hours from UTC.
    valid_until = not_after.astimezone(UTC).strftime("%y%m%d%H%M%S") + "000+"
    for piece in pieces:
        yield Segment(sender, phone.lstrip("+"), piece, valid_until)


class SmsLane(Lane):
    """A batch's way over a bind that several lanes share, so that its window is full while one of them is recorded."""

    def __init__(self, channel: SmsChannel, line: Line) -> None:
        self.channel = channel
        self.line = line
        self._joined = False

    async def ready(self, stop: asyncio.Event) -> None:
        """Return when the bind stands, or when `stop` is set."""
        if not self._joined:
            self._joined = True
            self.line.join()
        await self.line.ready(stop)

    async def send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        """See `Lane.send`. A message counts as accepted when all of its parts are."""
        plans = [self.channel.segments(one) for one in batch]
        segments = [plan if isinstance(plan, list) else [] for plan in plans]
        answers: list[list[Result]] = [[Unsent()] * len(one) for one in segments]
        places = [(at, part) for at, one in enumerate(segments) for part in range(len(one))]
        for _ in range(1 + _TRIES_FOR_THE_REST):
            results = await self.line.send([segments[at][part] for at, part in places], stop)
            for (at, part), result in zip(places, results, strict=True):
                answers[at][part] = result
            places = [(at, part) for at, one in enumerate(answers) if _begun(one) for part in _unfinished(one)]
            if not places or stop.is_set():
                break
        return [
            _together(parts_of) if isinstance(plan, list) else plan
            for plan, parts_of in zip(plans, answers, strict=True)
        ]

    async def close(self) -> None:
        """Leave the bind; the last one to leave ends it."""
        if self._joined:
            self._joined = False
            await self.line.leave()


def _begun(answers: Sequence[Result]) -> bool:
    """Whether some parts are out while others could still follow."""
    return any(isinstance(one, Accepted) for one in answers) and not any(
        isinstance(one, Refused | Unclear) for one in answers
    )


def _unfinished(answers: Sequence[Result]) -> list[int]:
    return [at for at, one in enumerate(answers) if isinstance(one, Deferred | Unsent)]


def _together(answers: Sequence[Result]) -> Result:
    """What the answers to the parts of one message say of the message: the worst of them.

    Unclear before refused: who may have got the rest may have got all of it. A deferred one goes out again as a whole,
    under the same reference, so phones put it together with the part they have.
    """
    if len(answers) == 1:
        return answers[0]
    numbered = list(enumerate(answers, start=1))
    worst: list[tuple[int, Unclear | Refused | Deferred]] = [
        *((at, one) for at, one in numbered if isinstance(one, Unclear)),
        *((at, one) for at, one in numbered if isinstance(one, Refused)),
        *((at, one) for at, one in numbered if isinstance(one, Deferred)),
    ]
    if worst:
        at, one = worst[0]
        return replace(one, reply=f"part {at} of {len(answers)}: {one.reply or one.reason}")
    if any(isinstance(one, Unsent) for one in answers):
        begun = any(isinstance(one, Accepted) for one in answers)
        return Deferred("connection_lost", None, "some parts had gone out") if begun else Unsent()
    accepted = [one for one in answers if isinstance(one, Accepted)]
    return Accepted(accepted[0].code, accepted[0].reply, tuple(name for one in accepted for name in one.parts))
