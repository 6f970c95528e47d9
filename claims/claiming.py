"""What people ask: claims made from contacts as they find their case, withdrawn, and appealed against.

A claim hangs on the contact that asked. The same asked three times is three rows and one piece of work: the desk
decides them together, and whichever contact is taken out of the case takes its own along.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from claims.cases import journal, plain, reopen
from claims.clocks import decide_appeal_by, decide_by
from claims.outcomes import may_be_appealed
from claims.submissions import Submission
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound

LONGEST_APPEAL = 10_000


async def heard(connection: Driver, said: Mapping[int, Submission], came: Mapping[int, datetime]) -> None:
    """Contacts have found their case: open what they claim, and the case itself where it was closed.

    Those that have no case yet are passed over; they come again. Mail that no person wrote opens nothing.
    """
    asking = [(contact, one.asks_for) for contact, one in said.items() if one.asks_for]
    if asking:
        await connection.execute(
            """
            INSERT INTO claims (contact_id, kind, made_at, decide_by)
            SELECT k.id, asked.kind, k.received_at, asked.decide_by
              FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS asked (contact_id, kind, decide_by)
              JOIN contacts k ON k.id = asked.contact_id AND k.state = 'resolved'
                ON CONFLICT DO NOTHING
            """,
            [contact for contact, _ in asking],
            [kind for _, kind in asking],
            [decide_by(kind, came[contact]) for contact, kind in asking],
        )
    closed = await connection.fetch(
        """
        SELECT DISTINCT c.id FROM contacts k JOIN cases c ON c.id = k.case_id
         WHERE k.id = ANY ($1::bigint[]) AND c.state = 'closed' AND c.merged_into IS NULL
           AND k.answer_by IS NOT NULL AND k.answered_at IS NULL
        """,
        list(said),
    )
    if closed:
        await reopen(connection, [row[0] for row in closed], {"because": "contact"})


async def appeal(tx: Tx, actor: Actor, decision_id: int, words: str, *, now: datetime) -> None:
    """Ask us to look at a decision again. Once a decision; asking again changes nothing. Opens a closed case."""
    if not words.strip() or len(words) > LONGEST_APPEAL:
        raise Invalid("Say what we should look at again.", [Fault("words", "Say what we should look at again.")])
    connection = await driver(tx)
    row = await connection.fetchrow(
        """
        SELECT d.outcome, coalesce(k.case_id, c.merged_into, c.id) AS case_id,
               (SELECT max(o.id) FROM decisions o WHERE o.claim_id = d.claim_id AND o.case_id = d.case_id) AS newest
          FROM decisions d JOIN claims l ON l.id = d.claim_id
          LEFT JOIN contacts k ON k.id = l.contact_id LEFT JOIN cases c ON c.id = l.case_id
         WHERE d.id = $1
        """,
        decision_id,
    )
    if row is None:
        raise NotFound("There is no such decision.", code="no_such_decision")
    if not may_be_appealed(row["outcome"]) or row["newest"] != decision_id:
        raise Conflict("This decision is not one to appeal against, or a newer one followed it.", code="no_appeal")
    made = await connection.fetchval(
        "INSERT INTO appeals (decision_id, words, made_at, decide_by) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (decision_id) DO NOTHING RETURNING id",
        decision_id,
        plain(words),
        now,
        decide_appeal_by(now),
    )
    if made is not None:
        await journal(tx, actor, row["case_id"], "appealed", decision=decision_id)
        await connection.execute("UPDATE cases SET version = version + 1 WHERE id = $1", row["case_id"])
        await reopen(connection, [row["case_id"]], {"because": "appeal"})


async def withdraw(tx: Tx, actor: Actor, contact_ids: Collection[int], *, now: datetime) -> int:
    """Take back everything open that these contacts ask for; how many claims that was."""
    connection = await driver(tx)
    rows = await connection.fetch(
        """
        UPDATE claims SET state = 'withdrawn', ended_at = $2 WHERE contact_id = ANY ($1::bigint[]) AND state = 'open'
        RETURNING contact_id, kind
        """,
        list(contact_ids),
        now,
    )
    await connection.execute(
        """
        UPDATE appeals a SET state = 'withdrawn', ended_at = $2
          FROM decisions d JOIN claims l ON l.id = d.claim_id
         WHERE d.id = a.decision_id AND l.contact_id = ANY ($1::bigint[]) AND a.state = 'open'
        """,
        list(contact_ids),
        now,
    )
    # Whoever takes everything back waits for nothing more.
    await connection.execute(
        "UPDATE contacts SET answered_at = $2 WHERE id = ANY ($1::bigint[]) AND answered_at IS NULL",
        list(contact_ids),
        now,
    )
    for case_id in {row[0] for row in await connection.fetch(_CASES_OF, list(contact_ids))}:
        await journal(tx, actor, case_id, "withdrawn", kinds=sorted({row["kind"] for row in rows}))
        await connection.execute("UPDATE cases SET version = version + 1 WHERE id = $1", case_id)
    return len(rows)


_CASES_OF = "SELECT DISTINCT case_id FROM contacts WHERE id = ANY ($1::bigint[]) AND case_id IS NOT NULL"
