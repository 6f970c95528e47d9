"""An update with everything its messages are made of, read together; and a digest of exactly what would go out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec
from sqlalchemy import select

import notify
from foundation.database import Tx
from incidents.records import Incident, Update, find_incident, find_update, stored_texts
from incidents.segments import Segment, find_segments
from incidents.tables import parties

# What differs between approval and publication is the number and the moment; both are shown as these in a digest.
_NO_NUMBER, _NO_MOMENT = 0, datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said. `party` and `stated_by` are names; `corrected` is the update that this one withdraws.

    `segments`: the parts of the audience that the incident is narrowed to.
    """

    incident: Incident
    update: Update
    party: str | None = None
    stated_by: str | None = None
    corrected: Update | None = None
    segments: tuple[Segment, ...] = ()


Compose: TypeAlias = Callable[[Saying], Sequence[notify.MessageText]]


async def read_saying(tx: Tx, update_id: str) -> Saying:
    """The update with this id and what belongs to it. Raises NotFound."""
    said = await find_update(tx, update_id)
    incident = await find_incident(tx, said.incident_id)
    keys = [key for key in (said.cause_party, said.cause_stated_by) if key is not None]
    rows = await tx.execute(select(parties.c.key, parties.c.name).where(parties.c.key.in_(keys)))
    names: dict[str | None, str] = {row.key: row.name for row in rows}
    return Saying(
        incident,
        said,
        names.get(said.cause_party),
        names.get(said.cause_stated_by),
        None if said.corrects is None else await find_update(tx, said.corrects),
        tuple(await find_segments(tx, incident.segments)),
    )


def as_published(saying: Saying, number: int, at: datetime) -> Saying:
    """The same as it would be if it were published as `number` at this moment."""
    return replace(saying, update=replace(saying.update, number=number, published_at=at))


def digest_of(saying: Saying, compose: Compose) -> str:
    """64 hexadecimal digits that change with a word of any message, with the audience, and with what happens besides.

    Not with the number and the moment, which nobody can know before.
    """
    said, incident = saying.update, saying.incident
    messages = compose(as_published(saying, _NO_NUMBER, _NO_MOMENT))
    exact = {
        "messages": sorted((one.channel, one.language, one.subject, one.body) for one in messages),
        "texts": stored_texts(said.texts),
        "does": [said.phase, said.component_status, said.impact, said.next_update_at],
        "cause": [said.cause_certainty, said.cause_party, said.cause_stated_by, said.cause_evidence],
        "audience": [said.audience, said.corrects, incident.id, incident.needed_from, incident.needed_until],
        "scope": [sorted(incident.components), sorted(incident.groups), [one.scope() for one in saying.segments]],
    }
    return hashlib.sha256(msgspec.json.encode(exact, order="deterministic")).hexdigest()
