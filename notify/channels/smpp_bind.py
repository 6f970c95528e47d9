"""One bind to an SMS centre: sends segments within a window and hands on what comes in on the same bind.

It knows segments and addresses; nothing of messages, customers or databases. A segment that was written when the
session ended is unclear: nobody knows whether it had left this machine.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import smpp34

from notify.channels import Accepted, Result, Unclear, Unsent
from notify.channels.centres import Centre
from notify.channels.inbound import Inbound, Inbox, international
from notify.channels.smpp_pace import Pace
from notify.channels.smpp_session import CannotBind, Session, open_session
from notify.channels.smpp_status import refusal
from notify.sms_prices import SenderId
from notify.sms_text import Part


@dataclass(frozen=True, slots=True)
class SmsTimeouts:
    """Seconds. `response`: for one text; `idle`: of silence before the centre is asked whether it is there."""

    connect: float = 10
    response: float = 30
    idle: float = 30


@dataclass(frozen=True, slots=True)
class Segment:
    """One `submit_sm`. `destination`: digits, international; `valid_until`: as SMPP writes it."""

    sender: SenderId
    destination: str
    part: Part
    valid_until: str


class Bind:
    """A bound session. Once `lost` it is of no use any more."""

    def __init__(self, centre: Centre, pace: Pace, inbox: Inbox, wait: float) -> None:
        self.lost = False
        self.session: Session | None = None
        self._centre = centre
        self._pace = pace
        self._inbox = inbox
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self.under_way = 0  # segments that wait for their response
        self._open: list[_Sending] = []

    async def keep(self, event: smpp34.DeliverSm) -> None:
        """Hand on what came in; the centre is told that we have it once this returns."""
        await self._inbox(
            Inbound(
                self._centre,
                international(event.source_addr, event.source_addr_ton),
                international(event.destination_addr, event.dest_addr_ton),
                event.esm_class,
                event.data_coding,
                event.short_message,
                {one.tag: one.value for one in event.tlvs},
            )
        )

    async def over(self) -> None:
        """Return when the session has ended; raises what broke in keeping what came in."""
        assert self.session is not None
        await self.session.ended.wait()
        if self.session.failure is not None:
            raise self.session.failure

    async def send(self, segments: Sequence[Segment], stop: asyncio.Event) -> list[Result]:
        """One result for each segment, in their order. After `stop` none is begun; those under way are waited for.

        Several may send at once: they share the window.
        """
        ours = _Sending([Unsent()] * len(segments))
        self._open.append(ours)
        try:
            following = iter(range(len(segments)))
            waiting = next(following, None)
            while waiting is not None or ours.sent:
                while waiting is not None and self._may_send(stop):
                    self._submit(ours, waiting, segments[waiting])
                    waiting = next(following, None)
                if not ours.sent and (stop.is_set() or self.lost):
                    break
                ours.hungry = waiting is not None
                await ours.wait(self._patience(ours))
                self._give_up(ours)
        finally:
            self._open.remove(ours)
        return ours.results

    async def close(self) -> None:
        """Take leave. What still hangs is unclear."""
        self.lose()
        if self.session is not None:
            await self.session.unbind()

    def lose(self) -> None:
        """Nothing more is begun: what is written now would go nowhere, and be in doubt for it."""
        self.lost = True
        for one in self._open:
            one.news.set()

    def _may_send(self, stop: asyncio.Event) -> bool:
        if self.lost or stop.is_set() or self.under_way >= self._pace.window:
            return False
        return self._pace.wait(self._loop.time()) == 0

    def _submit(self, ours: "_Sending", number: int, segment: Segment) -> None:
        assert self.session is not None
        now = self._loop.time()
        ours.sent[number] = now
        self.under_way += 1
        self._pace.sent(now)
        self.session.submit(partial(_written, segment), partial(self._answered, ours, number))

    def _answered(self, ours: "_Sending", number: int, status: int, name: str) -> None:
        if ours.sent.pop(number, None) is None:
            return  # given up before
        self.under_way -= 1
        ours.results[number] = self._judge(status, name)
        # Thousands of answers a second: only those are woken who can go on.
        if not ours.sent:
            ours.news.set()
        for one in self._open:
            if one.hungry:
                one.news.set()

    def _judge(self, status: int, name: str) -> Result:
        if status == 0:
            self._pace.accepted()
            return Accepted(0, name[:100], (self._centre.reference(name),)) if name else Accepted(0)
        result = refusal(status)
        if result.reason == "throttled":
            self._pace.throttled(self._loop.time())
        return result

    def _give_up(self, ours: "_Sending") -> None:
        """Once the session has ended no answer comes any more; before, not after so long."""
        now = self._loop.time()
        ended = self.session is None or self.session.ended.is_set()
        overdue = [number for number, since in ours.sent.items() if ended or now - since >= self._wait]
        if overdue:
            # A centre that loses one response may answer the next one under the wrong number: a fresh bind is surer.
            self.lose()
        for number in overdue:
            del ours.sent[number]
            self.under_way -= 1
            ours.results[number] = Unclear("connection_lost" if ended else "no_answer_in_time")

    def _patience(self, ours: "_Sending") -> float:
        """Seconds until there is something to do even if no answer comes."""
        now = self._loop.time()
        until_overdue = min(ours.sent.values(), default=now) + self._wait - now
        # Never long while some have not begun: `stop` may be set meanwhile.
        return min(until_overdue, self._pace.wait(now) or 0.5, 0.5) if ours.hungry else until_overdue


@dataclass(slots=True, eq=False)
class _Sending:
    """One call of `send`. `sent`: when each segment without an answer was written, in that order.

    `hungry`: it has segments that wait for room in the window.
    """

    results: list[Result]
    sent: dict[int, float] = field(default_factory=dict)
    hungry: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Until there is news, `seconds` at most."""
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                await self.news.wait()
        except TimeoutError:
            return
        self.news.clear()


def _written(segment: Segment, sequence: int) -> bytes:
    """The `submit_sm` as it goes on the wire."""
    return smpp34.SubmitSm(
        segment.sender.text,
        segment.destination,
        segment.part.content,
        source_addr_ton=segment.sender.ton,
        source_addr_npi=segment.sender.npi,
        dest_addr_ton=1,  # international
        dest_addr_npi=1,  # E.164
        esm_class=0x40 if segment.part.header else 0,
        data_coding=segment.part.data_coding,
        registered_delivery=1,
        validity_period=segment.valid_until,
        sequence_number=sequence,
    ).encode()


async def bind(centre: Centre, pace: Pace, inbox: Inbox, timeouts: SmsTimeouts) -> Bind:
    """A bound transceiver session with `centre`; raises `CannotBind`. Nothing is said before the centre has proven who
    it is, where its URL asks for TLS."""
    bound = Bind(centre, pace, inbox, timeouts.response)
    # Reading the system's certificates takes some 30 ms that the loop must not stand still for.
    tls = await asyncio.to_thread(_tls_context, centre.ca) if centre.tls else None
    try:
        async with asyncio.timeout(timeouts.connect):
            bound.session = await open_session(
                centre.host, centre.port, bound.keep, bound.lose, tls=tls, idle_seconds=timeouts.idle
            )
            await bound.session.bind(centre.system_id, centre.password, centre.system_type)
    except TimeoutError:
        _abort(bound)
        raise CannotBind("The centre did not answer in time.") from None
    except BaseException:
        _abort(bound)
        raise
    return bound


def _abort(bound: Bind) -> None:
    if bound.session is not None:
        bound.session.abort()


@lru_cache(maxsize=16)
def _tls_context(ca: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)
