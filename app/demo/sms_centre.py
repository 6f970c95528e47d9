"""An SMS centre of our own, on `smpp34`'s server, for demo, tests and bench: keeps what it got, misbehaves on order.

`SmsCentre` runs inside the caller's process and is told what to do through its attributes; as a process,
`python -m app.demo.sms_centre PORT`, it takes everything, sends receipts and prints its counts at the end.
"""

import argparse
import asyncio
import json
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import smpp34
import uvloop

from app.loops import stop_on_signals, wait
from notify.channels.smpp_status import THROTTLED
from notify.sms_text import Encoding, decode, parts, write

HOST = "127.0.0.1"
_WRITE_EVERY = 0.2  # seconds
_KEPT = 10_000  # segments that are kept as samples; all are counted
_AT_ONCE = 50  # receipts under way: each waits until the other side has it on disk

# How ids are written in responses and in receipts.
Ids: TypeAlias = Literal["same", "hex-decimal", "padded"]
Receipts: TypeAlias = Literal["never", "early", "at once", "held"]


@dataclass(frozen=True, slots=True)
class Accept:
    """Take the segment."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the segment with a command status."""

    status: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Take the segment and lose the response."""


Answer: TypeAlias = Accept | Reject | Silence


@dataclass(frozen=True, slots=True)
class Got:
    """A segment that was taken, as it came in."""

    source: str
    destination: str
    esm_class: int
    data_coding: int
    content: bytes
    number: int

    @property
    def part(self) -> tuple[int, int, int]:
        """(reference, parts, part); a message of one part is (0, 1, 1)."""
        if self.esm_class & 0x40 and self.content[:3] == b"\x05\x00\x03":
            return self.content[3], self.content[4], self.content[5]
        return 0, 1, 1

    @property
    def text(self) -> str:
        body = self.content[6:] if self.esm_class & 0x40 else self.content
        encoding: Encoding = "ucs2" if self.data_coding == 8 else "gsm7"
        return decode(body, encoding)


@dataclass
class SmsCentre:
    """A centre at `port`. Its attributes may be changed while it runs.

    What happens to a segment: what `answers_once` has for its destination and part; else the next of `answers`; else
    what `answers_to` has for its destination; else it is taken.
    `most_a_second`: segments above it are throttled. `receipts`: whether and when; held ones leave with `release`.
    `states`: the final state that receipts name for a destination and part; DELIVRD when there is none.
    """

    port: int
    ids: Ids = "same"
    receipts: Receipts = "never"
    most_a_second: float | None = None
    answers: deque[Answer] = field(default_factory=deque)
    answers_to: dict[str, Answer] = field(default_factory=dict)
    answers_once: dict[tuple[str, int], Answer] = field(default_factory=dict)
    states: dict[tuple[str, int], str] = field(default_factory=dict)
    got: deque[Got] = field(default_factory=lambda: deque(maxlen=_KEPT))
    taken: Counter[str] = field(default_factory=Counter)
    held: list[Got] = field(default_factory=list)
    throttled: int = 0
    binds: int = 0

    def __post_init__(self) -> None:
        self._sessions: dict[str, smpp34.Esme] = {}
        self._unanswered: list[smpp34.SubmitSmEvent] = []
        self._receipts: asyncio.Queue[Got] = asyncio.Queue()
        self._number = 0
        self._tokens, self._filled = 1.0, time.monotonic()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SmsCentre"]:
        """Serve during the block."""
        server = smpp34.Server(HOST, self.port, system_id="stormdesk", inbound_capacity=100_000)
        await server.start()
        tasks = [
            asyncio.create_task(self._serve(server)),
            *(asyncio.create_task(self._report()) for _ in range(_AT_ONCE)),
        ]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._unanswered.clear()
            await self.unbind()
            await server.stop()

    async def bound(self, count: int = 1) -> None:
        """Wait until `count` sessions are bound at once."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._sessions) == count)

    async def took(self, count: int) -> None:
        """Wait until `count` segments were taken."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.taken.total() >= count)

    async def unbind(self) -> None:
        """End every session, whatever is under way on it."""
        for session in list(self._sessions.values()):
            await session.unbind()
        self._sessions.clear()

    async def release(self) -> None:
        """Send the receipts that were held."""
        held, self.held = self.held, []
        for one in held:
            await self._report_of(one)

    @property
    def is_bound(self) -> bool:
        return bool(self._sessions)

    async def receipt(self, source: str, destination: str, content: bytes) -> bool:
        """Send a receipt of the caller's own making; whether the other side has it."""
        return await self._hand_over(destination, content, source, esm_class=0x04)

    async def text(self, source: str, destination: str, text: str, *, only: Sequence[int] | None = None) -> bool:
        """Hand in a text as if a phone had written it; whether the other side has all of it.

        `only`: the parts that arrive, by number, in that order.
        """
        written = write(text)
        pieces = parts(written, self._number % 256)
        self._number += 1
        there = True
        for number in only or range(1, len(pieces) + 1):
            piece = pieces[number - 1]
            esm_class = 0x40 if piece.header else 0
            there &= await self._hand_over(
                destination, piece.content, source, esm_class=esm_class, data_coding=piece.data_coding
            )
        return there

    def messages(self) -> list[tuple[str, str]]:
        """(destination, whole text) of what was taken and is complete, by destination."""
        joined: defaultdict[tuple[str, str, int, int], dict[int, str]] = defaultdict(dict)
        whole: list[tuple[str, str]] = []
        for one in self.got:
            reference, count, number = one.part
            if count == 1:
                whole.append((one.destination, one.text))
                continue
            pieces = joined[one.source, one.destination, reference, count]
            pieces[number] = one.text
            if len(pieces) == count:
                whole.append((one.destination, "".join(pieces[at] for at in sorted(pieces))))
                pieces.clear()
        return sorted(whole)

    async def _serve(self, server: smpp34.Server) -> None:
        while True:
            event = await server.next()
            if isinstance(event, smpp34.SubmitSmEvent):
                await self._take(event)
            elif isinstance(event, smpp34.Esme):
                async with self._changed:
                    self._sessions[event.session_id] = event
                    self.binds += 1
                    self._changed.notify_all()
            else:
                async with self._changed:
                    self._sessions.pop(event.session_id, None)
                    self._changed.notify_all()

    async def _take(self, event: smpp34.SubmitSmEvent) -> None:
        self._number += 1
        one = Got(
            event.source_addr,
            event.destination_addr,
            event.esm_class,
            event.data_coding,
            event.short_message,
            self._number,
        )
        answer = self._answer(one)
        if not isinstance(answer, Reject):
            self.got.append(one)
        if isinstance(answer, Reject):
            self.throttled += answer.status == THROTTLED
            event.reject(answer.status)
            return
        self.taken[one.destination] += 1
        async with self._changed:
            self._changed.notify_all()
        if event.registered_delivery & 1 and self.receipts == "early":
            await self._send_receipt(one)
        if isinstance(answer, Silence):
            self._unanswered.append(event)  # an event that is let go would be answered with an error
            return
        event.accept(self._written(one.number, in_receipt=False))
        if event.registered_delivery & 1 and self.receipts in ("at once", "held"):
            if self.receipts == "held":
                self.held.append(one)
            else:
                self._receipts.put_nowait(one)

    def _answer(self, one: Got) -> Answer:
        if (one.destination, one.part[2]) in self.answers_once:
            return self.answers_once.pop((one.destination, one.part[2]))
        if self.answers:
            return self.answers.popleft()
        if self.most_a_second is not None and not self._has_token(self.most_a_second):
            return Reject(THROTTLED)
        return self.answers_to.get(one.destination, Accept())

    def _has_token(self, rate: float) -> bool:
        now = time.monotonic()
        self._tokens = min(max(rate / 10, 1.0), self._tokens + (now - self._filled) * rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def _report(self) -> None:
        while True:
            await self._report_of(await self._receipts.get())

    async def _report_of(self, one: Got) -> None:
        """Send a receipt until it is acknowledged: a session may end under our hands."""
        while not await self._send_receipt(one):
            async with self._changed:
                await self._changed.wait_for(lambda: self.is_bound)

    async def _hand_over(
        self, destination: str, content: bytes, source: str, *, esm_class: int, data_coding: int = 0
    ) -> bool:
        """Give something to the session bound last; False when it did not acknowledge it."""
        if not self._sessions:
            return False
        session = next(reversed(self._sessions.values()))
        try:
            answer = await session.deliver_sm(
                destination,
                content,
                source_addr=source,
                source_addr_ton=1,
                source_addr_npi=1,
                esm_class=esm_class,
                data_coding=data_coding,
            )
        except smpp34.SmppError:  # it is gone
            return False
        return answer.is_success

    async def _send_receipt(self, one: Got) -> bool:
        state = self.states.get((one.destination, one.part[2]), "DELIVRD")
        content = receipt_text(self._written(one.number, in_receipt=True), state)
        return await self.receipt(one.destination, one.source, content)

    def _written(self, number: int, *, in_receipt: bool) -> str:
        match self.ids:
            case "same":
                return str(number)
            case "hex-decimal":
                return str(number + 0xA0000) if in_receipt else f"{number + 0xA0000:X}"
            case "padded":
                return f"{number:010}" if in_receipt else str(number)


def receipt_text(message_id: str, state: str, error: str = "000") -> bytes:
    """A receipt in the form of SMPP 3.4 appendix B."""
    now = datetime.now(UTC).strftime("%y%m%d%H%M")
    delivered = int(state == "DELIVRD")
    return (
        f"id:{message_id} sub:001 dlvrd:{delivered:03} submit date:{now} done date:{now} stat:{state} err:{error} text:"
    ).encode("ascii")


async def main(port: int, receipts: Receipts, rate: float | None, counts: Path | None) -> None:
    """Take everything until SIGTERM; then print what there was. `counts`: a file that says so all the time."""
    stop = stop_on_signals()
    centre = SmsCentre(port, receipts=receipts, most_a_second=rate)
    async with centre.running():
        print("ready", flush=True)
        while not stop.is_set():
            if counts is not None:
                _write(counts, json.dumps(_figures(centre)))
            await wait(stop, _WRITE_EVERY)
    print(json.dumps(_figures(centre)), flush=True)


def _figures(centre: SmsCentre) -> dict[str, int]:
    copies = sum(count - 1 for count in centre.taken.values())
    figures = {"segments": centre.taken.total(), "numbers": len(centre.taken), "more_than_one": copies}
    return figures | {"throttled": centre.throttled}


def _write(path: Path, text: str) -> None:
    """Never half of it, for whoever reads meanwhile."""
    half = path.with_suffix(".new")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An SMS centre for the demo and the bench.")
    parser.add_argument("port", type=int)
    parser.add_argument("--receipts", choices=["never", "early", "at once"], default="never")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--counts", type=Path)
    given = parser.parse_args()
    uvloop.run(main(given.port, given.receipts, given.rate, given.counts))
