"""The worker's step that gives every contact its case. Any number of workers may run it side by side.

A batch is locked, read and decided in parallel; then, an incident at a time and alone in it, the persons that the batch
can touch are worked out again and the cases made to agree. It reads the directory and writes claims' own tables.
"""

import time
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import structlog

import metrics
from claims import casebook
from claims.acknowledging import note_due
from claims.casebook import Waiting
from claims.claiming import heard
from claims.evidence import Clues, clues_in, evidence_of, profile_in, questions
from claims.identity import Decision, Evidence, Known, decide
from claims.joining import join
from claims.linking import Read
from claims.ports import Outage, OutageLookup
from claims.profiles import meeting_points
from claims.resemblance import is_named
from claims.returning import returned
from claims.settling import settle
from claims.submissions import NOTHING_SAID, Submission, named_incident, stored_submission
from claims.threading import threads
from foundation.database import Database, DatabaseAway, Driver, Tx, driver
from notify import addressees_of, find_customers

_log = structlog.get_logger()

# More customers than this share a value: a name among them is chance.
MOST_SHARING = 200
# People notice an outage before anybody declares it.
LONGEST_BEFORE = timedelta(hours=24)


class Resolver:
    """Joins contacts to cases. `batch`: contacts a step."""

    def __init__(self, database: Database, outages: OutageLookup, *, batch: int = 500) -> None:
        self._database = database
        self._outages = outages
        self._batch = batch
        self._current: tuple[Outage, ...] | None = None

    async def step(self) -> bool:
        """Give one batch of contacts their cases, in one transaction; whether there was any to look at.

        When that fails, each gets a transaction of its own: whoever makes it fail holds up nobody else.
        """
        started = time.perf_counter()
        current = await self._current_outages()
        waiting: Sequence[Waiting] = ()
        try:
            async with self._transaction() as (tx, connection):
                waiting = await casebook.claim_waiting(connection, self._batch)
                if waiting:
                    await self._resolve(tx, connection, waiting, current)
        except DatabaseAway:
            raise
        except Exception as error:
            if not waiting:
                raise
            _log.warning("contacts could not be resolved together", contacts=len(waiting), error=type(error).__name__)
            for one in waiting:
                await self._resolve_alone(one.id, current)
        if waiting:
            metrics.record_resolved(len(waiting), time.perf_counter() - started)
        return bool(waiting)

    async def _current_outages(self) -> tuple[Outage, ...]:
        """What a contact may be about: open incidents, then past ones, the newest of each first.

        When others are than before, contacts that were put off get a fresh look, in a transaction of its own: done
        again with every attempt at a batch that fails, it would undo putting off.
        """
        async with self._transaction() as (tx, connection):
            current = (*await self._outages.open_outages(tx), *await self._outages.past_outages(tx))
            if current != self._current:
                await casebook.look_again(connection)
        self._current = current
        return current

    async def _resolve_alone(self, contact_id: int, current: Sequence[Outage]) -> None:
        """Give one contact its case; when that fails, put it off, so that it is tried again behind everybody else."""
        try:
            async with self._transaction() as (tx, connection):
                waiting = await casebook.claim_one(connection, contact_id)
                if waiting is not None:
                    await self._resolve(tx, connection, [waiting], current)
        except DatabaseAway:
            raise
        except Exception as error:  # noqa: BLE001 (whatever broke: those behind it must go on)
            async with self._transaction() as (_, connection):
                await casebook.put_off(connection, [contact_id])
            # Where it failed, not what the error says: PostgreSQL quotes the row, and that is somebody's address.
            trace = "".join(traceback.format_tb(error.__traceback__))
            _log.error("contact put off, it fails", contact=contact_id, error=type(error).__name__, trace=trace)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[tuple[Tx, Driver]]:
        async with self._database.transaction() as tx:
            connection = await driver(tx)
            await casebook.keep_to_indexes(connection)
            yield tx, connection

    async def _resolve(self, tx: Tx, connection: Driver, waiting: Sequence[Waiting], current: Sequence[Outage]) -> None:
        said = {one.id: stored_submission(one.channel, one.raw) or NOTHING_SAID for one in waiting}
        marks = {one.id: one.fingerprint for one in waiting}
        read = await _proven(tx, waiting, said, await read_contacts(tx, said, marks))
        await _threaded(tx, waiting, said)
        came = {one.id: one.received_at for one in waiting}
        batches, unplaced = await self._by_incident(tx, read, said, came, current)
        for incident_id in sorted(batches):  # in one order everywhere, so that two workers cannot wait in a circle
            await casebook.lock_incident(connection, incident_id)
            if moved := await join(connection, incident_id, batches[incident_id]):
                await settle(tx, [one.contact_id for one in moved])
        await heard(connection, said, {one.id: one.received_at for one in waiting})
        await note_due(connection, said.keys())
        if unplaced:
            await casebook.put_off(connection, unplaced)

    async def _by_incident(
        self,
        tx: Tx,
        read: Sequence[Read],
        said: Mapping[int, Submission],
        came: Mapping[int, datetime],
        current: Sequence[Outage],
    ) -> tuple[dict[str, list[Read]], list[int]]:
        """Contacts by incident: the one they name, else the first of `current` that concerns them, else the first.

        A contact that came long before an incident began is not about it, unless it says so.
        """
        named = await self._outages.outages(
            tx, {name for one in said.values() if (name := named_incident(one.incident))}
        )
        nameless = [one for one in read if named_incident(said[one.id].incident) not in named]
        concerned = await self._concerned(tx, nameless, current)
        batches: dict[str, list[Read]] = {}
        unplaced = []
        for one in read:
            timely = [outage.id for outage in current if came[one.id] > outage.started_at - LONGEST_BEFORE]
            name = named_incident(said[one.id].incident)
            choice = name if name in named else next(iter([*concerned.get(one.id, ()), *timely]), None)
            if choice is None:
                unplaced.append(one.id)
            else:
                batches.setdefault(choice, []).append(one)
        return batches, unplaced

    async def _concerned(self, tx: Tx, read: Sequence[Read], current: Sequence[Outage]) -> dict[int, list[str]]:
        """Which of `current` concern the customer of each contact, in their order; asked only when it can matter."""
        customers = {one.decision.customer_id for one in read if one.decision.customer_id is not None}
        found: dict[int, list[str]] = {}
        if not customers or len(current) < 2:
            return found
        for outage in current:
            affected = await self._outages.affected(tx, outage.id, customers)
            for one in read:
                if one.decision.customer_id in affected:
                    found.setdefault(one.id, []).append(outage.id)
        return found


