"""Builders for tests of claims: customers in the directory, an open incident, contacts, and what became of them."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

import incidents
from app.outages import Outages
from claims import Intake, Resolver
from claims.intake import Arrival
from foundation.actors import Actor
from foundation.clock import system_clock
from foundation.database import Database, driver
from tests.support import directory

OUTAGES = Outages(system_clock)
_serial = itertools.count()


async def an_incident(database: Database, *, component: str = "LINE-1", title: Mapping[str, str] | None = None) -> str:
    """Declare an incident about `component`; its id."""
    async with database.transaction() as tx:
        await incidents.register_components(tx, [component])
        now = datetime.now(UTC)
        declared = incidents.Declaration(
            title=title or {"en": "Trains are not running", "nl": "Er rijden geen treinen"},
            impact="major",
            started_at=now,
            components=[component],
        )
        return (await incidents.declare(tx, Actor("staff", "test"), declared, now=now)).id


async def a_customer(
    database: Database,
    name: str,
    *,
    number: str = "",
    mails: Sequence[str] = (),
    phones: Sequence[str] = (),
    references: Sequence[str] = (),
    component: str = "LINE-1",
) -> int:
    """Commit a customer who relies on `component`; their id. Mails and phones must be normalised already."""
    async with database.transaction() as tx:
        await incidents.register_components(tx, [component])
        return await directory.a_customer(
            tx,
            number or f"T{next(_serial):06d}",
            *mails,
            name=name,
            phones=phones,
            exposures=[(component, reference, None) for reference in references or [""]],
        )


async def send(intake: Intake, key: str | None = None, **said: str) -> str:
    """Send a contact as the API would store it; its receipt."""
    return await intake.accept(Arrival("api", said.get("language", "en"), msgspec.json.encode(said), key))


async def resolve(database: Database, *, batch: int = 500) -> None:
    """Let one worker work until nothing waits."""
    resolver = Resolver(database, OUTAGES, batch=batch)
    while await resolver.step():
        pass


async def partition(database: Database) -> dict[str, tuple[str, int | None]]:
    """Receipt → (number of its live case, that case's customer), for every contact that has a case."""
    async with database.transaction() as tx:
        rows = await (await driver(tx)).fetch(
            "SELECT k.receipt, c.number, c.customer_id FROM contacts k JOIN cases c ON c.id = k.case_id"
        )
    return {row[0]: (row[1], row[2]) for row in rows}
