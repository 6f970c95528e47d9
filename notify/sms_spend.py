"""The cost cap of texts: money is set aside before a text leaves, in one guarded statement, whoever else sends too.

A topic is an incident's; amounts are millionths of a currency's unit (`sms_prices`). What a text costs is known before
it is sent, so a cap is kept exactly; what a centre did not take is given back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from foundation.database import Driver
from notify.sms_prices import Cost, Micro


@dataclass(frozen=True, slots=True)
class Spent:
    """What texts on a topic have cost in one currency. `stopped_at`: the cap at which one no longer fitted."""

    currency: str
    segments: int
    micro: Micro
    stopped_at: Micro | None


# One statement: of two workers that want the last of the money at once, the second waits and then sees what is left.
_RESERVE = """
INSERT INTO sms_spend AS s (topic, currency, segments, spent)
SELECT $1::text, $2::text, $3::bigint, $4::bigint WHERE $4::bigint <= $5::bigint
    ON CONFLICT (topic, currency) DO UPDATE
   SET segments = s.segments + excluded.segments, spent = s.spent + excluded.spent
 WHERE s.spent + excluded.spent <= $5 AND (s.refused_at_cap IS NULL OR s.refused_at_cap < $5)
RETURNING true
"""

_STOP = """
INSERT INTO sms_spend AS s (topic, currency, refused_at_cap) VALUES ($1, $2, $3)
    ON CONFLICT (topic, currency) DO UPDATE SET refused_at_cap = greatest(s.refused_at_cap, excluded.refused_at_cap)
"""


async def reserve(connection: Driver, topic: str, cost: Cost, cap: Micro) -> bool:
    """Set `cost` aside for texts on `topic`. False, and from then on for every text, when that would exceed `cap`.

    Once the cap was in the way nothing more goes out until it is raised, so that the end does not depend on which
    text happened to come first. `connection` is in the caller's transaction, whose commit makes it count.
    """
    if await connection.fetchval(_RESERVE, topic, cost.currency, cost.segments, cost.micro, cap):
        return True
    await connection.execute(_STOP, topic, cost.currency, cap)
    return False


async def reserve_each(connection: Driver, topic: str, costs: Sequence[Cost], caps: Mapping[str, Micro]) -> list[bool]:
    """Which texts of a batch may be sent: in their order, as many as fit; one `reserve` where all do.

    `caps`: per currency; a currency without one has none to spend.
    """
    allowed = [False] * len(costs)
    for currency in sorted({one.currency for one in costs}):  # in one order, so that two batches cannot deadlock
        places = [at for at, one in enumerate(costs) if one.currency == currency]
        cap = caps.get(currency, 0)
        count = len(places)
        if not await _take(connection, topic, [costs[at] for at in places], cap):
            count = await _fitting(connection, topic, currency, [costs[at].micro for at in places], cap)
            if count:
                await _take(connection, topic, [costs[at] for at in places[:count]], cap)
            await connection.execute(_STOP, topic, currency, cap)
        for at in places[:count]:
            allowed[at] = True
    return allowed


async def release(connection: Driver, topic: str, costs: Sequence[Cost]) -> None:
    """Give back what was set aside for texts that did not leave. Those in doubt are not given back."""
    for currency in sorted({one.currency for one in costs}):
        ours = [one for one in costs if one.currency == currency]
        await connection.execute(
            "UPDATE sms_spend SET segments = greatest(0, segments - $3), spent = greatest(0, spent - $4)"
            " WHERE topic = $1 AND currency = $2",
            topic,
            currency,
            sum(one.segments for one in ours),
            sum(one.micro for one in ours),
        )


async def spending(connection: Driver, topic: str) -> list[Spent]:
    """What texts on `topic` have cost so far, by currency."""
    rows = await connection.fetch(
        "SELECT currency, segments, spent, refused_at_cap FROM sms_spend WHERE topic = $1 ORDER BY currency", topic
    )
    return [Spent(*row) for row in rows]


async def _take(connection: Driver, topic: str, costs: Sequence[Cost], cap: Micro) -> bool:
    segments, micro = sum(one.segments for one in costs), sum(one.micro for one in costs)
    return bool(await connection.fetchval(_RESERVE, topic, costs[0].currency, segments, micro, cap))


async def _fitting(connection: Driver, topic: str, currency: str, amounts: Sequence[Micro], cap: Micro) -> int:
    """How many of `amounts`, in order, still fit; the row is locked, so they still will in a moment."""
    row = await connection.fetchrow(
        "SELECT spent, refused_at_cap FROM sms_spend WHERE topic = $1 AND currency = $2 FOR UPDATE", topic, currency
    )
    spent, refused_at = (0, None) if row is None else tuple(row)
    if refused_at is not None and refused_at >= cap:
        return 0
    return sum(1 for total in accumulate(amounts, initial=spent) if total <= cap) - 1 if spent <= cap else 0
