"""Following: anybody may ask to be told, of one incident or of all, and is once the owner of the address says yes.

A subscriber is a row of `customers` of the kind 'subscriber', so everything that serves customers serves them. The use
cases here never commit and send nothing; `confirmations.py` asks, `follow_pages.py` shows.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, null, or_, select
from sqlalchemy.dialects.postgresql import TIMESTAMP

from foundation.actors import SYSTEM
from foundation.database import Tx, driver
from foundation.errors import Busy
from foundation.tokens import Tokens
from notify.messages import NEWS
from notify.opt_outs import ALL_NEWS
from notify.tables import addresses, customers, followers

FollowChannel = Literal["mail", "webhook"]

# The incidents among these that the public knows of: id → title per language.
PublicTitles = Callable[[Tx, Collection[str]], Awaitable[Mapping[str, Mapping[str, str]]]]

# Whether the customer in this column is told anyway.
IsTold = Callable[[ColumnElement[int]], ColumnElement[bool]]

CONFIRM_WITHIN = timedelta(hours=48)
_WINDOW = timedelta(hours=1)
# An airport's visitors share one address, and in a storm many of them may want news: so this is generous. What keeps
# one person's mailbox from being filled is the limit per address, in `confirmations.py`.
MOST_PER_CLIENT = 100
# Whoever seems to come from our own network comes through a proxy, which stands for everybody.
MOST_PER_PROXY = 20_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody typed. `address` and `host` are normalised; `incident_id` None: the whole page.

    `client`: where the request came from, by `client_name`.
    """

    channel: FollowChannel
    address: str
    host: str
    language: str
    incident_id: str | None
    client: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a confirmation link stands for. `incident_ids`: everything asked for that address; None: the whole page."""

    customer_id: int
    number: str
    channel: FollowChannel
    address: str
    incident_ids: Sequence[str | None]


def client_name(tokens: Tokens, address: str | None) -> str:
    """A keyed name of a network address, so that the address itself is not kept. A home's IPv6 network is one."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "proxy:unknown"
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    kind = "client" if found.is_global else "proxy"
    network = ip_network((found, 64), strict=False) if isinstance(found, IPv6Address) else found
    return f"{kind}:{tokens.name('follow-client', str(network))}"


# One client's requests one after the other, so that many at once cannot all be the last one allowed.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 8))"
_WISH = """
INSERT INTO follow_requests (channel, address, host, language, incident_id, client, created_at)
SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::timestamptz
 WHERE (SELECT count(*) FROM (SELECT FROM follow_requests WHERE client = $6 AND created_at > $8 LIMIT $9) recent) < $9
RETURNING id
"""


async def wish_to_follow(tx: Tx, wish: Wish, *, now: datetime) -> None:
    """Keep a wish; a worker will ask the owner of the address. The work is the same whatever we know of the address.

    Raises Busy when the client has asked very often in the last hour.
    """
    connection = await driver(tx)
    await connection.execute(_LOCK, wish.client)
    most = MOST_PER_PROXY if wish.client.startswith("proxy:") else MOST_PER_CLIENT
    kept = await connection.fetchval(
        _WISH,
        wish.channel,
        wish.address,
        wish.host,
        wish.language,
        wish.incident_id,
        wish.client,
        now,
        now - _WINDOW,
        most,
    )
    if kept is None:
        raise Busy(
            "Very many requests came from your network in the last hour. Please try again later, or use the feed.",
            retry_after=int(_WINDOW.total_seconds()),
            code="too_many_requests",
        )


# Everything asked for this address, not only by this request: there is one mail an hour at most, and it serves all.
_ASKED = """
SELECT c.id, c.number, r.channel, r.address, o.incident_id
  FROM follow_requests r
  JOIN customers c ON c.id = r.customer_id
  JOIN follow_requests o ON o.customer_id = r.customer_id AND o.created_at > $2
 WHERE r.id = $1 AND r.created_at > $2
 ORDER BY o.incident_id NULLS FIRST
"""


async def find_asked(tx: Tx, request_id: int, *, now: datetime) -> Asked | None:
    """What the link of request `request_id` would confirm; None when it is unknown or too old."""
    rows = await (await driver(tx)).fetch(_ASKED, request_id, now - CONFIRM_WITHIN)
    if not rows:
        return None
    wanted = tuple(dict.fromkeys(row[4] for row in rows))
    customer_id, number, channel, address, _ = rows[0]
    return Asked(customer_id, number, channel, address, wanted)


