"""A person and a time, promised to whoever asks for a human: made, kept, missed. Whom to tell is `claims.answering`'s.

It hangs on the contact that asked, and moves with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from claims.agents import choose, find
from claims.cases import Held, journal, plain
from claims.clocks import call_by
from claims.evidence import REGIONS
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound
from notify import BadAddress, normalise_phone

Ending = Literal["kept", "not_reached", "cancelled"]
FARTHEST = timedelta(days=30)
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised. `agent`: their shown name, empty while nobody is on duty; `phone`: to be called at."""

    id: int
    agent: str
    at: datetime
    phone: str | None


async def promise(
    tx: Tx,
    actor: Actor,
    case: Held,
    contact_id: int,
    *,
    now: datetime,
    at: datetime | None = None,
    phone: str = "",
    wish: str = "",
) -> Promise:
    """Promise a person to the holder of a contact, by `at` or as soon as we always do; again: the same promise moved.

    The case's own agent when it has one, else whoever is on duty and fits, who gets the case with it. Raises Invalid.
    """
    number = _phone(phone)
    due = at or call_by(now)
    if not now < due <= now + FARTHEST:
        raise Invalid("Choose a time within the next 30 days.", [Fault("at", "Choose a time within the next 30 days.")])
    connection = await driver(tx)
    if not (language := await connection.fetchval(_LANGUAGE, contact_id, case.id)):
        raise NotFound("There is no such contact in this case.", code="no_such_contact")
    agent = await find(tx, case.agent or "") or await choose(tx, language=language, skill="call_back", now=now)
    if agent is not None:
        await connection.execute(
            "UPDATE cases SET agent = $2, assigned_at = $3 WHERE id = $1 AND agent IS NULL", case.id, agent.name, now
        )
    await connection.execute(
        """
        UPDATE appointments SET state = 'cancelled', ended_at = $2, note = 'moved'
         WHERE contact_id = $1 AND state = 'promised'
        """,
        contact_id,
        now,
    )
    made: int = await connection.fetchval(
        "INSERT INTO appointments (contact_id, agent, at, phone, wish, made_at) VALUES ($1, $2, $3, $4, $5, $6)"
        " RETURNING id",
        contact_id,
        None if agent is None else agent.name,
        due,
        number,
        plain(wish)[:_LONGEST],
        now,
    )
    await journal(tx, actor, case.id, "promised", appointment=made, at=due.isoformat(timespec="seconds"))
    return Promise(made, "" if agent is None else agent.shown_name, due, number)


_LANGUAGE = "SELECT language FROM contacts WHERE id = $1 AND case_id = $2"


async def end(
    tx: Tx, actor: Actor, case: Held, appointment_id: int, ending: Ending, *, note: str = "", now: datetime
) -> None:
    """Say how an appointment went. Raises Conflict when that was said before."""
    ended = await (await driver(tx)).fetchval(
        """
        UPDATE appointments m SET state = $3, ended_at = $4, note = $5
          FROM contacts k
         WHERE m.id = $1 AND k.id = m.contact_id AND k.case_id = $2 AND m.state = 'promised'
        RETURNING m.contact_id
        """,
        appointment_id,
        case.id,
        ending,
        now,
        plain(note)[:_LONGEST],
    )
    if ended is None:
        raise Conflict("There is no such appointment to come in this case.", code="no_such_appointment")
    if ending == "kept":
        await (await driver(tx)).execute(
            "UPDATE contacts SET answered_at = $2 WHERE id = $1 AND answered_at IS NULL", ended, now
        )
    await journal(tx, actor, case.id, "appointment_ended", appointment=appointment_id, how=ending)


def _phone(text: str) -> str | None:
    if not text.strip():
        return None
    try:
        return normalise_phone(text, REGIONS)
    except BadAddress:
        fault = "We cannot read this phone number. Try it with the country first, like +31 6 12345678."
        raise Invalid(fault, [Fault("phone", fault)]) from None


async def cancel_all(connection: Driver, contact_ids: Sequence[int], *, now: datetime) -> None:
    """Whoever wrote these contacts wants nothing more of us."""
    await connection.execute(
        """
        UPDATE appointments SET state = 'cancelled', ended_at = $2
         WHERE contact_id = ANY ($1::bigint[]) AND state = 'promised'
        """,
        list(contact_ids),
        now,
    )
