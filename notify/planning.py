"""Plans deliveries: from an audience, as a SELECT, to one row per customer and channel, in the caller's transaction.

Who may be reached is decided here and nowhere else, so no caller can forget consent. It knows nothing of sending.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    SmallInteger,
    String,
    and_,
    case,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from foundation.database import Tx, driver
from foundation.errors import Conflict, Invalid
from notify.messages import ChannelName, MessageText, faults_in
from notify.tables import addresses, customers, deliveries, dispatches, messages

# Columns customer_id and needed_at.
Audience: TypeAlias = Select[Any]

# Incident news has lost its use by then, whatever the publisher said; it is also the horizon of retries.
LONGEST_USE = "48 hours"


@dataclass(frozen=True, slots=True)
class Reach:
    """How many of an audience a channel reaches in one language. `unreachable`: no address that may be used."""

    channel: ChannelName
    language: str
    recipients: int
    unreachable: int


async def enqueue(
    tx: Tx,
    *,
    key: str,
    topic: str,
    number: int,
    messages: Sequence[MessageText],
    audience: Audience,
    urgency: int = 1,
    not_after: datetime | None = None,
) -> bool:
    """Plan one delivery for every customer of `audience` on every channel of `messages`.

    `audience` has the columns customer_id and needed_at (when they next need what is disrupted; soonest is sent first).
    Within `topic` a higher `number` is newer news: whatever older of the topic is unsent for the same customers is
    superseded in this transaction. `urgency`: 0 before 1. `not_after`: no use in arriving later (48 hours at most).
    Returns False, having done nothing, when `key` was enqueued before. Raises Invalid and Conflict.
    """
    if faults := faults_in(messages):
        raise Invalid("These messages cannot be sent.", faults)
    # One publication of a topic at a time: what counts as older must not change under our hands.
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(topic, 0))))
    dispatch_id = await _new_dispatch(tx, key=key, topic=topic, number=number, urgency=urgency, not_after=not_after)
    if dispatch_id is None:
        return False
    await _store_messages(tx, dispatch_id, messages)
    for channel, languages in _channels(messages):
        await _plan(tx, dispatch_id, channel=channel, languages=languages, audience=audience, urgency=urgency)
    await _supersede(tx, dispatch_id, topic, number)
    return True


async def preview(
    tx: Tx,
    audience: Audience,
    languages: Sequence[str],
    channels: Sequence[ChannelName] = ("mail",),
) -> list[Reach]:
    """Whom `enqueue` would reach now with messages in `languages`, by the same statement, storing nothing."""
    found: list[Reach] = []
    for channel in channels:
        plan = _reach(audience, channel, languages).subquery("plan")
        reached = func.count(plan.c.address_id)
        statement = select(plan.c.language, reached, func.count() - reached).group_by(plan.c.language)
        counts = {row[0]: (row[1], row[2]) for row in await tx.execute(statement)}
        found += [Reach(channel, language, *counts.get(language, (0, 0))) for language in languages]
    return found


async def _new_dispatch(
    tx: Tx, *, key: str, topic: str, number: int, urgency: int, not_after: datetime | None
) -> int | None:
    taken = select(dispatches.c.key).where(dispatches.c.topic == topic, dispatches.c.number == number)
    if (await tx.execute(taken)).scalar_one_or_none() not in (None, key):
        raise Conflict(f"Number {number} of {topic} was already used for something else.", code="number_taken")
    latest = func.least(cast(not_after, DateTime(timezone=True)), text(f"now() + interval '{LONGEST_USE}'"))
    row = {"key": key, "topic": topic, "number": number, "urgency": urgency, "not_after": latest}
    statement = upsert(dispatches).values(row).on_conflict_do_nothing(index_elements=["key"])
    found: int | None = (await tx.execute(statement.returning(dispatches.c.id))).scalar_one_or_none()
    return found


async def _store_messages(tx: Tx, dispatch_id: int, texts: Sequence[MessageText]) -> None:
    await tx.execute(
        insert(messages),
        [
            {
                "dispatch_id": dispatch_id,
                "channel": one.channel,
                "language": one.language,
                "subject": one.subject,
                "body": one.body,
            }
            for one in texts
        ],
    )


def _channels(texts: Sequence[MessageText]) -> list[tuple[ChannelName, list[str]]]:
    """Each channel with the languages there is a text in, in the order given."""
    found: dict[ChannelName, list[str]] = {}
    for one in texts:
        found.setdefault(one.channel, []).append(one.language)
    return list(found.items())


def _reach(audience: Audience, channel: ChannelName, languages: Sequence[str]) -> Select[Any]:
    """customer_id, needed_at, address_id (None: unreachable), reason, language: one row per customer."""
    people = audience.subquery("people")
    usable = and_(addresses.c.consent, addresses.c.health == "usable")
    # The oldest usable address, until addresses carry a preference.
    address = func.min(addresses.c.id).filter(usable)
    reason = case(
        (address.is_not(None), null()),
        (func.count(addresses.c.id) == 0, "no_address"),
        (func.bool_or(addresses.c.consent), func.coalesce(func.min(addresses.c.suppressed_because), "suppressed")),
        else_="no_consent",
    )
    return (
        select(
            people.c.customer_id,
            func.min(people.c.needed_at).label("needed_at"),
            address.label("address_id"),
            cast(reason, String).label("reason"),
            _language(languages).label("language"),
        )
        .select_from(people)
        .join(customers, customers.c.id == people.c.customer_id)
        .outerjoin(addresses, and_(addresses.c.customer_id == people.c.customer_id, addresses.c.channel == channel))
        # The customer's own columns are there so that a language can be chosen; id decides them.
        .group_by(people.c.customer_id, customers.c.id)
    )


def _language(languages: Sequence[str]) -> ColumnElement[str]:
    """The customer's language if there is a text in it (nl for nl-BE too), else English, else the first."""
    fallback = "en" if "en" in languages else languages[0]
    general = func.split_part(customers.c.language, "-", 1)
    return case(
        (customers.c.language.in_(languages), customers.c.language),
        (general.in_(languages), general),
        else_=literal(fallback),
    )


