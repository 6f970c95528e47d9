"""Bench: who is whom, on labelled records, one at a time through the real resolver; beside it Splink, in one batch.

Both see the same columns; neither sees the label. The parameters are those of `claims.resemblance`, for all data alike.
"""

import random
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import uvloop

import incidents
from app.bench.identity_records import Record, datasets, read_records, score, shuffled, true_pairs
from app.bench.identity_splink import splink
from app.bench.machine import machine
from app.bench.scratch import bench_database
from app.outages import Outages
from claims import Resolver
from claims.intake import fingerprint
from claims.receipts import new_receipt
from foundation.actors import Actor
from foundation.clock import system_clock
from foundation.database import Database

_EMPTY = """
TRUNCATE contact_links, contact_profiles, contact_keys, case_journal, contacts, cases, identity_sides,
         identity_decisions RESTART IDENTITY CASCADE
"""


def bench_identity(
    records: Path | None = None,
    *,
    only: str = "",
    shuffles: int = 20,
    batch: int = 1,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Precision, recall and F1 by pairs, ours and Splink's; on one file, or on every data set whose name has `only`.

    `batch`: contacts that are resolved at a time; more is quicker, and must not change anything but the seconds.
    """
    with bench_database() as url:
        if records is not None:
            return _measure(url, read_records(records), shuffles, batch)
        ours, theirs = {}, {}
        for name, load in datasets().items():
            if only in name:
                found = _measure(url, load(), shuffles, batch)
                ours[name], theirs[name] = found["stormdesk"], found["splink"]
                tell(f"{name}: {msgspec.json.encode(found).decode()}")
        return {"stormdesk": ours, "splink": theirs, "machine": machine()}


def _measure(url: str, records: Sequence[Record], shuffles: int, batch: int) -> dict[str, Any]:
    return {"stormdesk": uvloop.run(_stormdesk(url, records, shuffles, batch)), "splink": splink(records)}


async def _stormdesk(url: str, records: Sequence[Record], shuffles: int, batch: int) -> dict[str, Any]:
    started = time.perf_counter()
    groups = await _stream(url, records, batches=[batch])
    seconds = time.perf_counter() - started
    partitions = {_partition(groups)}
    for seed in range(1, shuffles + 1):
        # Other orders come in other batches too.
        sizes = random.Random(seed)  # noqa: S311 (sizes, not secrets)
        found = await _stream(url, shuffled(records, seed), [sizes.choice((1, 7, 60, 500)) for _ in range(50)])
        partitions.add(_partition(found))
    found_score = score(records, groups)
    return {
        "records": len(records),
        "persons": len({one["person_id"] for one in records}),
        "true_pairs": true_pairs(records),
        "precision": round(found_score.precision, 4),
        "recall": round(found_score.recall, 4),
        "f1": round(found_score.f1, 4),
        "seconds": round(seconds, 1),
        "records_per_second": round(len(records) / seconds),
        "partitions_over_shuffles": len(partitions),
    }


def _partition(groups: Mapping[str, Hashable]) -> frozenset[frozenset[str]]:
    members: dict[Hashable, set[str]] = {}
    for record, group in groups.items():
        members.setdefault(group, set()).add(record)
    return frozenset(frozenset(theirs) for theirs in members.values())


async def _stream(url: str, records: Sequence[Record], batches: Sequence[int]) -> dict[str, Hashable]:
    """Send the records as contacts about one incident, let them be resolved, `batches` at a time; record → its case."""
    connection, database = await asyncpg.connect(url), Database(url)
    try:
        await connection.execute(_EMPTY)
        incident = await an_incident(database)
        receipts = await _arrive(connection, records, incident)
        outages = Outages(system_clock)
        resolvers = {size: Resolver(database, outages, batch=size) for size in set(batches)}
        turn = 0
        while await resolvers[batches[turn % len(batches)]].step():
            turn += 1
        rows = await connection.fetch("SELECT receipt, case_id FROM contacts WHERE case_id IS NOT NULL")
        if len(rows) != len(records):
            raise RuntimeError(f"{len(records)} contacts came in, and {len(rows)} are in a case.")
        return {receipts[receipt]: case for receipt, case in rows}
    finally:
        await connection.close()
        await database.close()


async def an_incident(database: Database) -> str:
    """Declare something that contacts can be about; its id."""
    async with database.transaction() as tx:
        await incidents.register_components(tx, ["BENCH"])
        now = datetime.now(UTC)
        declared = incidents.Declaration(
            title={"en": "A bench", "nl": "Een meting"}, impact="major", started_at=now, components=["BENCH"]
        )
        return (await incidents.declare(tx, Actor("staff", "bench"), declared, now=now)).id


async def _arrive(
    connection: "asyncpg.Connection[asyncpg.Record]", records: Sequence[Record], incident: str
) -> dict[str, str]:
    """Store the records as the API stores contacts, in their order; receipt → record id."""
    receipts = {new_receipt(): one for one in records}
    bodies = {receipt: _body(one, incident) for receipt, one in receipts.items()}
    await connection.copy_records_to_table(
        "contacts",
        columns=["receipt", "fingerprint", "channel", "language", "raw"],
        records=[(receipt, fingerprint(raw), "api", "en", raw) for receipt, raw in bodies.items()],
    )
    return {receipt: one["record_id"] for receipt, one in receipts.items()}


_AS_IT_IS = ("birth_date", "street_number", "street", "suburb", "postcode", "region", "email", "phone", "reference")


def _body(record: Record, incident: str) -> bytes:
    """A record as somebody would send it to the API; the name as lists have it, surname first."""
    said = {name: record[name] for name in (*_AS_IT_IS, "customer_number") if record[name]}
    given, surname = (record[name].replace(",", " ").strip() for name in ("given_name", "surname"))
    if given or surname:
        said["name"] = f"{surname}, {given}" if given else surname
    return msgspec.json.encode({**said, "incident": incident})
