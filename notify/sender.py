"""Sending: claim a batch, send it with no database connection held, record it; the same for every channel.

Each lane records its last batch and claims the next in one transaction, so what a killed worker leaves in doubt is at
most connections × depth messages. It knows no protocol and writes no SQL.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

import metrics
from foundation.clock import Clock, system_clock
from foundation.database import Database, DatabaseAway, Tx
from notify import outbox
from notify.channels import Channel, Lane, Outgoing, Result
from notify.delivery import Outcome, outcome
from notify.messages import Message

_log = structlog.get_logger()

T = TypeVar("T")


class Sender:
    """Sends what is planned on one channel, until told to stop. Start as many, in as many processes, as needed.

    `connections`: lanes side by side. `depth`: deliveries a lane claims at once. `lease`: how long a claim holds
    without being renewed; a killed worker's messages wait that long. `idle_seconds`: pause between looks at an empty
    outbox. A worker that is killed leaves at most `connections` × `depth` deliveries that may be sent twice.
    """

    def __init__(
        self,
        database: Database,
        channel: Channel,
        *,
        connections: int = 8,
        depth: int = 25,
        lease: timedelta = timedelta(seconds=60),
        idle_seconds: float = 0.25,
        clock: Clock = system_clock,
    ) -> None:
        self._database = database
        self._channel = channel
        self._connections = connections
        self._depth = depth
        self._lease = lease
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._messages: dict[int, Message] = {}
        self._scout = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; then let open messages end, record them, and release the rest."""
        async with asyncio.TaskGroup() as lanes:
            for _ in range(self._connections):
                lanes.create_task(self._run_lane(self._channel.lane(), stop))

    async def _run_lane(self, lane: Lane, stop: asyncio.Event) -> None:
        done: dict[outbox.Key, Outcome] = {}
        try:
            while True:
                await lane.ready(stop)
                batch = await self._next_batch(done, stop)
                if not batch:
                    return
                began = time.perf_counter()
                done = await self._send(lane, batch, stop)
                metrics.record_send_batch_seconds(self._channel.name, time.perf_counter() - began)
        finally:
            await lane.close()

    async def _next_batch(self, done: Mapping[outbox.Key, Outcome], stop: asyncio.Event) -> list[Outgoing]:
        """Record `done`, and claim. Waits while there is nothing; empty only after `stop`."""
        batch, _ = await self._turn(done, stop)
        if batch:
            return batch
        # One lane looks for work and the others queue behind it, so that an idle worker asks the database rarely.
        async with self._scout:
            while not stop.is_set():
                batch, ended = await self._turn({}, stop)
                if batch:
                    return batch
                if not ended:
                    await _pause(stop, self._idle_seconds)
        return []

    async def _turn(self, done: Mapping[outbox.Key, Outcome], stop: asyncio.Event) -> tuple[list[Outgoing], bool]:
        """One transaction: record, then claim. Results outlive a database that is away; nothing is sent meanwhile.

        Also says whether anything was recorded or ended: then there may be more to claim, though nothing was.

        Should the answer to a commit get lost, the record is repeated and finds nothing left to do; what was claimed
        in it comes back when its lease ends.
        """

        async def work(tx: Tx) -> tuple[Mapping[str, int], list[Outgoing]]:
            count = 0 if stop.is_set() else self._depth
            states, claimed = await outbox.record_and_claim(tx, done, self._channel.name, count, self._lease)
            return states, await self._with_texts(tx, claimed)

        found = await self._patiently(work, stop, insist=bool(done))
        if found is None:
            return [], False
        states, batch = found
        for state, number in states.items():
            metrics.record_deliveries(self._channel.name, state, number)
        return batch, bool(states)

    async def _with_texts(self, tx: Tx, claimed: Sequence[outbox.Claimed]) -> list[Outgoing]:
        wanted = {one.message_id for one in claimed}
        texts = {message_id: self._messages[message_id] for message_id in wanted & self._messages.keys()}
        if missing := list(wanted - texts.keys()):
            found = {message.id: message for message in await outbox.load_messages(tx, missing)}
            texts |= found
            if len(self._messages) > 1000:  # a receipt has a text of its own; what is sent to many is soon back
                self._messages.clear()
            self._messages |= found
        return [
            Outgoing(
                one.id,
                one.attempt,
                texts[one.message_id],
                one.address,
                {"name": one.name, "customer_number": one.customer_number},
                one.not_after,
            )
            for one in claimed
        ]

    async def _send(self, lane: Lane, batch: Sequence[Outgoing], stop: asyncio.Event) -> dict[outbox.Key, Outcome]:
        sending = asyncio.create_task(lane.send(batch, stop))
        try:
            # A slow receiver may take its ten minutes for each message: the lease is renewed as long as it does.
            while not (await asyncio.wait({sending}, timeout=self._lease.total_seconds() / 3))[0]:
                await self._renew(batch)
        except asyncio.CancelledError:
            sending.cancel()
            raise
        now = self._clock()
        return {
            (one.id, one.attempt): _outcome(one, result, now)
            for one, result in zip(batch, sending.result(), strict=True)
        }

    async def _renew(self, batch: Sequence[Outgoing]) -> None:
        try:
            async with self._database.transaction() as tx:
                await outbox.renew(tx, [(one.id, one.attempt) for one in batch], self._lease)
        except DatabaseAway:
            _log.warning("database is away, lease not renewed", deliveries=len(batch))

    async def _patiently(self, work: Callable[[Tx], Awaitable[T]], stop: asyncio.Event, *, insist: bool) -> T | None:
        """Do `work` in a transaction, again and again while the database is away; with `insist`, after `stop` too."""
        pause = 0.1
        while insist or not stop.is_set():
            try:
                async with self._database.transaction() as tx:
                    return await work(tx)
            except DatabaseAway as error:
                _log.warning("database is away, waiting", seconds=pause, unrecorded=insist, reason=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
        return None


def _outcome(one: Outgoing, result: Result, now: datetime) -> Outcome:
    chance = random.random()  # noqa: S311 (spreads retries)
    return outcome(result, attempt=one.attempt, now=now, not_after=one.not_after, chance=chance)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
