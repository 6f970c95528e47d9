"""Offers: another flight, a technician's visit, a call, each with what must be true before anybody is sent it.

An offer is held until all of it is true, goes out then, and is taken back with notice, once, when it stops being so:
nobody is sent an appointment that cannot happen. It hangs on a contact and moves with it. Use cases take `tx`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from claims.cases import Held, journal, plain
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound

Kind = Literal["rebooking", "technician", "call_back"]
ConditionKind = Literal["component_works", "party_restored", "party_agreed"]
KINDS: tuple[Kind, ...] = ("rebooking", "technician", "call_back")
LONGEST = 2000
FARTHEST = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must be true. `component`, `party`: keys, as the kind needs them."""

    kind: ConditionKind
    component: str | None = None
    party: str | None = None


@dataclass(frozen=True, slots=True)
class ShownCondition:
    """A condition and how it stands. Names for people."""

    id: int
    kind: ConditionKind
    component: str
    party: str
    true: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer as the desk sees it."""

    id: int
    contact_id: int | None
    kind: Kind
    words: str
    at: datetime | None
    answer_by: datetime
    state: str
    made_by: str
    made_at: datetime
    released_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    conditions: Sequence[ShownCondition]


# Whether a condition `o` of an offer in the incident `incident_id` is true now. A component works when it, and all that
# it needs, does.
TRUE = """
CASE o.kind
WHEN 'component_works' THEN NOT EXISTS (
    WITH RECURSIVE needed (key) AS (
        SELECT o.component_key UNION
        SELECT d.needs_key FROM component_dependencies d JOIN needed n ON d.component_key = n.key
    ) SELECT FROM needed n JOIN components c ON c.key = n.key WHERE c.status <> 'operational')
WHEN 'party_restored' THEN coalesce((
    SELECT p.what = 'restoration' FROM party_confirmations p
     WHERE p.incident_id = f.incident_id AND p.party_key = o.party_key AND p.component_key = o.component_key
     ORDER BY p.confirmed_at DESC, p.id DESC LIMIT 1), false)
ELSE o.agreed_at IS NOT NULL END
"""
# Every offer with the live case it is in now.
PLACED = """
SELECT f.*, s.id AS home, s.number, s.incident_id, s.state AS case_state
  FROM offers f LEFT JOIN contacts k ON k.id = f.contact_id JOIN cases c ON c.id = coalesce(f.case_id, k.case_id)
  JOIN cases s ON s.id = coalesce(c.merged_into, c.id)
