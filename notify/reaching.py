"""How people are reached, for those who look after it: a customer's addresses and wishes, the seeds, stray reports.

Reads only; what changes them stands in `steering.py` and `health.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from foundation.database import Tx, driver
from foundation.errors import NotFound
from notify.health import BY_REPORT
from notify.messages import ChannelName


@dataclass(frozen=True, slots=True)
class Way:
    """An address of a customer. `health`: usable or suppressed, and then why. `may_be_lifted`: it was given up because
    of what came back, so staff who know better can take it into use again."""

    channel: ChannelName
    address: str
    consent: bool
    health: str
    suppressed_because: str | None
    may_be_lifted: bool
    soft_bounces: int
    last_bounce_at: datetime | None


@dataclass(frozen=True, slots=True)
class Left:
    """News somebody wants no more of. `topic`: of one incident, or `news` for all."""

    topic: str
    how: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CustomerReach:
    """How a customer can be reached. `prefers`: the channel they would rather be told on; null: whichever works."""

    customer_number: str
    name: str
    language: str
    time_zone: str
    prefers: Literal["mail", "sms"] | None
    addresses: Sequence[Way]
    left: Sequence[Left]


@dataclass(frozen=True, slots=True)
class Seed:
    """A colleague who is told first when an update is held after its first hundredth."""

    customer_number: str
    name: str


@dataclass(frozen=True, slots=True)
class StrayReport:
    """A report (bounce, receipt, complaint) that belongs to no delivery we know. `text`: its sender's words."""

    id: int
    source: str
    kind: str
    status: str | None
    reference: str | None
    text: str
    received_at: datetime


async def reach_of(tx: Tx, customer_number: str) -> CustomerReach:
    """How the customer with this number can be reached. Raises NotFound."""
    connection = await driver(tx)
    found = await connection.fetchrow(
        "SELECT id, number, name, language, time_zone, prefers FROM customers WHERE number = $1", customer_number
    )
    if found is None:
        raise NotFound("There is no customer with this number.", code="no_such_customer")
    ways = await connection.fetch(
        """
        SELECT channel, value, consent, health, suppressed_because,
               health = 'suppressed' AND coalesce(suppressed_because = ANY ($2::text[]), false),
               soft_bounces, last_bounce_at
          FROM addresses WHERE customer_id = $1 ORDER BY channel, id
        """,
        found["id"],
        sorted(BY_REPORT),
    )
    left = await connection.fetch(
        "SELECT topic, how, at FROM opt_outs WHERE customer_id = $1 ORDER BY at, id", found["id"]
    )
    _, number, name, language, time_zone, prefers = found
    addresses = [Way(*row) for row in ways]
    return CustomerReach(number, name, language, time_zone, prefers, addresses, [Left(*row) for row in left])


async def seeds_now(tx: Tx) -> list[Seed]:
    """The colleagues who are told first, by number."""
    rows = await (await driver(tx)).fetch(
        "SELECT c.number, c.name FROM seeds s JOIN customers c ON c.id = s.customer_id ORDER BY c.number"
    )
    return [Seed(*row) for row in rows]


async def stray_reports(tx: Tx, *, before: int | None = None, limit: int = 100) -> tuple[list[StrayReport], int | None]:
    """Reports without a delivery, the newest first, and the `before` of the next page (None at the end)."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT id, source, kind, status, reference, left(text, 1000), received_at
          FROM reports
         WHERE outcome = 'no_delivery' AND ($1::bigint IS NULL OR id < $1)
         ORDER BY id DESC LIMIT $2
        """,
        before,
        limit + 1,
    )
    found = [StrayReport(*row) for row in rows]
    return found[:limit], found[limit - 1].id if len(found) > limit else None
