"""The SQL of resolving: which contacts wait, which keys others used, which cases there are; and writing all of it back.

Set-based: arrays in, arrays out, a handful of statements a batch however large. It decides nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from claims.collapse import Case, Plan
from foundation.database import Driver


class Waiting(NamedTuple):
    """A contact that has no case yet."""

    id: int
    channel: str
    language: str
    raw: bytes
    received_at: datetime
    delivery_id: int | None
    continues_id: int | None
    fingerprint: bytes


class Placed(NamedTuple):
    """Where a contact goes, and why."""

    contact_id: int
    case_id: int
    matched_by: str


class Entry(NamedTuple):
    """A line of a case's journal. `detail` must hold no NUL: PostgreSQL's jsonb refuses it."""

    case_id: int
    event: str
    detail: Mapping[str, object]


async def keep_to_indexes(connection: Driver) -> None:
    """For this transaction: look rows up one by one. Every statement here touches some hundreds of rows by their keys.

    The planner may think otherwise at the start of a storm, when the tables it knows are empty; and a connection keeps
    a plan for as long as nobody has analysed the table again.
    """
    await connection.execute(
        "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),"
        " set_config('enable_mergejoin', 'off', true)"
    )


async def claim_waiting(connection: Driver, most: int) -> list[Waiting]:
    """Lock up to `most` contacts that wait for a case, oldest first, passing over those another worker has in hand."""
    rows = await connection.fetch(
        """
        SELECT id, channel, language, raw, received_at, delivery_id, continues_id, fingerprint
          FROM contacts
         WHERE state = 'received' AND (not_before IS NULL OR not_before <= now())
         ORDER BY not_before NULLS FIRST, id
         LIMIT $1
           FOR UPDATE SKIP LOCKED
        """,
        most,
    )
    return [Waiting(*row) for row in rows]


async def claim_one(connection: Driver, contact_id: int) -> Waiting | None:
    """Lock this contact if it still waits for a case and no other worker has it in hand."""
    row = await connection.fetchrow(
        """
        SELECT id, channel, language, raw, received_at, delivery_id, continues_id, fingerprint FROM contacts
         WHERE id = $1 AND state = 'received' FOR UPDATE SKIP LOCKED
        """,
        contact_id,
    )
    return None if row is None else Waiting(*row)


async def put_off(connection: Driver, contact_ids: Sequence[int]) -> None:
    """Look at these again later: after a minute at first, then each time after as long again, at most an hour."""
    await connection.execute(
        """
        UPDATE contacts
           SET not_before = now() + least(greatest(now() - received_at, interval '1 minute'), interval '1 hour')
         WHERE id = ANY ($1::bigint[]) AND state = 'received'
        """,
        contact_ids,
    )


async def look_again(connection: Driver) -> None:
    """Which incidents are open has changed: contacts that were put off may fit one now."""
    await connection.execute(
        """
        UPDATE contacts SET not_before = NULL
         WHERE id IN (SELECT id FROM contacts WHERE state = 'received' AND not_before IS NOT NULL
                         FOR UPDATE SKIP LOCKED)
        """
    )


async def lock_incident(connection: Driver, incident_id: str) -> None:
    """One resolver at a time works on an incident; held until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('claims ' || $1, 0))", incident_id)


async def touched_cases(
    connection: Driver, incident_id: str, contact_ids: Collection[int], customer_ids: Collection[int]
) -> list[Case]:
    """The live cases that these contacts founded or these customers have, with everything merged into them."""
    rows = await connection.fetch(
        """
        WITH live AS (
            SELECT coalesce(merged_into, id) AS id FROM cases WHERE founder_id = ANY ($2::bigint[])
             UNION
            SELECT id FROM cases
             WHERE incident_id = $1 AND customer_id = ANY ($3::bigint[]) AND merged_into IS NULL
        )
        SELECT c.id, c.founder_id, c.customer_id, c.merged_into FROM live JOIN cases c ON c.id = live.id
         UNION ALL
        SELECT c.id, c.founder_id, c.customer_id, c.merged_into FROM live JOIN cases c ON c.merged_into = live.id
        """,
        incident_id,
        list(contact_ids),
        list(customer_ids),
    )
    return [Case(*row) for row in rows]


async def first_other_contact(connection: Driver, incident_id: str, customer_id: int, besides: Collection[int]) -> int:
    """The first contact in a customer's live case that is not among `besides`."""
    found: int = await connection.fetchval(
        """
        SELECT min(k.id) FROM cases c JOIN contacts k ON k.case_id = c.id
         WHERE c.incident_id = $1 AND c.customer_id = $2 AND c.merged_into IS NULL AND k.id <> ALL ($3::bigint[])
        """,
        incident_id,
        customer_id,
        list(besides),
    )
    return found


