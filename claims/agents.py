"""Who works at the desk: what they speak and know, whom a case goes to, and who has it open.

A name here is what somebody signs in with; who may sign in is none of our business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from claims.cases import Held, journal
from claims.submissions import ASKS_FOR
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Fault, Invalid, NotFound

# Somebody whose page has not been heard of for this long has left it.
PRESENT_FOR = timedelta(seconds=45)
# And after this long nobody needs to know that they were there; swept by whoever opens a case next.
FORGOTTEN_AFTER = timedelta(hours=1)
# Whoever has not been at the desk for this long is promised to nobody.
ON_DUTY_FOR = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody at the desk. No languages or skills: whatever comes."""

    name: str
    shown_name: str
    languages: Sequence[str]
    skills: Sequence[str]
    on_duty: bool


async def come_in(tx: Tx, name: str, shown_name: str, *, now: datetime) -> Agent:
    """Note that somebody is at the desk; they as we know them."""
    row = await (await driver(tx)).fetchrow(
        """
        INSERT INTO agents (name, shown_name, seen_at) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO UPDATE SET shown_name = $2, seen_at = $3
        RETURNING name, shown_name, languages, skills, on_duty
        """,
        name,
        shown_name,
        now,
    )
    assert row is not None  # RETURNING
    return Agent(*row)


async def describe(tx: Tx, name: str, *, languages: Sequence[str], skills: Sequence[str], on_duty: bool) -> None:
    """What somebody speaks, knows, and whether they are on duty. Raises Invalid."""
    faults = []
    if unknown := sorted(set(skills) - set(ASKS_FOR)):
        faults.append(Fault("skills", f"{', '.join(unknown)}: must be some of {', '.join(ASKS_FOR)}."))
    if wrong := [one for one in languages if not (len(one) == 2 and one.isascii() and one.isalpha())]:
        faults.append(Fault("languages", f"{', '.join(wrong)[:100]}: two letters each, such as nl."))
    if faults:
        raise Invalid("This does not describe an agent.", faults)
    await (await driver(tx)).execute(
        "UPDATE agents SET languages = $2::text[], skills = $3::text[], on_duty = $4 WHERE name = $1",
        name,
        sorted({one.lower() for one in languages}),
        sorted(set(skills)),
        on_duty,
    )


async def everybody(tx: Tx) -> list[Agent]:
    """All who have ever been at the desk, by name."""
    rows = await (await driver(tx)).fetch(
        "SELECT name, shown_name, languages, skills, on_duty FROM agents ORDER BY shown_name, name"
    )
    return [Agent(*row) for row in rows]


async def find(tx: Tx, name: str) -> Agent | None:
    """The agent who signs in as `name`, if they have ever been at the desk."""
    row = await (await driver(tx)).fetchrow(
        "SELECT name, shown_name, languages, skills, on_duty FROM agents WHERE name = $1", name
    )
    return None if row is None else Agent(*row)


async def assign(tx: Tx, actor: Actor, case: Held, name: str | None, *, now: datetime) -> None:
    """Give a case to an agent, or back to everybody (None). Raises NotFound for one who was never at the desk."""
    connection = await driver(tx)
    if name is not None and await find(tx, name) is None:
        raise NotFound("Nobody of this name works at the desk: they must have opened it once.", code="no_such_agent")
    await connection.execute(
        "UPDATE cases SET agent = $2, assigned_at = $3 WHERE id = $1", case.id, name, None if name is None else now
    )
    await journal(tx, actor, case.id, "assigned", to=name, was=case.agent)


# Fewest promises first, then fewest cases; whoever speaks the language and knows the subject.
_CHOOSE = """
SELECT a.name, a.shown_name, a.languages, a.skills, a.on_duty FROM agents a
 WHERE a.on_duty AND a.seen_at > $3
   AND (a.languages = '{}' OR $1 = ANY (a.languages)) AND (a.skills = '{}' OR $2 = ANY (a.skills))
 ORDER BY (SELECT count(*) FROM appointments m WHERE m.agent = a.name AND m.state = 'promised'),
          (SELECT count(*) FROM cases c WHERE c.agent = a.name AND c.state = 'open'), a.seen_at DESC, a.name
 LIMIT 1
"""


async def choose(tx: Tx, *, language: str, skill: str, now: datetime) -> Agent | None:
    """The agent on duty to promise to a customer of this language; None when nobody is."""
    row = await (await driver(tx)).fetchrow(_CHOOSE, language[:2].lower(), skill, now - ON_DUTY_FOR)
    return None if row is None else Agent(*row)


async def see(tx: Tx, case_id: int, name: str, shown_name: str, *, now: datetime) -> list[str]:
    """Note that somebody has a case open; the names of the others who have. Whoever left long ago is forgotten."""
    connection = await driver(tx)
    await connection.execute(
        """
        WITH gone AS (
            DELETE FROM presences WHERE (case_id, agent) IN (
                SELECT case_id, agent FROM presences WHERE seen_at < $5 AND (case_id, agent) <> ($1, $2)
                 LIMIT 100 FOR UPDATE SKIP LOCKED
            )
        )
        INSERT INTO presences (case_id, agent, shown_name, seen_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (case_id, agent) DO UPDATE SET shown_name = $3, seen_at = $4
        """,
        case_id,
        name,
        shown_name,
        now,
        now - FORGOTTEN_AFTER,
    )
    return await _others(connection, case_id, name, now)


async def _others(connection: Driver, case_id: int, name: str, now: datetime) -> list[str]:
    rows = await connection.fetch(
        "SELECT shown_name FROM presences WHERE case_id = $1 AND agent <> $2 AND seen_at > $3 ORDER BY shown_name",
        case_id,
        name,
        now - PRESENT_FOR,
    )
    return [row[0] for row in rows]
