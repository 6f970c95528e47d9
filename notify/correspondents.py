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
from notify.planning import Audience

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
SELECT c.id FROM addresses a JOIN customers c ON c.id = a.customer_id
 WHERE a.channel = $1 AND a.value = $2 AND c.kind = 'correspondent'
 ORDER BY c.id LIMIT 1
"""
_MAKE = """
WITH made AS (
    INSERT INTO customers (number, name, name_key, language, time_zone, kind)
    VALUES ($1, $2, '', $3, $4, 'correspondent')
 RETURNING id
)
INSERT INTO addresses (customer_id, channel, value) SELECT id, $5, $2 FROM made RETURNING customer_id
"""


async def correspondent(tx: Tx, channel: ReplyChannel, value: str, *, language: str, time_zone: str = "Etc/UTC") -> int:
    """The id of whoever writes from the normalised address `value`; made when there is none."""
    connection = await driver(tx)
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('correspondent ' || $1, 0))", value)
    known: int | None = await connection.fetchval(_KNOWN, channel, value)
    if known is not None:
        await connection.execute("UPDATE customers SET language = $2 WHERE id = $1 AND language <> $2", known, language)
        return known
    number = "W-" + "".join(secrets.choice(_ALPHABET) for _ in range(12))
    made: int = await connection.fetchval(_MAKE, number, value, language, time_zone, channel)
    return made


def only(customer_id: int) -> Audience:
    """An audience of one."""
    columns: list[Any] = [literal(customer_id).label("customer_id"), null().cast(DateTime(timezone=True))]
    return select(columns[0], columns[1].label("needed_at"))