async def _proven(tx: Tx, waiting: Sequence[Waiting], said: dict[int, Submission], read: Sequence[Read]) -> list[Read]:
    """`read`, with those that answer a delivery of ours decided by it; they are also about what it was about.

    The address an answer came to is signed, so it is proof, also when somebody else of the family writes.
    """
    answers = {one.id: one.delivery_id for one in waiting if one.delivery_id is not None}
    if not answers:
        return list(read)
    found = await addressees_of(tx, set(answers.values()))
    proven = {contact: found[delivery] for contact, delivery in answers.items() if delivery in found}
    for contact, thread in (await returned(tx, {one: told.topic for one, told in proven.items()})).items():
        if thread.incident_id is not None and not named_incident(said[contact].incident):
            said[contact] = msgspec.structs.replace(said[contact], incident=thread.incident_id)
    for contact, told in proven.items():
        topic, _, incident = told.topic.partition(":")
        if topic == "incident" and not named_incident(said[contact].incident):
            said[contact] = msgspec.structs.replace(said[contact], incident=incident)
    return [
        replace(one, decision=Decision(whose.customer_id, "answered", whose.customer_number, ()), keys=())
        if (whose := proven.get(one.id)) is not None and whose.customer_id is not None
        else one
        for one in read
    ]


async def _threaded(tx: Tx, waiting: Sequence[Waiting], said: dict[int, Submission]) -> None:
    """Mails that continue others are about what those are about."""
    found = await threads(tx, {one.id: one.raw for one in waiting if one.channel == "mail"})
    for contact, thread in found.items():
        if thread.incident_id is not None and not named_incident(said[contact].incident):
            said[contact] = msgspec.structs.replace(said[contact], incident=thread.incident_id)


async def read_contacts(tx: Tx, said: Mapping[int, Submission], marks: Mapping[int, bytes]) -> list[Read]:
    """Who the directory says wrote each contact; one question for all. `marks`: their fingerprints."""
    clues = {contact: clues_in(one) for contact, one in said.items()}
    asked = [question for contact, one in clues.items() for question in questions(contact, one)]
    fits: dict[int, dict[tuple[str, str], list[Known]]] = {contact: {} for contact in said}
    for place, kind, customer_id, name, value in await find_customers(tx, asked, limit=MOST_SHARING):
        fits[place].setdefault((kind, value), []).append(Known(customer_id, name))
    return [
        read_one(contact, one, evidence_of(one, fits[contact]), said[contact], marks[contact])
        for contact, one in clues.items()
    ]


def read_one(contact: int, clues: Clues, evidence: Evidence, said: Submission, mark: bytes) -> Read:
    """A contact, read. Keys: what the directory cannot place; meeting points where that, or more, is said."""
    decision, profile = decide(evidence), profile_in(said, clues)
    keys = decision.keys
    if is_named(profile) and (decision.customer_id is None or profile.birth_date or profile.postcode):
        keys = tuple(dict.fromkeys((*keys, *meeting_points(profile))))
    return Read(contact, clues.surname, decision, profile, keys, mark)