async def _plan(
    tx: Tx,
    dispatch_id: int,
    *,
    channel: ChannelName,
    languages: Sequence[str],
    audience: Audience,
    urgency: int,
) -> None:
    plan = _reach(audience, channel, languages).subquery("plan")
    reachable = plan.c.address_id.is_not(None)
    message = and_(
        messages.c.dispatch_id == dispatch_id,
        messages.c.channel == channel,
        messages.c.language == plan.c.language,
    )
    row = {
        "dispatch_id": literal(dispatch_id),
        "message_id": messages.c.id,
        "customer_id": plan.c.customer_id,
        "address_id": plan.c.address_id,
        "channel": literal(channel),
        "state": case((reachable, "planned"), else_="suppressed"),
        "reason": plan.c.reason,
        "urgency": literal(urgency, SmallInteger),
        "needed_at": plan.c.needed_at,
        "final_at": case((reachable, null()), else_=func.now()),
    }
    # In the order of sending, so that a batch lies side by side in the table.
    rows = select(*row.values()).select_from(plan.join(messages, message)).order_by(plan.c.needed_at)
    await tx.execute(insert(deliveries).from_select(list(row), rows))


# Locked in the order of id, as `outbox.record` does too: otherwise a sender recording its batch and this statement
# could each hold a row the other waits for. A row that turned to sending while we waited for it is still matched
# (PostgreSQL looks at its newest version), so each older row is either superseded here or marked as on its way.
_OVERTAKE = """
WITH older AS MATERIALIZED (
    SELECT o.id
      FROM deliveries o
     WHERE o.dispatch_id = ANY ($1::bigint[]) AND o.state IN ('planned', 'deferred', 'sending')
       AND EXISTS (SELECT FROM deliveries n
                    WHERE n.dispatch_id = ANY ($2::bigint[])
                      AND n.customer_id = o.customer_id AND n.channel = o.channel)
     ORDER BY o.id
       FOR UPDATE OF o
)
UPDATE deliveries d
   SET state = CASE WHEN d.state = 'sending' THEN 'sending' WHEN d.doubtful > 0 THEN 'unknown' ELSE 'superseded' END,
       overtaken = true,
       reason = CASE WHEN d.state = 'sending' THEN d.reason ELSE 'overtaken' END,
       final_at = CASE WHEN d.state = 'sending' THEN NULL ELSE now() END,
       next_at = NULL
  FROM older
 WHERE d.id = older.id
"""


async def _supersede(tx: Tx, dispatch_id: int, topic: str, number: int) -> None:
    """Let newer news of the topic overtake what is unsent; news that comes out of order is overtaken itself."""
    others = select(dispatches.c.id, dispatches.c.number).where(
        dispatches.c.topic == topic, dispatches.c.id != dispatch_id
    )
    numbers = (await tx.execute(others)).all()
    older = [row.id for row in numbers if row.number < number]
    newer = [row.id for row in numbers if row.number > number]
    connection = await driver(tx)
    if older:
        await connection.execute(_OVERTAKE, older, [dispatch_id])
    if newer:
        await connection.execute(_OVERTAKE, [dispatch_id], newer)