_CONFIRM = """
WITH asked AS (
    SELECT customer_id, language FROM follow_requests WHERE id = $1 AND customer_id IS NOT NULL AND created_at > $2
), confirmed AS (
    UPDATE follow_requests r SET confirmed_at = coalesce(r.confirmed_at, $3)
      FROM asked
     WHERE r.customer_id = asked.customer_id AND r.created_at > $2
 RETURNING r.customer_id, r.incident_id
), wanted_again AS (
    DELETE FROM opt_outs o USING confirmed
     WHERE o.customer_id = confirmed.customer_id
       AND (confirmed.incident_id IS NULL OR o.topic IN ('news', 'incident:' || confirmed.incident_id))
), spoken AS (
    UPDATE customers c SET language = asked.language, updated_at = $3
      FROM asked
     WHERE c.id = asked.customer_id AND c.language <> asked.language
)
INSERT INTO followers (customer_id, incident_id, created_at)
SELECT DISTINCT customer_id, incident_id, $3::timestamptz FROM confirmed
    ON CONFLICT DO NOTHING
"""


async def confirm(tx: Tx, request_id: int, *, now: datetime) -> Asked | None:
    """The owner of the address says yes. None when the link is unknown or too old. Saying it again changes nothing."""
    await (await driver(tx)).execute(_CONFIRM, request_id, now - CONFIRM_WITHIN, now)
    return await find_asked(tx, request_id, now=now)


# The opt-out is for what was planned already, and for corrections of what they were told; `_CONFIRM` takes it back.
_STOP = """
WITH who AS (
    SELECT id FROM customers WHERE number = $1 AND kind = 'subscriber'
), stopped AS (
    DELETE FROM followers f USING who WHERE f.customer_id = who.id AND ($2::text IS NULL OR f.incident_id = $2)
)
INSERT INTO opt_outs (customer_id, topic, how)
SELECT who.id, coalesce($4 || $2, $3), 'page' FROM who
    ON CONFLICT DO NOTHING
"""


async def stop_following(tx: Tx, number: str, incident_id: str | None = None) -> None:
    """The subscriber with this number follows nothing any more, or `incident_id` only no more."""
    await (await driver(tx)).execute(_STOP, number, incident_id, ALL_NEWS, NEWS)


async def is_subscriber(tx: Tx, number: str) -> bool:
    """Whether a subscriber has this number."""
    found = select(customers.c.id).where(customers.c.number == number, customers.c.kind == "subscriber")
    return (await tx.execute(found)).first() is not None


def followers_of(incident_id: str, *, besides: IsTold | None = None) -> Select[Any]:
    """Who follows the page or this incident: (customer_id, needed_at), one row each, in no haste.

    Planning passes over those who stopped news of it with the link in a mail, as it does with everybody.
    `besides` says whether a customer is told anyway. Who can be reached at the address of one of them is left out: it
    is the same person, and once is enough.
    """
    found = (
        select(followers.c.customer_id, null().cast(TIMESTAMP(timezone=True)).label("needed_at"))
        .distinct()
        .where(or_(followers.c.incident_id == incident_id, followers.c.incident_id.is_(None)))
    )
    if besides is None:
        return found
    mine, theirs = addresses.alias("mine"), addresses.alias("theirs")
    told = (
        select(mine.c.id)
        .join(theirs, and_(theirs.c.channel == mine.c.channel, theirs.c.value == mine.c.value))
        .where(mine.c.customer_id == followers.c.customer_id, theirs.c.customer_id != mine.c.customer_id)
        .where(theirs.c.consent, theirs.c.health == "usable", besides(theirs.c.customer_id))
    )
    return found.where(~told.correlate(followers).exists())


async def any_machine_among(tx: Tx, people: Select[Any]) -> bool:
    """Whether one at least of `people` (customer_id) is reached by webhook."""
    found = people.subquery("people")
    machine = (
        select(addresses.c.id)
        .join(found, found.c.customer_id == addresses.c.customer_id)
        .where(addresses.c.channel == "webhook")
        .limit(1)
    )
    return (await tx.execute(machine)).first() is not None


_GONE = """
WITH gone AS (
    UPDATE addresses SET health = 'suppressed', suppressed_because = 'gone'
     WHERE channel = 'webhook' AND value = $1 AND health = 'usable'
 RETURNING id
)
INSERT INTO address_journal (address_id, actor, event, reason) SELECT id, $2, 'suppressed', 'gone' FROM gone
"""


async def webhook_is_gone(tx: Tx, url: str) -> None:
    """The receiver at `url` answered that it wants no more (410): nothing is sent there again."""
    await (await driver(tx)).execute(_GONE, url, str(SYSTEM))
