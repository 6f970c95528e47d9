"""Opens cases before anybody writes, for everyone an incident affects: when operations choose so.

Set-based: one statement, however many. Whoever has a case already keeps it, and a contact that comes later finds the
one that is there, by the same unique index that keeps two contacts from opening two.
"""

from sqlalchemy import select, text

from claims.ports import AudienceOf
from claims.tables import cases
from foundation.actors import Actor
from foundation.database import Tx, driver

_JOURNAL = """
INSERT INTO case_journal (case_id, actor, event, detail)
SELECT id, $2, 'opened', '{"because": "in_advance"}'::jsonb FROM cases
 WHERE incident_id = $1 AND founder_id IS NULL AND merged_into IS NULL
   AND NOT EXISTS (SELECT FROM case_journal j WHERE j.case_id = cases.id)
"""


async def open_in_advance(tx: Tx, actor: Actor, incident_id: str, audience: AudienceOf) -> int:
    """Open a case for each customer of the audience who has none in this incident; how many that was."""
    connection = await driver(tx)
    # As resolvers do: one writer at a time decides which cases an incident has.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('claims ' || $1, 0))", incident_id)
    people = audience(incident_id).subquery("people")
    missing = (
        select(text(":incident").bindparams(incident=incident_id), people.c.customer_id)
        .outerjoin(
            cases,
            (cases.c.customer_id == people.c.customer_id)
            & (cases.c.incident_id == incident_id)
            & cases.c.merged_into.is_(None),
        )
        .where(cases.c.id.is_(None))
        .order_by(people.c.customer_id)
    )
    made = await tx.execute(cases.insert().from_select(["incident_id", "customer_id"], missing))
    await connection.execute(_JOURNAL, incident_id, str(actor))
    return made.rowcount