"""


async def make(
    tx: Tx,
    actor: Actor,
    case: Held,
    kind: str,
    *,
    words: str,
    conditions: Sequence[Condition],
    contact_id: int | None,
    at: datetime | None,
    answer_by: datetime,
    now: datetime,
) -> int:
    """Hold an offer for the customer of a case until all `conditions` are true; its id. Raises Invalid."""
    connection = await driver(tx)
    if faults := await _faults(connection, kind, words, conditions, (at, answer_by, now)):
        raise Invalid("This offer cannot be made yet.", faults, code="offer_incomplete")
    made: int = await connection.fetchval(
        """
        INSERT INTO offers (contact_id, case_id, kind, words, at, answer_by, made_by, made_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id
        """,
        contact_id,
        case.id if contact_id is None else None,
        kind,
        plain(words).strip(),
        at,
        answer_by,
        str(actor),
        now,
    )
    await connection.executemany(
        "INSERT INTO offer_conditions (offer_id, kind, component_key, party_key) VALUES ($1, $2, $3, $4)",
        [(made, one.kind, one.component, one.party) for one in conditions],
    )
    await journal(tx, actor, case.id, "offer_made", offer=made, kind=kind)
    return made


async def _faults(
    connection: Driver,
    kind: str,
    words: str,
    conditions: Sequence[Condition],
    times: tuple[datetime | None, datetime, datetime],
) -> list[Fault]:
    at, answer_by, now = times
    faults = []
    if kind not in KINDS:
        faults.append(Fault("kind", f"Must be one of {', '.join(KINDS)}."))
    if not words.strip() or len(words) > LONGEST:
        faults.append(Fault("words", f"Say what is offered, in at most {LONGEST} characters."))
    if not now < answer_by <= now + FARTHEST:
        faults.append(Fault("answer_by", "Say until when it can be accepted, within 90 days."))
    if at is not None and not now < at <= now + FARTHEST:
        faults.append(Fault("at", "It must be to come, within 90 days."))
    if at is None and kind != "rebooking":
        faults.append(Fault("at", "Say when it would be."))
    if at is not None and answer_by > at:
        faults.append(Fault("answer_by", "It must be accepted before it happens."))
    if not conditions:
        faults.append(Fault("conditions", "Say what must be true first."))
    named = {one.component for one in conditions if one.component}
    known = await connection.fetch("SELECT key FROM components WHERE key = ANY ($1::text[])", list(named))
    faults += [Fault("component", f"We do not know “{key[:100]}”.") for key in named - {row[0] for row in known}]
    named = {one.party for one in conditions if one.party}
    known = await connection.fetch("SELECT key FROM parties WHERE key = ANY ($1::text[])", list(named))
    faults += [Fault("party", f"We do not know “{key[:100]}”.") for key in named - {row[0] for row in known}]
    return faults


async def agree(tx: Tx, actor: Actor, case: Held, condition_id: int, *, agreed: bool, now: datetime) -> None:
    """Note that a party agreed to an offer, or that it no longer does. Raises NotFound."""
    connection = await driver(tx)
    done = await connection.fetchval(
        f"""
        UPDATE offer_conditions o SET agreed_at = $3, agreed_by = $4
          FROM ({PLACED}) f
         WHERE o.id = $1 AND f.id = o.offer_id AND f.home = $2 AND o.kind = 'party_agreed'
        RETURNING o.offer_id
        """,  # noqa: S608 (all of it is ours)
        condition_id,
        case.id,
        now if agreed else None,
        str(actor) if agreed else None,
    )
    if done is None:
        raise NotFound("There is no such condition in this case.", code="no_such_condition")
    await journal(tx, actor, case.id, "party_agreed" if agreed else "party_backed_out", offer=done)


async def cancel(tx: Tx, actor: Actor, case: Held, offer_id: int, *, now: datetime) -> None:
    """Take an offer back that nobody was sent yet. What was sent is withdrawn by `claims.offering`, with notice."""
    done = await (await driver(tx)).fetchval(
        f"""
        UPDATE offers SET state = 'cancelled', ended_at = $3
          FROM ({PLACED}) f WHERE offers.id = $1 AND f.id = offers.id AND f.home = $2 AND offers.state = 'held'
        RETURNING offers.id
        """,  # noqa: S608 (all of it is ours)
        offer_id,
        case.id,
        now,
    )
    if done is None:
        raise Conflict("This offer went out already, or was ended before.", code="offer_not_held")
    await journal(tx, actor, case.id, "offer_cancelled", offer=offer_id)


async def holds(connection: Driver, offer_id: int) -> bool:
    """Whether all that an offer needs is true, and stays so until this transaction ends.

    The components are locked first: a publication that changes one waits for us, or we see what it said.
    """
    await connection.execute(_LOCK, offer_id)
    return bool(await connection.fetchval(_HOLDS, offer_id))


# In the order in which a publication locks them (`incidents.component_status`), so the two never wait for each other.
_LOCK = """
WITH RECURSIVE needed (key) AS (
    SELECT component_key FROM offer_conditions WHERE offer_id = $1 AND kind = 'component_works'
     UNION
    SELECT d.needs_key FROM component_dependencies d JOIN needed n ON d.component_key = n.key
), locked AS (SELECT key FROM components WHERE key IN (SELECT key FROM needed) ORDER BY key FOR SHARE)
SELECT count(*) FROM locked
"""
_HOLDS = f"""
SELECT bool_and({TRUE}) FROM ({PLACED}) f JOIN offer_conditions o ON o.offer_id = f.id WHERE f.id = $1
"""  # noqa: S608 (all of it is ours)
_IN_CASE = f"""
SELECT f.id, f.contact_id, f.kind, f.words, f.at, f.answer_by, f.state, f.made_by, f.made_at, f.released_at,
       f.answered_at, f.ended_at
  FROM ({PLACED}) f WHERE f.home = $1 ORDER BY f.id
"""  # noqa: S608 (all of it is ours)
_CONDITIONS = f"""
SELECT o.offer_id, o.id, o.kind, coalesce(c.name, '') AS component, coalesce(p.name, '') AS party, {TRUE} AS true
  FROM ({PLACED}) f JOIN offer_conditions o ON o.offer_id = f.id
  LEFT JOIN components c ON c.key = o.component_key LEFT JOIN parties p ON p.key = o.party_key
 WHERE f.home = $1 ORDER BY o.id
"""  # noqa: S608 (all of it is ours)


async def offers_in(tx: Tx, case_id: int, contact_ids: Collection[int] | None = None) -> list[Offer]:
    """The offers in the live case `case_id`; only those on `contact_ids`, when given."""
    connection = await driver(tx)
    rows = await connection.fetch(_IN_CASE, case_id)
    conditions = await connection.fetch(_CONDITIONS, case_id)
    return [
        Offer(
            **row,
            conditions=[
                ShownCondition(one["id"], one["kind"], one["component"], one["party"], one["true"])
                for one in conditions
                if one["offer_id"] == row["id"]
            ],
        )
        for row in rows
        if contact_ids is None or row["contact_id"] in contact_ids
    ]


async def choices(tx: Tx, case_id: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What an offer in a case can rest on: components its incident affects, and parties, each as key and name."""
    connection = await driver(tx)
    components = await connection.fetch(
        """
        SELECT a.component_key, a.component_name FROM affected_facts a JOIN cases c ON c.incident_id = a.incident_id
         WHERE c.id = $1 ORDER BY a.component_name LIMIT 500
        """,
        case_id,
    )
    parties = await connection.fetch("SELECT key, name FROM parties ORDER BY name LIMIT 500")
    return [(row[0], row[1]) for row in components], [(row[0], row[1]) for row in parties]
