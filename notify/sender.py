"""Sending: claim batches, send them with no database connection held, record them; the same for every channel.

One feeder per process records what is done and claims more in one transaction, for all lanes together; lanes send. What
a killed worker leaves in doubt is at most connections × depth messages. It knows no protocol and writes no SQL.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Protocol, TypeVar

import structlog

import metrics
from foundation.clock import Clock, system_clock
from foundation.database import Database, DatabaseAway, Driver, dedicated_transaction
from notify import outbox, paced
from notify.channels import Accepted, Channel, Deferred, Lane, Outgoing, Refused, Result, Unclear, Unsent
from notify.delivery import Outcome, outcome
from notify.messages import Message
from notify.outbox import BatchId, Done
from notify.pacing import Watch, domain_of
from notify.tables import BATCH

_log = structlog.get_logger()

T = TypeVar("T")

# Results wait this long for company before they are recorded: every commit is a write to the disk.
_GATHER_SECONDS = 0.1
# What is claimed and waits for a lane longer than this is looked at again: its reader may have opted out meanwhile.
_RECALL_SECONDS = 1.0


@dataclass(slots=True)
class _Work:
    """A batch in hand. `since`: when it was claimed or its lease renewed, by the loop's clock."""

    batch_id: BatchId
    outgoing: Sequence[Outgoing]
    since: float
    results: Sequence[Result] = ()


class Purse(Protocol):
    """What pays for a channel that costs money. Both are called in the transaction that claims and records."""

    async def admit(self, connection: Driver, outgoing: Sequence[Outgoing]) -> set[int]:
        """Set money aside for these; the ids of those there is none for."""
        ...

    async def settle(self, connection: Driver, results: Sequence[tuple[Outgoing, Result]]) -> None:
        """Keep or give back what was set aside."""
        ...


