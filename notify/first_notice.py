"""How long people waited for the first word about something: the regulator's question, answered from the deliveries.

One pass over the deliveries of a topic, whatever their number. It knows no rule of law: the limit is handed in.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from foundation.database import Tx


@dataclass(frozen=True, slots=True)
class FirstNotice:
    """When customers first heard of a topic. `people`: all it was meant for; each is in one of the four after it.

    `told`: a message of it was accepted for them. `waiting`: none was yet, but one is on its way. `unreachable`: there
    is no address that may be used. `failed`: what was tried did not arrive, or nobody knows. `median_at`, `p95_at` and
    `last_at`: by when half, 95 % and all of those told or waiting had heard; None while too many wait.
    `within_limit`: how many of the told heard in time; None without a limit.
    """

    people: int
    told: int
    waiting: int
    unreachable: int
    failed: int
    first_at: datetime | None
    median_at: datetime | None
    p95_at: datetime | None
    last_at: datetime | None
    within_limit: int | None


async def first_notice(tx: Tx, topic: str, *, by: datetime | None = None) -> FirstNotice:
    """Who of `topic`'s customers has heard of it, and when first. `by`: the end of the time they had to hear in.

    Subscribers and colleagues do not count: nobody owes them a notice. A delivery that was accepted and bounced later
    is no notice.
    """
    row = (await tx.execute(_FIRST, {"topic": topic, "by": by})).one()
    return FirstNotice(**row._mapping)


# percentile_disc over 'infinity' for those who wait: the figure exists once enough have heard, and never moves back.
# NULLIF turns the figure that does not exist yet into none.
_FIRST = text("""
WITH person AS MATERIALIZED (
    SELECT d.customer_id,
           min(d.final_at) FILTER (WHERE d.state IN ('accepted', 'delivered')) AS told_at,
           bool_or(d.final_at IS NULL) AS waits,
           bool_and(d.state = 'suppressed') AS unreachable
      FROM deliveries d
      JOIN dispatches p ON p.id = d.dispatch_id
      JOIN customers c ON c.id = d.customer_id AND c.kind = 'customer'
     WHERE p.topic = :topic
     GROUP BY d.customer_id
), heard AS (
    SELECT coalesce(told_at, 'infinity') AS at FROM person WHERE told_at IS NOT NULL OR waits
)
SELECT count(*) AS people,
       count(told_at) AS told,
       count(*) FILTER (WHERE told_at IS NULL AND waits) AS waiting,
       count(*) FILTER (WHERE told_at IS NULL AND NOT waits AND unreachable) AS unreachable,
       count(*) FILTER (WHERE told_at IS NULL AND NOT waits AND NOT unreachable) AS failed,
       min(told_at) AS first_at,
       (SELECT nullif(percentile_disc(0.5) WITHIN GROUP (ORDER BY at), 'infinity') FROM heard) AS median_at,
       (SELECT nullif(percentile_disc(0.95) WITHIN GROUP (ORDER BY at), 'infinity') FROM heard) AS p95_at,
       (SELECT nullif(max(at), 'infinity') FROM heard) AS last_at,
       CASE WHEN CAST(:by AS timestamptz) IS NOT NULL
            THEN count(*) FILTER (WHERE told_at <= CAST(:by AS timestamptz)) END AS within_limit
  FROM person
""")
