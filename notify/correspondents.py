"""Whom an answer goes to: a customer, or a person who wrote to us and whom the directory does not know.

A correspondent is a row of `customers` of that kind, with the one address they gave, so that outbox, proof and reports
serve them too. Having written proves nothing: nobody is looked up by it, and no news goes there.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import DateTime, literal, null, select

from foundation.database import Tx, driver
from notify.choosing import Audience

ReplyChannel = Literal["mail", "sms"]
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no 0 and O, no 1 and I


@dataclass(frozen=True, slots=True)
class Card:
    """What the directory knows of a customer, for those who work on their case. `mails`, `phones`: usable ones."""

    id: int
    number: str
    name: str
    language: str
    time_zone: str
    prefers: str | None
    mails: tuple[str, ...]
    phones: tuple[str, ...]
    references: tuple[str, ...]


_CARDS = """
SELECT c.id, c.number, c.name, c.language, c.time_zone, c.prefers,
       ARRAY (SELECT a.value FROM addresses a WHERE a.customer_id = c.id AND a.channel = 'mail' AND a.consent
                 AND a.health = 'usable' ORDER BY a.id LIMIT 20),
       ARRAY (SELECT a.value FROM addresses a WHERE a.customer_id = c.id AND a.channel = 'sms' AND a.consent
                 AND a.health = 'usable' ORDER BY a.id LIMIT 20),
       ARRAY (SELECT DISTINCT e.reference FROM exposures e WHERE e.customer_id = c.id AND e.reference <> ''
               ORDER BY 1 LIMIT 20)
  FROM customers c
 WHERE c.id = ANY ($1::bigint[]) AND c.kind = 'customer'
"""


async def customer_cards(tx: Tx, customer_ids: Collection[int]) -> Mapping[int, Card]:
    """Customer id → card, of those that exist."""
    rows = await (await driver(tx)).fetch(_CARDS, list(customer_ids))
    return {row[0]: Card(*tuple(row)[:6], *(tuple(one) for one in tuple(row)[6:])) for row in rows}


_KNOWN = """
SELECT a.channel, a.value, min(c.id)
  FROM unnest($1::text[], $2::text[]) AS asked (channel, value)
  JOIN addresses a ON a.channel = asked.channel AND a.value = asked.value
  JOIN customers c ON c.id = a.customer_id AND c.kind = 'correspondent'
 GROUP BY 1, 2
"""
_SPEAK = """
UPDATE customers c SET language = new.language FROM unnest($1::bigint[], $2::text[]) AS new (id, language)
 WHERE c.id = new.id AND c.language <> new.language
"""
_MAKE = """
WITH new AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS one (number, channel, value, language)
), made AS (
    INSERT INTO customers (number, name, name_key, language, time_zone, kind)
    SELECT number, value, '', language, $5, 'correspondent' FROM new RETURNING id, number
)
INSERT INTO addresses (customer_id, channel, value)
SELECT made.id, new.channel, new.value FROM made JOIN new USING (number)
RETURNING channel, value, customer_id
"""


async def correspondents(
    tx: Tx, spoken: Mapping[tuple[ReplyChannel, str], str], *, time_zone: str = "Etc/UTC"
) -> Mapping[tuple[ReplyChannel, str], int]:
    """(Channel, normalised address) → the id of whoever writes from it, made where there is none. `spoken`: in what."""
    if not spoken:
        return {}
    connection = await driver(tx)
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('correspondent ' || value, 0))"
        " FROM (SELECT DISTINCT value FROM unnest($1::text[]) AS one (value) ORDER BY 1) AS inturn",
        [value for _, value in spoken],
    )
    rows = await connection.fetch(_KNOWN, [channel for channel, _ in spoken], [value for _, value in spoken])
    found: dict[tuple[ReplyChannel, str], int] = {(row[0], row[1]): row[2] for row in rows}
    await connection.execute(_SPEAK, list(found.values()), [spoken[one] for one in found])
    new = [one for one in spoken if one not in found]
    numbers = ["W-" + "".join(secrets.choice(_ALPHABET) for _ in range(12)) for _ in new]
    rows = await connection.fetch(
        _MAKE,
        numbers,
        [channel for channel, _ in new],
        [value for _, value in new],
        [spoken[one] for one in new],
        time_zone,
    )
    return found | {(row[0], row[1]): row[2] for row in rows}


async def correspondent(tx: Tx, channel: ReplyChannel, value: str, *, language: str, time_zone: str = "Etc/UTC") -> int:
    """The id of whoever writes from the normalised address `value`; made when there is none."""
    return (await correspondents(tx, {(channel, value): language}, time_zone=time_zone))[channel, value]


def only(customer_id: int) -> Audience:
    """An audience of one."""
    columns: list[Any] = [literal(customer_id).label("customer_id"), null().cast(DateTime(timezone=True))]
    return select(columns[0], columns[1].label("needed_at"))
