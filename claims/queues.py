"""The desk's queues: cases in which somebody waits for us, whose promise ends soonest first. Read only, but for `take`.

Four things make a case wait: a contact without an answer, a claim and an appeal without a decision, an appointment to
come. Each has its clock; each is read along its own index, so a queue costs what it shows, not what there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from claims.agents import assign
from claims.cases import Held, hold, plain
from claims.submissions import ASKS_FOR
from foundation.actors import Actor
from foundation.database import Tx, driver
from foundation.errors import Fault, Invalid

Whose = Literal["anybody", "nobody", "mine"]
MOST = 200


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which work to list. Empty: any. `whose`: of nobody yet, or of `agent`."""

    whose: Whose = "anybody"
    agent: str = ""
    languages: Sequence[str] = ()
    kinds: Sequence[str] = ()
    incident_id: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Waiting:
    """A case in a queue. `due_at`: its soonest promise; `what`: what waits; `kinds`: what is asked."""

    number: str
    incident_id: str
    customer_id: int | None
    agent: str | None
    state: str
    reopened: int
    opened_at: datetime
    due_at: datetime
    what: Sequence[str]
    kinds: Sequence[str]
    language: str
    contacts: int


def read_queue_filter(query: Mapping[str, str], agent: str) -> QueueFilter:
    """The queue a query string asks for. Raises `Invalid`."""
    whose, kind = query.get("whose") or "anybody", query.get("kind") or ""
    faults = []
    if whose not in ("anybody", "nobody", "mine"):
        faults.append(Fault("whose", "Must be anybody, nobody or mine."))
    if kind and kind not in ASKS_FOR:
        faults.append(Fault("kind", f"Must be one of {', '.join(ASKS_FOR)}."))
    if faults:
        raise Invalid("There is no such queue.", faults)
    language = plain(query.get("language") or "")[:2].lower()
    return QueueFilter(
        whose=whose,  # type: ignore[arg-type]  # one of them
        agent=agent,
        languages=[language] if language else [],
        kinds=[kind] if kind else [],
        incident_id=plain(query.get("incident"))[:60],
    )


# $1 whose, $2 agent, $3 languages, $4 kinds, $5 incident, $6 how many of each
_FITS = """
       AND ($1 = 'anybody' OR ($1 = 'nobody' AND c.agent IS NULL) OR ($1 = 'mine' AND c.agent = $2))
       AND (cardinality($3::text[]) = 0 OR k.language = ANY ($3::text[]))
       AND ($5 = '' OR c.incident_id = $5)
"""
_OF_KIND = "AND (cardinality($4::text[]) = 0 OR l.kind = ANY ($4::text[]))"
_QUEUE = """
WITH work AS (
   (SELECT c.id, k.answer_by AS due_at, 'contact' AS what, k.language
      FROM contacts k JOIN cases c ON c.id = k.case_id
     WHERE k.answered_at IS NULL AND k.answer_by IS NOT NULL
       AND (cardinality($4::text[]) = 0
            OR EXISTS (SELECT FROM claims l WHERE l.contact_id = k.id AND l.kind = ANY ($4::text[]))
            OR ('information' = ANY ($4::text[]) AND NOT EXISTS (SELECT FROM claims l WHERE l.contact_id = k.id)))
FITS
     ORDER BY k.answer_by LIMIT $6)
    UNION ALL
   (SELECT c.id, l.decide_by, 'claim', k.language
      FROM claims l JOIN contacts k ON k.id = l.contact_id JOIN cases c ON c.id = k.case_id
     WHERE l.state = 'open' KIND
FITS
     ORDER BY l.decide_by LIMIT $6)
    UNION ALL
   (SELECT c.id, a.decide_by, 'appeal', k.language
      FROM appeals a JOIN decisions d ON d.id = a.decision_id JOIN claims l ON l.id = d.claim_id
      JOIN contacts k ON k.id = l.contact_id JOIN cases c ON c.id = k.case_id
     WHERE a.state = 'open' KIND
FITS
     ORDER BY a.decide_by LIMIT $6)
    UNION ALL
   (SELECT c.id, m.at, 'appointment', k.language
      FROM appointments m JOIN contacts k ON k.id = m.contact_id JOIN cases c ON c.id = k.case_id
     WHERE m.state = 'promised'
       AND (cardinality($4::text[]) = 0 OR 'call_back' = ANY ($4::text[]))
FITS
     ORDER BY m.at LIMIT $6)
), first AS (
    SELECT id, min(due_at) AS due_at, array_agg(DISTINCT what) AS what,
           (array_agg(language ORDER BY due_at))[1] AS language
      FROM work GROUP BY id ORDER BY 2, 1 LIMIT $7
)
SELECT c.number, c.incident_id, c.customer_id, c.agent, c.state, c.reopened, c.opened_at, f.due_at, f.what,
       ARRAY (SELECT DISTINCT l.kind FROM claims l JOIN contacts k ON k.id = l.contact_id
               WHERE k.case_id = c.id AND l.state = 'open' ORDER BY 1) AS kinds,
       f.language, (SELECT count(*) FROM contacts k WHERE k.case_id = c.id)
  FROM first f JOIN cases c ON c.id = f.id
 ORDER BY f.due_at, c.id
""".replace("FITS", _FITS).replace("KIND", _OF_KIND)


async def queue(tx: Tx, wanted: QueueFilter) -> list[Waiting]:
    """The cases that wait, the soonest promise first; each once, however much of it waits."""
    limit = min(wanted.limit, MOST)
    rows = await (await driver(tx)).fetch(
        _QUEUE,
        wanted.whose,
        wanted.agent,
        list(wanted.languages),
        list(wanted.kinds),
        wanted.incident_id,
        limit * 5,  # several things may wait in one case
        limit,
    )
    return [Waiting(*row) for row in rows]


async def take(tx: Tx, actor: Actor, wanted: QueueFilter, *, now: datetime) -> Held | None:
    """Give the most urgent case that is nobody's to `wanted.agent`; None when there is none."""
    for one in await queue(tx, wanted):
        connection = await driver(tx)
        # Two who ask at once get two cases: whichever one holds is passed over by the other.
        free = await connection.fetchval(
            "SELECT number FROM cases WHERE number = $1 AND agent IS NULL FOR UPDATE SKIP LOCKED", one.number
        )
        if free is not None:
            held = await hold(tx, free)
            await assign(tx, actor, held, wanted.agent, now=now)
            return held
    return None


async def totals(tx: Tx, agent: str, *, now: datetime) -> dict[str, Any]:
    """How much waits: contacts without an answer, those late, and the open cases of `agent`."""
    row = await (await driver(tx)).fetchrow(
        """
        SELECT (SELECT count(*) FROM contacts WHERE answered_at IS NULL AND answer_by IS NOT NULL) AS waiting,
               (SELECT count(*) FROM contacts WHERE answered_at IS NULL AND answer_by < $2) AS late,
               (SELECT count(*) FROM cases WHERE agent = $1 AND state = 'open' AND merged_into IS NULL) AS mine
        """,
        agent,
        now,
    )
    assert row is not None  # counts
    return dict(row)