class Sender:
    """Sends what is planned on one channel, until told to stop. Start as many, in as many processes, as needed.

    `connections`: lanes side by side. `depth`: deliveries claimed at once for each lane; what is above a batch waits
    in memory, so that a lane need not wait for the database. `lease`: how long a claim holds without being renewed; a
    killed worker's messages wait that long. `idle_seconds`: pause between looks at an empty outbox. A worker that is
    killed leaves at most `connections` × `depth` deliveries (a batch of 25 at least) that may be sent twice.
    """

    def __init__(
        self,
        database: Database,
        channel: Channel,
        *,
        connections: int = 8,
        depth: int = 50,
        lease: timedelta = timedelta(seconds=60),
        idle_seconds: float = 0.25,
        clock: Clock = system_clock,
        purse: Purse | None = None,
    ) -> None:
        self._purse = purse
        self._database = database
        self._channel = channel
        self._connections = connections
        self._bound = connections * depth
        self._lease = lease
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._messages: dict[int, tuple[Message, datetime]] = {}
        self._connection: Driver | None = None
        self._domains: tuple[float, frozenset[str]] = (0.0, frozenset())
        self._watch = Watch()
        self._looked_at = 0.0  # when what waits was last looked at again, by the loop's clock
        self._ready: deque[_Work] = deque()  # claimed, and no lane has it yet
        self._sending: dict[BatchId, _Work] = {}  # a lane has it
        self._done: list[_Work] = []  # to be recorded
        self._able = 0  # lanes that could send: idle ones and busy ones
        self._idle = 0  # lanes that wait for work
        self._fed = asyncio.Condition()
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; then let open messages end, record them, and release the rest.

        A lane that breaks stops the others too, after the messages they have in hand, and its error is raised.
        """
        async with self._ending(stop) as end:
            lanes = [asyncio.create_task(self._run_lane(self._channel.lane(), end)) for _ in range(self._connections)]
            try:
                await self._feed(end)
            finally:
                end.set()
                await self._tell_lanes()
                await self._see_lanes_off(lanes, end)
                await self._hang_up()
        for lane in lanes:
            lane.result()

    @asynccontextmanager
    async def _ending(self, stop: asyncio.Event) -> AsyncIterator[asyncio.Event]:
        """An event that is set when `stop` is, and before when something breaks inside."""
        end = asyncio.Event()

        async def follow() -> None:
            await stop.wait()
            end.set()
            self._wake.set()

        following = asyncio.create_task(follow())
        try:
            yield end
        finally:
            following.cancel()

    # Lanes

    async def _run_lane(self, lane: Lane, stop: asyncio.Event) -> None:
        try:
            while True:
                await lane.ready(stop)
                self._able += 1
                try:
                    work = await self._next(stop)
                    if work is None:
                        return
                    await self._send(lane, work, stop)
                finally:
                    self._able -= 1
        except Exception:
            stop.set()
            raise
        finally:
            self._wake.set()
            await lane.close()

    async def _next(self, stop: asyncio.Event) -> _Work | None:
        """The next batch in hand; None after `stop`."""
        if not self._ready:
            self._idle += 1
            self._wake.set()
            try:
                async with self._fed:
                    await self._fed.wait_for(lambda: bool(self._ready) or stop.is_set())
            finally:
                self._idle -= 1
        if stop.is_set():
            return None
        work = self._ready.popleft()
        self._sending[work.batch_id] = work
        return work

    async def _send(self, lane: Lane, work: _Work, stop: asyncio.Event) -> None:
        began = time.perf_counter()
        try:
            work.results = await lane.send(work.outgoing, stop)
        except BaseException:
            # Whatever broke, some of these may have left us, and nobody can tell which.
            work.results = [Unclear("sender_failed")] * len(work.outgoing)
            raise
        finally:
            del self._sending[work.batch_id]
            self._done.append(work)
            if len(self._done) >= self._connections or not self._ready:
                self._wake.set()
        metrics.record_send_batch_seconds(self._channel.name, time.perf_counter() - began)

    # The feeder

    async def _feed(self, stop: asyncio.Event) -> None:
        """Record and claim until `stop` is set."""
        in_vain = False  # the last look at the outbox found nothing
        while not stop.is_set():
            await self._until_due(stop, in_vain=in_vain)
            await self._renew_old()
            await self._recall(stop)
            if not self._able:
                # No lane here can send now, and somebody else may: untried, these are planned again at once.
                self._release()
            wanted = self._room() if self._able else 0
            if self._done or wanted:
                found = await self._turn(wanted, stop)
                in_vain = wanted > 0 and not found

    async def _see_lanes_off(self, lanes: Sequence[asyncio.Task[None]], stop: asyncio.Event) -> None:
        """Record what the lanes still end, and release what nobody began."""
        pending: set[asyncio.Task[None]] = set(lanes)
        while pending:
            seconds = self._lease.total_seconds() / 3
            _, pending = await asyncio.wait(pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._done:
                await self._turn(0, stop)
            await self._renew_old()
        self._release()
        if self._done:
            await self._turn(0, stop)

    async def _until_due(self, stop: asyncio.Event, *, in_vain: bool) -> None:
        """Return when there is something to record or to claim, or when it is time to look again."""
        while not stop.is_set():
            self._wake.clear()
            if len(self._done) >= self._connections or (self._idle and (self._done or (self._room() and not in_vain))):
                return
            seconds = self._lease.total_seconds() / 3
            if self._done:
                seconds = min(seconds, _GATHER_SECONDS)
            elif self._idle or self._ready:
                seconds = min(seconds, self._idle_seconds)
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _room(self) -> int:
        """How many deliveries may be claimed once what is done is recorded: whole batches within the bound, or one."""
        out = sum(len(one.outgoing) for one in (*self._ready, *self._sending.values()))
        room = self._bound - out
        return room if room >= BATCH or not out else 0

    async def _recall(self, stop: asyncio.Event) -> None:
        """Give back, untried, batches no lane has begun in which somebody is not to be told any more.

        The claim that follows ends what must end, and sends the rest.
        """
        now = asyncio.get_running_loop().time()
        if not self._ready or now - max(self._looked_at, self._ready[0].since) < _RECALL_SECONDS:
            return
        self._looked_at = now
        waiting = [one.id for work in self._ready for one in work.outgoing]
        over = await self._patiently(
            lambda connection: outbox.no_longer_wanted(connection, waiting), stop, insist=False
        )
        if over:
            self._release(lambda work: any(one.id in over for one in work.outgoing))

    def _release(self, which: Callable[[_Work], bool] = lambda _: True) -> None:
        released = [work for work in self._ready if which(work)]
        for work in released:
            self._ready.remove(work)
            work.results = [Unsent()] * len(work.outgoing)
        self._done += released

    async def _tell_lanes(self) -> None:
        async with self._fed:
            self._fed.notify_all()

    async def _turn(self, wanted: int, stop: asyncio.Event) -> bool:
        """One transaction: record, then claim. Results outlive a database that is away; nothing is sent meanwhile.

        Says whether anything was claimed, or ended in a way that may have made room for more.

        Should the answer to a commit get lost, the record is repeated and finds nothing left to do; what was claimed
        in it comes back when its lease ends.
        """
        done, self._done = self._done, []
        results = [one for work in done for one in self._outcomes(work)]
        verdicts = self._verdicts(done)

        async def work(connection: Driver) -> tuple[Counter[str], list[_Work]]:
            states: Counter[str] = Counter()
            if done:
                states.update(await outbox.record(connection, [one.batch_id for one in done], results))
                await self._adjust(connection, *verdicts)
                if self._purse is not None:
                    pairs = [pair for one in done for pair in zip(one.outgoing, one.results, strict=True)]
                    await self._purse.settle(connection, pairs)
            claimed: Sequence[outbox.Claimed] = ()
            if wanted and not stop.is_set():
                ended, claimed = await outbox.claim(
                    connection, self._channel.name, wanted, self._lease, self._paced_domains
                )
                states.update(ended)
            works = await self._works(connection, claimed)
            if self._purse is not None and works:
                works = await self._affordable(self._purse, connection, works, states)
            return states, works

        found = await self._patiently(work, stop, insist=bool(done))
        if found is None:
            return False
        states, works = found
        for state, number in states.items():
            metrics.record_deliveries(self._channel.name, state, number)
        self._ready.extend(works)
        await self._tell_lanes()
        return bool(works or states)

    async def _affordable(
        self, purse: Purse, connection: Driver, works: Sequence[_Work], states: Counter[str]
    ) -> list[_Work]:
        """The works without what there is no money for, which ends here, counted in `states`."""
        refused = await purse.admit(connection, [one for work in works for one in work.outgoing])
        if not refused:
            return list(works)
        states.update(await outbox.end_unaffordable(connection, sorted(refused)))
        for work in works:
            work.outgoing = [one for one in work.outgoing if one.id not in refused]
        await outbox.drop(connection, [work.batch_id for work in works if not work.outgoing])
        return [work for work in works if work.outgoing]

    async def _paced_domains(self, connection: Driver) -> frozenset[str]:
        """The domains with a pace of their own, at most a second old.

        Webhooks are few, and their hosts' pace begins with the publication that needs it, so these are read each time.
        """
        read_at, domains = self._domains
        now = time.monotonic()
        if now - read_at >= 1.0 or self._channel.name == "webhook":
            domains = await paced.domains(connection, self._channel.name)
            self._domains = (now, domains)
        return domains

    async def _works(self, connection: Driver, claimed: Sequence[outbox.Claimed]) -> list[_Work]:
        texts = await self._texts(connection, {one.message_id for one in claimed})
        now = asyncio.get_running_loop().time()
        works = []
        for batch_id, members in groupby(claimed, attrgetter("batch_id")):
            outgoing = []
            for delivery_id, _, attempt, message_id, address, name, number in members:
                text, not_after = texts[message_id]
                slots = {"name": name, "customer_number": number}
                outgoing.append(Outgoing(delivery_id, attempt, text, address, slots, not_after))
            works.append(_Work(batch_id, outgoing, now))
        return works

    async def _texts(self, connection: Driver, wanted: set[int]) -> Mapping[int, tuple[Message, datetime]]:
        if missing := list(wanted - self._messages.keys()):
            if len(self._messages) > 1000:  # a receipt has a text of its own; what is sent to many is soon back
                self._messages.clear()
                missing = list(wanted)
            self._messages |= {one[0].id: one for one in await outbox.load_messages(connection, missing)}
        return self._messages

    def _outcomes(self, work: _Work) -> list[Done]:
        now = self._clock()
        chance = random.random()  # noqa: S311 (spreads retries)
        found: list[Done] = []
        for one, result in zip(work.outgoing, work.results, strict=True):
            if type(result) is Accepted:  # nearly all
                found.append(Done(one.id, work.batch_id, Outcome("accepted", None, None, result.code, result.reply)))
                continue
            what = outcome(result, attempt=one.attempt, now=now, not_after=one.not_after, chance=chance)
            found.append(Done(one.id, work.batch_id, what))
        return found

    def _verdicts(self, done: Sequence[_Work]) -> tuple[list[str], list[str], dict[str, timedelta]]:
        """The domains that asked us to slow down, those that refuse in a spike, and those that asked for quiet."""
        slow, braked, quiet = [], [], dict[str, timedelta]()
        for work in done:
            for one, result in zip(work.outgoing, work.results, strict=True):
                kind = type(result)
                if kind is Accepted and not self._watch:
                    continue
                domain = domain_of(one.address)
                if isinstance(result, Deferred) and domain and result.for_all and result.pause is not None:
                    quiet[domain] = max(quiet.get(domain, result.pause), result.pause)
                elif isinstance(result, Deferred) and domain and result.reason == "throttled":
                    slow.append(domain)
                elif kind in (Accepted, Refused) and domain:
                    # A webhook that is gone says nothing about the next one at that host.
                    refused = isinstance(result, Refused) and result.reason != "gone"
                    if self._watch.note(domain, refused=refused):
                        braked.append(domain)
        return slow, braked, quiet

    async def _adjust(
        self, connection: Driver, slow: Sequence[str], braked: Sequence[str], quiet: Mapping[str, timedelta]
    ) -> None:
        if slow:
            await paced.slow_down(connection, self._channel.name, slow, "throttled")
        for domain in sorted(set(braked)):
            _log.warning("domain refuses in a spike, stopped for a while", channel=self._channel.name, domain=domain)
            await paced.stop(connection, self._channel.name, domain, "refusals")
        for domain, pause in sorted(quiet.items()):
            await paced.leave_alone(connection, self._channel.name, domain, pause)
        if slow or braked or quiet:
            self._domains = (0.0, frozenset())  # what is claimed next is to know it

    async def _renew_old(self) -> None:
        """A slow receiver may take its ten minutes for each message: leases are renewed as long as it does."""
        now = asyncio.get_running_loop().time()
        in_hand = (*self._ready, *self._sending.values())
        old = [one for one in in_hand if now - one.since >= self._lease.total_seconds() / 3]
        if not old:
            return
        try:
            async with self._database.transaction() as tx:
                await outbox.renew(await outbox.begin(tx), [one.batch_id for one in old], self._lease)
        except DatabaseAway:
            _log.warning("database is away, leases not renewed", batches=len(old))
        else:
            for one in old:
                one.since = now

    async def _patiently(
        self, work: Callable[[Driver], Awaitable[T]], stop: asyncio.Event, *, insist: bool
    ) -> T | None:
        """Do `work` in a transaction, again and again while the database is away; with `insist`, after `stop` too."""
        pause = 0.1
        while insist or not stop.is_set():
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._database.dedicate(**outbox.ALONG_INDEXES)
                async with dedicated_transaction(self._connection):
                    return await work(self._connection)
            except DatabaseAway as error:
                _log.warning("database is away, waiting", seconds=pause, unrecorded=insist, reason=str(error))
                await self._hang_up()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
        return None

    async def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
