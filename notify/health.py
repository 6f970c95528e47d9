"""The health of addresses: what bounces, complaints and successes make of them, and how staff take one into use again.

A hard bounce or a complaint suppresses at once. A soft bounce (full, busy, refused for reasons that may pass) is
counted: a row of them without a success between suppresses when it is long in number and in days, since ten updates in
one afternoon to a mailbox that is full say no more than one. What is said of a mailbox holds for everybody who has
it. All of it is SQL over arrays; each change stands in the address journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation.actors import SYSTEM, Actor
from foundation.database import Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound

SOFT_BOUNCES = 5
SOFT_BOUNCE_DAYS = timedelta(days=3)
# A relay tells of no successes, so a mailbox that works between two bounces leaves no trace but silence.
_SILENCE = timedelta(days=30)

# Why an address is suppressed, where it is because of what came back. Staff may lift these.
BY_REPORT = ("hard_bounce", "soft_bounces", "complaint")


@dataclass(frozen=True, slots=True)
class Sign:
    """What an event says of an address: a kind of `notify.reports`, at the moment it came."""

    address_id: int
    kind: str
    at: datetime


# Locked in the order of id, so that two who meet on one mailbox wait for each other. An address that a newer file
# replaced is suppressed too: else it would come back usable with the next file that names it.
_NOTE = """
WITH said AS MATERIALIZED (
    SELECT a.channel, a.value, s.kind, s.at
      FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS s (address_id, kind, at)
      JOIN addresses a ON a.id = s.address_id
), successes AS MATERIALIZED (
    SELECT channel, value, max(at) AS at FROM said WHERE kind IN ('delivered', 'auto_reply') GROUP BY channel, value
), news AS MATERIALIZED (
    SELECT s.channel, s.value, max(w.at) AS worked_at,
           bool_or(s.kind = 'hard_bounce') AS hard, bool_or(s.kind = 'complaint') AS complaint,
           count(*) FILTER (WHERE s.kind = 'soft_bounce' AND s.at > coalesce(w.at, '-infinity')) AS soft,
           min(s.at) FILTER (WHERE s.kind = 'soft_bounce' AND s.at > coalesce(w.at, '-infinity')) AS soft_from,
           max(s.at) FILTER (WHERE s.kind = 'soft_bounce' AND s.at > coalesce(w.at, '-infinity')) AS soft_until,
           max(s.at) FILTER (WHERE s.kind IN ('soft_bounce', 'hard_bounce')) AS bounced_at
      FROM said s LEFT JOIN successes w USING (channel, value)
     GROUP BY s.channel, s.value
), locked AS MATERIALIZED (
    SELECT a.id, a.health, a.suppressed_because, a.soft_bounces, a.soft_bounces_since, a.last_bounce_at, n.hard,
           n.complaint, n.soft, n.soft_from, n.soft_until, n.bounced_at,
           a.soft_bounces = 0 OR coalesce(n.worked_at > a.last_bounce_at, false)
               OR coalesce(n.soft_from > a.last_bounce_at + $6::interval, false) AS afresh,
           n.worked_at IS NOT NULL AND a.soft_bounces > 0 AND coalesce(n.worked_at > a.last_bounce_at, false) AS worked
      FROM addresses a JOIN news n ON n.channel = a.channel AND n.value = a.value
     ORDER BY a.id
       FOR UPDATE OF a
), counted AS MATERIALIZED (
    SELECT l.*,
           CASE WHEN l.soft > 0 AND l.afresh THEN l.soft
                WHEN l.soft = 0 AND l.worked THEN 0
                ELSE least(l.soft_bounces + l.soft, 32767) END AS bounces,
           CASE WHEN l.soft > 0 AND l.afresh THEN l.soft_from
                WHEN l.soft = 0 AND l.worked THEN NULL
                ELSE l.soft_bounces_since END AS since
      FROM locked l
), judged AS MATERIALIZED (
    SELECT c.*,
           CASE WHEN c.complaint THEN 'complaint' WHEN c.hard THEN 'hard_bounce'
                WHEN c.soft > 0 AND c.bounces >= $4 AND c.soft_until - c.since >= $5::interval THEN 'soft_bounces'
           END AS because
      FROM counted c
), changed AS (
    UPDATE addresses a
       SET soft_bounces = j.bounces, soft_bounces_since = j.since,
           last_bounce_at = greatest(a.last_bounce_at, j.bounced_at),
           health = CASE WHEN j.because IS NULL THEN a.health ELSE 'suppressed' END,
           suppressed_because = CASE WHEN j.because IS NULL OR (j.health = 'suppressed'
               AND j.suppressed_because <> 'replaced') THEN a.suppressed_because ELSE j.because END
      FROM judged j
     WHERE a.id = j.id
       AND (j.because IS NOT NULL OR j.bounced_at IS NOT NULL OR j.worked)
)
INSERT INTO address_journal (address_id, actor, event, reason)
SELECT id, $7, 'suppressed', because FROM judged
 WHERE because IS NOT NULL AND (health = 'usable' OR suppressed_because = 'replaced')
