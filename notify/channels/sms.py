"""SMS: lanes that each keep one bind to an SMS centre, send texts over it in segments, and hand on what comes in.

Knows messages as `Outgoing`, prices only for the sender id of a country, and nothing of where anything is stored.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle

import smpp34
import structlog

from foundation.clock import Clock, system_clock
from notify.channels import Accepted, Deferred, Lane, Outgoing, Refused, Result, Unclear, Unsent
from notify.channels.centres import Centre, centre_from
from notify.channels.inbound import Inbox
from notify.channels.smpp_bind import LONGEST_WAIT, Bind, Segment, bind
from notify.channels.smpp_pace import Pace
from notify.messages import fill_slots
from notify.sms_prices import Prices, SenderId, sender_id
from notify.sms_text import MOST_SEGMENTS, Part, Written, parts, write

_log = structlog.get_logger()

# A message of which one part went out and another must wait is finished here: the reader already has the one.
_TRIES_FOR_THE_REST = 3
_ANSWER_LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SmsTimeouts:
    """Seconds. `response`: 30 at most; the library answers for us after that."""

    connect: float = 10
    response: float = LONGEST_WAIT


class SmsChannel:
    """The channel `sms`. `urls`: the centres, one bind and so one lane for each; `prices` names the sender per country.

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
        self.inbox = inbox
        self.timeouts = timeouts or SmsTimeouts()
        self.clock = clock
        self._turns = cycle(self.centres)
        self._lanes: list[SmsLane] = []
        self._written: dict[int, Written] = {}

    @property
    def binds(self) -> int:
        """How many lanes there are to be: operators count binds, so a lane never opens a second one."""
        return len(self.centres)

    def lane(self) -> "SmsLane":
        lane = SmsLane(self, next(self._turns))
        self._lanes.append(lane)
        return lane

    async def answer(self, centre: str, sender: str, recipient: str, text: str, language: str) -> Result:
        """Send one text outside the outbox, to a number that just wrote to us, from the number it wrote to."""
        try:
            ours = sender_id(sender)
        except ValueError:
            return Refused("sender_refused")
        pieces = parts(write(text, language), 0)
        segments = list(_segments(pieces, recipient, ours, self.clock() + _ANSWER_LASTS))
        for lane in self._lanes:
            if lane.centre.name == centre and lane.is_bound:
                return _together(await lane.submit(segments, asyncio.Event()))
        return Unsent()

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


def _segments(pieces: Sequence[Part], phone: str, sender: SenderId, not_after: datetime) -> Iterator[Segment]:
    # SMPP 3.4 section 7.1.1.1, absolute: tenths of a second, then quarter hours from UTC.
    valid_until = not_after.astimezone(UTC).strftime("%y%m%d%H%M%S") + "000+"
    for piece in pieces:
        yield Segment(sender, phone.lstrip("+"), piece, valid_until)


class SmsLane(Lane):
    """One bind, made again as often as it is lost, also while there is nothing to send: receipts and texts come in."""

    def __init__(self, channel: SmsChannel, centre: Centre) -> None:
        self.channel = channel
        self.centre = centre
        self.pace = Pace(centre.window, centre.rate)
        self._bind: Bind | None = None
        self._bound = asyncio.Event()
        self._turn = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_bound(self) -> bool:
        return self._bind is not None

    async def ready(self, stop: asyncio.Event) -> None:
        """Return when the bind stands, or when `stop` is set."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        stopped = asyncio.ensure_future(stop.wait())
        bound = asyncio.ensure_future(self._bound.wait())
        try:
            await asyncio.wait({stopped, bound, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            bound.cancel()
        if self._keeper.done():
            self._keeper.result()  # it ends by an error only, and that is not ours to hide

    async def send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        """See `Lane.send`. A message counts as accepted when all of its parts are."""
        plans = [self.channel.segments(one) for one in batch]
        tries = [plan if isinstance(plan, list) else [] for plan in plans]
        answers: list[list[Result]] = [[Unsent()] * len(segments) for segments in tries]
        await self._send([(at, part) for at, one in enumerate(tries) for part in range(len(one))], tries, answers, stop)
        for _ in range(_TRIES_FOR_THE_REST):
            rest = [(at, part) for at, one in enumerate(answers) if _begun(one) for part in _unfinished(one)]
            if not rest or stop.is_set():
                break
            await self._send(rest, tries, answers, stop)
        return [
            _together(parts_of) if isinstance(plan, list) else plan
            for plan, parts_of in zip(plans, answers, strict=True)
        ]

    async def close(self) -> None:
        """Unbind. What still came in is handed on first by whoever waits for it in `inbox`."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def _send(
        self,
        places: Sequence[tuple[int, int]],
        segments: Sequence[Sequence[Segment]],
        answers: list[list[Result]],
        stop: asyncio.Event,
    ) -> None:
        """Send the segments at `places` (message, part) and put their answers in place."""
        results = await self.submit([segments[at][part] for at, part in places], stop)
        for (at, part), result in zip(places, results, strict=True):
            answers[at][part] = result

    async def submit(self, segments: Sequence[Segment], stop: asyncio.Event) -> list[Result]:
        """One result for each segment. Answers to incoming texts share the bind, so each waits for its turn."""
        async with self._turn:
            bound = self._bind
            if bound is None or not segments:
                return [Unsent()] * len(segments)
            results = await bound.send(segments, stop)
            if bound.lost:
                await self._drop(bound)
            return results

    async def _drop(self, bound: Bind) -> None:
        if self._bind is bound:
            self._bind = None
            self._bound.clear()
        await bound.close()

    async def _keep(self) -> None:
        """Bind, listen until the session ends, and bind again, until cancelled."""
        timeouts = self.channel.timeouts
        while True:
            await asyncio.sleep(self.centre.seconds_until_next())
            try:
                bound = await bind(self.centre, self.pace, connect_seconds=timeouts.connect, wait=timeouts.response)
            except smpp34.SmppError as error:
                self.centre.failed()
                _log.warning("SMS centre is away", centre=self.centre.name, error=str(error))
                continue
            self.centre.answered()
            self._bind = bound
            self._bound.set()
            try:
                await bound.listen(self.channel.inbox)
            finally:
                # Also when cancelled: an unbind tells the centre to keep what it still has for us.
                await self._drop(bound)
            _log.warning("SMS centre ended the session", centre=self.centre.name)
            self.centre.failed()


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
