"""Plans letters: each its own words to one person, many of them in as few statements as one.

What a letter says, and that it may be sent, is its writer's affair; who can be reached is decided in `choosing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, DateTime, cast, func, null, select

from foundation.database import Tx, driver
from foundation.errors import Invalid
from notify.choosing import reachable
from notify.messages import MessageText, faults_in
from notify.planning import LONGEST_USE


@dataclass(frozen=True, slots=True)
class PersonalLetter:
    """Words to one person, over the channel of `text`. `key`: what its sender calls it; it is its topic, too."""

    key: str
    customer_id: int
    text: MessageText


async def enqueue_each(tx: Tx, letters: Sequence[PersonalLetter]) -> None:
    """Plan one delivery for each letter, as `enqueue` does for one. A key that was enqueued before is passed over.

    Not for news: nobody can opt out of a letter. Raises Invalid.
    """
    if faults := [fault for one in letters for fault in faults_in([one.text])]:
        raise Invalid("These messages cannot be sent.", faults)
    connection = await driver(tx)
    made = await connection.fetch(_DISPATCHES, [one.key for one in letters], LONGEST_USE)
    ids = {row["key"]: row["id"] for row in made}
    fresh = [one for one in letters if one.key in ids]
    reached = await _reached(tx, fresh)
    places = [reached.get((one.text.channel, one.customer_id), (None, "no_address")) for one in fresh]
    await connection.execute(
        _DELIVERIES,
        [ids[one.key] for one in fresh],
        [one.customer_id for one in fresh],
        [one.text.channel for one in fresh],
        [one.text.language for one in fresh],
        [one.text.subject for one in fresh],
        [one.text.body for one in fresh],
        [address for address, _ in places],
        [why for _, why in places],
    )


async def _reached(tx: Tx, letters: Sequence[PersonalLetter]) -> dict[tuple[str, int], tuple[int | None, str | None]]:
    """(Channel, customer) → the address to use, or why there is none."""
    found: dict[tuple[str, int], tuple[int | None, str | None]] = {}
    for channel in sorted({one.text.channel for one in letters}):
        people = sorted({one.customer_id for one in letters if one.text.channel == channel})
        who = func.unnest(cast(people, ARRAY(BigInteger))).label("customer_id")
        audience = select(who, cast(null(), DateTime(timezone=True)).label("needed_at"))
        plan = reachable(audience, channel)
        for row in await tx.execute(select(plan.c.customer_id, plan.c.address_id, plan.c.reason)):
            found[channel, row[0]] = (row[1], row[2])
    return found


_DISPATCHES = """
INSERT INTO dispatches (key, topic, number, urgency, not_after)
SELECT key, key, 1, 1, now() + $2::text::interval FROM unnest($1::text[]) AS new (key)
    ON CONFLICT (key) DO NOTHING
RETURNING key, id
"""
_DELIVERIES = """
WITH new AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                         $8::text[])
               AS one (dispatch_id, customer_id, channel, language, subject, body, address_id, why)
), said AS (
    INSERT INTO messages (dispatch_id, channel, language, subject, body)
    SELECT dispatch_id, channel, language, subject, body FROM new
 RETURNING id, dispatch_id
), made AS (
    INSERT INTO deliveries (dispatch_id, message_id, customer_id, address_id, channel, state, reason, urgency, final_at)
    SELECT n.dispatch_id, s.id, n.customer_id, n.address_id, n.channel,
           CASE WHEN n.address_id IS NULL THEN 'suppressed' ELSE 'planned' END,
           CASE WHEN n.address_id IS NULL THEN n.why END, 1, CASE WHEN n.address_id IS NULL THEN now() END
      FROM new n JOIN said s USING (dispatch_id) ORDER BY n.dispatch_id
 RETURNING id, dispatch_id, channel, final_at
)
INSERT INTO batches (dispatch_id, channel, urgency, delivery_ids)
SELECT dispatch_id, channel, 1, ARRAY[id] FROM made WHERE final_at IS NULL ORDER BY id
"""