async def fresh_case_ids(connection: Driver, count: int) -> list[int]:
    """`count` ids for new cases, rising. Numbers may have gaps: a sequence does not go back."""
    if not count:
        return []
    rows = await connection.fetch(
        "SELECT nextval(pg_get_serial_sequence('cases', 'id')) AS id FROM generate_series(1, $1) ORDER BY id", count
    )
    return [row[0] for row in rows]


async def write_cases(connection: Driver, incident_id: str, plan: Plan) -> None:
    """Open, merge, part and rename cases as planned."""
    if plan.changed:
        # One live case a customer: those that change step back first, so that no order of rows can collide. A case
        # opened in advance stands where it is: a case is somebody's, and this one has no founder. Nobody is in its way:
        # it belongs to whoever its customer is, so the other cases of both have one owner, and redirect before it.
        await connection.execute(
            "UPDATE cases SET customer_id = NULL"
            " WHERE id = ANY ($1::bigint[]) AND merged_into IS NULL AND founder_id IS NOT NULL",
            [case.id for case in plan.changed],
        )
    await connection.execute(
        """
        INSERT INTO cases (id, incident_id, founder_id, customer_id) OVERRIDING SYSTEM VALUE
        SELECT id, $1, founder_id, customer_id
          FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS new (id, founder_id, customer_id)
        """,
        incident_id,
        [case.id for case in plan.opened],
        [case.founder_id for case in plan.opened],
        [case.customer_id for case in plan.opened],
    )
    if plan.changed:
        # Those that redirect leave the index before another takes their customer: two statements, not one.
        for cases in (
            [case for case in plan.changed if case.merged_into is not None],
            [case for case in plan.changed if case.merged_into is None],
        ):
            await connection.execute(
                """
                UPDATE cases SET customer_id = shall.customer_id, merged_into = shall.merged_into
                  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS shall (id, customer_id, merged_into)
                 WHERE cases.id = shall.id
                """,
                [case.id for case in cases],
                [case.customer_id for case in cases],
                [case.merged_into for case in cases],
            )


async def keep_promises(connection: Driver, merged: Sequence[int]) -> None:
    """A closed case that takes in an open one is open: somebody in it still waits for an answer."""
    await connection.execute(
        """
        UPDATE cases SET state = 'open', closed_at = NULL, reopened = reopened + 1, reopened_at = now(),
                         version = version + 1
         WHERE state = 'closed' AND merged_into IS NULL
           AND id IN (SELECT merged_into FROM cases WHERE id = ANY ($1::bigint[]) AND state = 'open')
        """,
        merged,
    )


async def place(
    connection: Driver, incident_id: str, placed: Sequence[Placed], customers: Mapping[int, int | None]
) -> None:
    """Put contacts into their cases. `customers`: contact → whom the directory says it is from, if anybody."""
    await connection.execute(
        """
        UPDATE contacts
           SET state = 'resolved', incident_id = $1, case_id = new.case_id, matched_by = new.matched_by,
               customer_id = new.customer_id, resolved_at = coalesce(resolved_at, now()), not_before = NULL
          FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
               AS new (id, case_id, matched_by, customer_id)
         WHERE contacts.id = new.id
        """,
        incident_id,
        [one.contact_id for one in placed],
        [one.case_id for one in placed],
        [one.matched_by for one in placed],
        [customers.get(one.contact_id) for one in placed],
    )


async def move_rest(connection: Driver, moved: Mapping[int, int], besides: Collection[int]) -> None:
    """Take the contacts of a case along to the one that lives now, except those placed by name."""
    for old, new in moved.items():
        await connection.execute(
            "UPDATE contacts SET case_id = $2 WHERE case_id = $1 AND id <> ALL ($3::bigint[])",
            old,
            new,
            list(besides),
        )


async def write_journal(connection: Driver, actor: str, entries: Iterable[Entry]) -> None:
    """Append to the journals of cases."""
    lines = list(entries)
    await connection.execute(
        """
        INSERT INTO case_journal (case_id, actor, event, detail)
        SELECT case_id, $1, event, detail::jsonb
          FROM unnest($2::bigint[], $3::text[], $4::text[]) AS new (case_id, event, detail)
        """,
        actor,
        [line.case_id for line in lines],
        [line.event for line in lines],
        [msgspec.json.encode(line.detail).decode() for line in lines],
    )