"""


async def note_signs(tx: Tx, signs: Sequence[Sign]) -> None:
    """Count what `signs` say, and suppress the addresses that are to be. Kinds that say nothing are passed over."""
    telling = [one for one in signs if one.kind in _TELLING]
    if not telling:
        return
    await (await driver(tx)).execute(
        _NOTE,
        [one.address_id for one in telling],
        [one.kind for one in telling],
        [one.at for one in telling],
        SOFT_BOUNCES,
        SOFT_BOUNCE_DAYS,
        _SILENCE,
        str(SYSTEM),
    )


_TELLING = frozenset({"delivered", "auto_reply", "soft_bounce", "hard_bounce", "complaint"})


async def note_rejections(tx: Tx, delivery_ids: Sequence[int]) -> None:
    """A refusal while sending is a bounce too: apply it to the addresses of these deliveries. Call it once for each.

    Of those that are rejected: `no_such_address` is a hard bounce, `mailbox_full` a soft one; other reasons say
    nothing of the address.
    """
    if not delivery_ids:
        return
    rows = await (await driver(tx)).fetch(
        """
        SELECT address_id, CASE reason WHEN 'no_such_address' THEN 'hard_bounce' ELSE 'soft_bounce' END AS kind,
               coalesce(final_at, now()) AS at
          FROM deliveries
         WHERE id = ANY ($1::bigint[]) AND state = 'rejected' AND address_id IS NOT NULL
           AND reason IN ('no_such_address', 'mailbox_full')
        """,
        list(delivery_ids),
    )
    await note_signs(tx, [Sign(row["address_id"], row["kind"], row["at"]) for row in rows])


async def lift_suppression(tx: Tx, *, channel: str, value: str, actor: Actor, reason: str) -> int:
    """Take an address into use again, for every customer who has it; returns how many have.

    For those that were given up because of what came back; `reason` is for the journal. Raises Invalid without one,
    NotFound for an address nobody has, Conflict for one that is suppressed for nothing of the kind.
    """
    if not reason.strip():
        raise Invalid("Say why the address can be used again.", [Fault("reason", "Write a reason.")])
    connection = await driver(tx)
    rows = await connection.fetch(
        """
        SELECT id, suppressed_because FROM addresses WHERE channel = $1 AND value = $2 ORDER BY id FOR UPDATE
        """,
        channel,
        value,
    )
    if not rows:
        raise NotFound("Nobody has this address.", code="no_such_address")
    lifted = [row["id"] for row in rows if row["suppressed_because"] in BY_REPORT]
    if not lifted:
        raise Conflict("This address was not given up because of what came back.", code="not_suppressed")
    await connection.execute(
        """
        UPDATE addresses
           SET health = 'usable', suppressed_because = NULL, soft_bounces = 0, soft_bounces_since = NULL
         WHERE id = ANY ($1::bigint[])
        """,
        lifted,
    )
    await connection.execute(
        "INSERT INTO address_journal (address_id, actor, event, reason) SELECT id, $2, 'lifted', $3"
        " FROM unnest($1::bigint[]) AS these (id)",
        lifted,
        str(actor),
        reason.strip()[:500].replace("\x00", ""),
    )
    return len(lifted)
