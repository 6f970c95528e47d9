"""Takes contacts in: each is on disk before its sender hears so. Many that arrive at once share one commit.

A contact is stored as the bytes it came in; nothing is looked up and nothing joined here. It knows neither HTTP nor
who anybody is.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import metrics
from claims.attachments import Held, SetAside, attach
from claims.file_store import Kept
from claims.receipts import new_receipt
from claims.submissions import Channel
from foundation.database import Database, DatabaseAway, Driver, driver
from foundation.errors import Busy, Invalid

FIRST_ANSWER = timedelta(hours=24)  # as the table has it by itself
# Of the queue's room: with more than that in use, whoever only asks how things stand is sent away, before anybody who
# has something to tell.
_PRESSED = 0.25
_BUSY = "We cannot take this in right now. Please send it again in a moment."


@dataclass(frozen=True, slots=True)
class Arrival:
    """A contact as it came in. `key`: what its sender calls it, so that sending it again makes no second one.

    `delivery_id`: the delivery it answers, where the address it was sent to proves that. `files`: what came with it, on
    disk already where it is kept. `answer_within`: by when a person answers, None where nobody wrote. `continues`: the
    receipt of the contact whose link it came by.
    """

    channel: Channel
    language: str
    raw: bytes
    key: str | None = None
    delivery_id: int | None = None
    files: tuple[Kept | SetAside, ...] = ()
    answer_within: timedelta | None = FIRST_ANSWER
    continues: str | None = None


class KeyReused(Invalid):
    """The idempotency key already stands for other words."""

    code = "idempotency_key_reused"


def fingerprint(raw: bytes, files: Sequence[Kept | SetAside] = ()) -> bytes:
    """What tells the words of one contact, and its files, from those of another."""
    digest = hashlib.blake2b(raw, digest_size=16)
    for one in files:
        digest.update(one.sha256 if isinstance(one, Kept) else one.shown_name.encode("utf-8", "replace"))
    return digest.digest()


@dataclass(slots=True)
class _Place:
    """Somebody's place in the queue: `done` becomes the receipt, or the reason why not."""

    arrival: Arrival
    fingerprint: bytes
    receipt: str
    since: float
    done: asyncio.Future[str]


