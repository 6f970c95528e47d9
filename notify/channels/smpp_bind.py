"""One bind to an SMS centre, by `smpp34`: sends segments within a window and hands on what comes in on the same bind.

It knows segments and addresses; nothing of messages, customers or databases. What the library cannot tell apart (lost
after writing, no answer) is unclear here too.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import smpp34

from notify.channels import Accepted, Result, Unclear, Unsent
from notify.channels.centres import Centre
from notify.channels.inbound import Inbound, Inbox, international
from notify.channels.smpp_pace import Pace
from notify.channels.smpp_status import failure, refusal
from notify.sms_prices import SenderId
from notify.sms_text import Part

# The library waits thirty seconds for a response, which cannot be set from outside; ours has to be shorter.
LONGEST_WAIT = 29.0
# What may wait in memory between the library, which has acknowledged it, and our store. Beyond it the centre is told
# that the queue is full and tries again later.
_INBOUND = 256


@dataclass(frozen=True, slots=True)
class Segment:
    """One `submit_sm`. `destination`: digits, international; `valid_until`: as SMPP writes it."""

    sender: SenderId
    destination: str
    part: Part
    valid_until: str


class Bind:
    """A bound session. Once `lost` it is of no use any more."""

    def __init__(self, centre: Centre, session: smpp34.Smsc, pace: Pace, *, wait: float = LONGEST_WAIT) -> None:
        self.lost = False
        self._centre = centre
        self._session = session
        self._pace = pace
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self.under_way = 0  # segments that wait for their response
        self._open: list[_Sending] = []

    async def listen(self, inbox: Inbox) -> None:
        """Hand on what comes in until the session ends. While `inbox` waits nothing more is taken from the library."""
        while True:
            event = await self._session.next()
            if isinstance(event, smpp34.Disconnected):
                self._lose()
                return
            await inbox(
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
                self._give_up_overdue(ours)
        finally:
            self._open.remove(ours)
        return ours.results

    async def close(self) -> None:
        """Take leave. The library answers for everything that still hangs."""
        self._lose()
        await self._session.unbind()

    def _lose(self) -> None:
        """Nothing more is begun: what is written now would go nowhere, and be in doubt for it."""
        self.lost = True
        for one in self._open:
            one.news.set()

    def _may_send(self, stop: asyncio.Event) -> bool:
        if self.lost or stop.is_set() or self.under_way >= self._pace.window:
            return False
        return self._pace.wait(self._loop.time()) == 0

    def _submit(self, ours: "_Sending", number: int, segment: Segment) -> None:
        answer = self._session.submit_sm(
            segment.destination,
            segment.part.content,
            source_addr=segment.sender.text,
            source_addr_ton=segment.sender.ton,
            source_addr_npi=segment.sender.npi,
            dest_addr_ton=1,  # international
            dest_addr_npi=1,  # E.164
            esm_class=0x40 if segment.part.header else 0,
            data_coding=segment.part.data_coding,
            registered_delivery=1,
            validity_period=segment.valid_until,
        )
        now = self._loop.time()
        ours.sent[number] = now
        self.under_way += 1
        self._pace.sent(now)
        # A future, whatever the stubs say.
        asyncio.ensure_future(answer).add_done_callback(partial(self._answered, ours, number))

    def _answered(self, ours: "_Sending", number: int, answer: "asyncio.Future[smpp34.SubmitSmResp]") -> None:
        if answer.cancelled():
            result: Result = Unclear("connection_lost")
        elif (error := answer.exception()) is not None:
            result = failure(_known(error), lost=self.lost)
        else:
            result = self._judge(answer.result())
        if isinstance(result, Unclear):
            # The connection is gone or confused, whether or not the library has said so yet.
            self._lose()
            result = Unclear("connection_lost")
        if ours.sent.pop(number, None) is None:
            return  # given up before
        self.under_way -= 1
        ours.results[number] = result
        # Thousands of answers a second: only those are woken who can go on.
        if not ours.sent:
            ours.news.set()
        for one in self._open:
            if one.hungry:
                one.news.set()

    def _judge(self, response: smpp34.SubmitSmResp) -> Result:
        if response.is_success:
            self._pace.accepted()
            if not response.message_id:
                return Accepted(0)
            return Accepted(0, response.message_id[:100], (self._centre.reference(response.message_id),))
        result = refusal(response.command_status)
        if result.reason == "throttled":
            self._pace.throttled(self._loop.time())
        return result

    def _give_up_overdue(self, ours: "_Sending") -> None:
        now = self._loop.time()
        for number in [number for number, since in ours.sent.items() if now - since >= self._wait]:
            # A centre that loses one response may answer the next one under the wrong number: a fresh bind is surer.
            self._lose()
            del ours.sent[number]
            self.under_way -= 1
            ours.results[number] = Unclear("no_answer_in_time")

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


async def bind(centre: Centre, pace: Pace, *, connect_seconds: float = 10, wait: float = LONGEST_WAIT) -> Bind:
    """A bound transceiver session with `centre`. Raises `smpp34.SmppError`; of a refused sign-in the library says no
    more than that the bind timed out."""
    client = smpp34.Client(
        centre.host,
        centre.port,
        centre.system_id,
        centre.password,
        bind_type="TRX",
        system_type=centre.system_type,
        tls=centre.tls,
        window_size=centre.window,
        inbound_capacity=_INBOUND,
        connect_timeout_ms=int(connect_seconds * 1000),
    )
    return Bind(centre, await client.connect(), pace, wait=min(wait, LONGEST_WAIT))


def _known(error: BaseException) -> Exception:
    if isinstance(error, smpp34.SmppError):
        return error
    raise error
