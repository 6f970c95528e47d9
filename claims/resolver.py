"""The worker's step that gives every contact its case. Any number of workers may run it side by side.

A batch is locked, read and decided in parallel; then, an incident at a time and alone in it, the persons that the batch
can touch are worked out again and the cases made to agree. It reads the directory and writes claims' own tables.
"""

import time
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

import metrics
from claims import casebook
from claims.casebook import Waiting
from claims.evidence import clues_in, evidence_of, questions
from claims.identity import Known, decide
from claims.joining import Read, join
from claims.ports import OutageLookup
from claims.submissions import NOTHING_SAID, Submission, stored_submission
from foundation.database import Database, DatabaseAway, Driver, Tx, driver
from notify import find_customers

_log = structlog.get_logger()

# More customers than this share a value: a name among them is chance.
MOST_SHARING = 200


class Resolver:
    """Joins contacts to cases. `batch`: contacts a step."""

    def __init__(self, database: Database, outages: OutageLookup, *, batch: int = 500) -> None:
        self._database = database
        self._outages = outages
        self._batch = batch
        self._open: tuple[str, ...] | None = None

    async def step(self) -> bool:
        """Give one batch of contacts their cases, in one transaction; whether there was any to look at.

        When that fails, each gets a transaction of its own: whoever makes it fail holds up nobody else.
        """
        started = time.perf_counter()
        open_ids = await self._open_incidents()
        waiting: Sequence[Waiting] = ()
        try:
            async with self._transaction() as (tx, connection):
                waiting = await casebook.claim_waiting(connection, self._batch)
                if waiting:
                    await self._resolve(tx, connection, waiting, open_ids)
        except DatabaseAway:
            raise
        except Exception as error:
            if not waiting:
                raise
            _log.warning("contacts could not be resolved together", contacts=len(waiting), error=type(error).__name__)
            for one in waiting:
                await self._resolve_alone(one.id, open_ids)
        if waiting:
            metrics.record_resolved(len(waiting), time.perf_counter() - started)
        return bool(waiting)

    async def _open_incidents(self) -> tuple[str, ...]:
        """The incidents that are open. When others are than before, contacts that were put off get a fresh look.

        In a transaction of its own: done again with every attempt at a batch that fails, it would undo putting off.
        """
        async with self._transaction() as (tx, connection):
            open_ids = tuple(outage.id for outage in await self._outages.open_outages(tx))
            if open_ids != self._open:
                await casebook.look_again(connection)
        self._open = open_ids
        return open_ids

    async def _resolve_alone(self, contact_id: int, open_ids: Sequence[str]) -> None:
        """Give one contact its case; when that fails, put it off, so that it is tried again behind everybody else."""
        try:
            async with self._transaction() as (tx, connection):
                waiting = await casebook.claim_one(connection, contact_id)
                if waiting is not None:
                    await self._resolve(tx, connection, [waiting], open_ids)
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

    async def _resolve(self, tx: Tx, connection: Driver, waiting: Sequence[Waiting], open_ids: Sequence[str]) -> None:
        said = {one.id: stored_submission(one.channel, one.raw) or NOTHING_SAID for one in waiting}
        read = await read_contacts(tx, said)
        batches, unplaced = await self._by_incident(tx, read, said, open_ids)
        for incident_id in sorted(batches):  # in one order everywhere, so that two workers cannot wait in a circle
            await casebook.lock_incident(connection, incident_id)
            await join(connection, incident_id, batches[incident_id])
        if unplaced:
            await casebook.put_off(connection, unplaced)

    async def _by_incident(
        self, tx: Tx, read: Sequence[Read], said: Mapping[int, Submission], open_ids: Sequence[str]
    ) -> tuple[dict[str, list[Read]], list[int]]:
        """Contacts by incident: the one they name, else the only one open, else the only one that concerns them."""
        named = await self._outages.outages(tx, {name for one in said.values() if (name := _named_incident(one))})
        customers = {one.decision.customer_id for one in read if one.decision.customer_id is not None}
        concerned: dict[int, list[str]] = {}
        if len(open_ids) > 1:
            for incident_id in open_ids:
                for customer in await self._outages.affected(tx, incident_id, customers):
                    concerned.setdefault(customer, []).append(incident_id)
        batches: dict[str, list[Read]] = {}
        unplaced = []
        for one in read:
            name = _named_incident(said[one.id])
            fitting = [name] if name in named else open_ids
            if len(fitting) != 1:
                fitting = concerned.get(one.decision.customer_id or 0, [])
            if len(fitting) == 1:
                batches.setdefault(fitting[0], []).append(one)
            else:
                unplaced.append(one.id)
        return batches, unplaced


async def read_contacts(tx: Tx, said: Mapping[int, Submission]) -> list[Read]:
    """Who the directory says wrote each contact; one question to it for the whole batch."""
    clues = {contact: clues_in(one) for contact, one in said.items()}
    asked = [question for contact, one in clues.items() for question in questions(contact, one)]
    fits: dict[int, dict[tuple[str, str], list[Known]]] = {contact: {} for contact in said}
    for place, kind, customer_id, name, value in await find_customers(tx, asked, limit=MOST_SHARING):
        fits[place].setdefault((kind, value), []).append(Known(customer_id, name))
    return [Read(contact, one.surname, decide(evidence_of(one, fits[contact]))) for contact, one in clues.items()]


def _named_incident(said: Submission) -> str:
    return (said.incident or "").strip().lower()