class Intake:
    """The queue before the database and the few writers behind it.

    `capacity`: contacts that may wait before others are sent away; `batch`: contacts a commit at most; `writers`:
    commits under way at once (one gathers while the other waits for the disk); `patience`: seconds until we give up.
    """

    def __init__(
        self, database: Database, *, capacity: int = 4000, batch: int = 200, writers: int = 2, patience: float = 10.0
    ) -> None:
        self._database = database
        self._queue: asyncio.Queue[_Place] = asyncio.Queue(capacity)
        self._batch = batch
        self._writers = writers
        self._patience = patience
        self._open = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Intake"]:
        """Take contacts in during the block. At its end nobody new is let in, and everybody inside is served first."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._write()) for _ in range(self._writers)]
            self._open = True
            try:
                yield self
            finally:
                self._open = False
                await self._queue.join()
                for task in tasks:
                    task.cancel()

    @property
    def pressed(self) -> bool:
        """Whether many wait to tell us something, so that those who only ask should come back later."""
        return self._queue.qsize() > self._queue.maxsize * _PRESSED

    async def accept(self, arrival: Arrival) -> str:
        """Store a contact; its receipt, once it is on disk.

        The same key with the same words gives the same receipt again. Raises `KeyReused` for the same key with other
        words, and `Busy` when the queue is full or the database away: nothing is promised then, and the sender should
        ask again.
        """
        if not self._open:
            raise Busy(_BUSY, retry_after=5)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        place = _Place(arrival, fingerprint(arrival.raw, arrival.files), new_receipt(), time.perf_counter(), done)
        try:
            self._queue.put_nowait(place)
        except asyncio.QueueFull:
            raise Busy(_BUSY, retry_after=2) from None
        try:
            async with asyncio.timeout(self._patience):
                receipt = await done
        except TimeoutError:
            raise Busy(_BUSY, retry_after=5) from None
        metrics.record_contact(arrival.channel)
        metrics.record_contact_seconds(time.perf_counter() - place.since)
        return receipt

    async def _write(self) -> None:
        while True:
            places = [await self._queue.get()]
            while len(places) < self._batch and not self._queue.empty():
                places.append(self._queue.get_nowait())
            try:
                # Whoever gave up waiting was told so; storing them now would only make a second contact of their retry.
                await self._store([place for place in places if not place.done.done()])
            finally:
                for _ in places:
                    self._queue.task_done()

    async def _store(self, places: Sequence[_Place]) -> None:
        if not places:
            return
        try:
            async with self._database.transaction() as tx:
                answers = await _insert(await driver(tx), places)
        except DatabaseAway:
            answers = [Busy(_BUSY, retry_after=5)] * len(places)
        except Exception as error:  # noqa: BLE001 (each of those who wait must hear, whatever broke)
            answers = [error] * len(places)
        for place, answer in zip(places, answers, strict=True):
            if place.done.done():
                continue
            if isinstance(answer, Exception):
                place.done.set_exception(answer)
            else:
                place.done.set_result(answer)


async def _insert(connection: Driver, places: Sequence[_Place]) -> list[str | Exception]:
    """Store a batch; for each place its receipt, or why it was refused."""
    stored = await connection.fetch(
        """
        INSERT INTO contacts (receipt, idempotency_key, fingerprint, channel, language, raw, delivery_id)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::bytea[], $7::bigint[])
                   AS new (receipt, key, fingerprint, channel, language, raw, delivery_id)
         ORDER BY key NULLS FIRST
            ON CONFLICT (idempotency_key) DO NOTHING
        RETURNING receipt
        """,  # in order of key: two writers that meet the same keys wait for each other instead of deadlocking
        [place.receipt for place in places],
        [place.arrival.key for place in places],
        [place.fingerprint for place in places],
        [place.arrival.channel for place in places],
        [place.arrival.language for place in places],
        [place.arrival.raw for place in places],
        [place.arrival.delivery_id for place in places],
    )
    fresh = {row[0] for row in stored}
    await _insert_more(connection, [place for place in places if place.receipt in fresh])
    if len(fresh) == len(places):
        return [place.receipt for place in places]
    known = await _earlier(connection, [place.arrival.key for place in places if place.receipt not in fresh])
    return [place.receipt if place.receipt in fresh else _again(place, known) for place in places]


async def _insert_more(connection: Driver, places: Sequence[_Place]) -> None:
    """What few contacts have, in the same commit: files, another time for the answer, the contact they continue."""
    with_files = [Held(place.receipt, place.arrival.files) for place in places if place.arrival.files]
    if with_files:
        await attach(connection, with_files)
    others = [
        place for place in places if place.arrival.answer_within != FIRST_ANSWER or place.arrival.continues is not None
    ]
    if others:
        await connection.execute(
            """
            UPDATE contacts k SET answer_by = k.received_at + new.within, continues_id = before.id
              FROM unnest($1::text[], $2::interval[], $3::text[]) AS new (receipt, within, continues)
              LEFT JOIN contacts before ON before.receipt = new.continues
             WHERE k.receipt = new.receipt
            """,
            [place.receipt for place in others],
            [place.arrival.answer_within for place in others],
            [place.arrival.continues for place in others],
        )


async def _earlier(connection: Driver, keys: Sequence[str | None]) -> dict[str, tuple[str, bytes]]:
    # A statement of its own: it sees what another writer committed while the one before waited for it.
    rows = await connection.fetch(
        "SELECT idempotency_key, receipt, fingerprint FROM contacts WHERE idempotency_key = ANY ($1::text[])", keys
    )
    return {key: (receipt, fingerprint) for key, receipt, fingerprint in rows}


def _again(place: _Place, known: dict[str, tuple[str, bytes]]) -> str | Exception:
    receipt, words = known[place.arrival.key or ""]
    if words == place.fingerprint:
        return receipt
    return KeyReused("This Idempotency-Key was used before, for other words. Use a new key for a new contact.")
