"""Whom a delivery was for and what it was about: for those who hold an answer to it. Reads only."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from foundation.database import Tx, driver


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a delivery was for. `topic`: what it was about, such as `incident:ab12…`.

    `customer_id` is None where it was for a subscriber: whoever owns that address has proved nothing about a customer.
    """

    customer_id: int | None
    customer_number: str
    topic: str


async def addressees_of(tx: Tx, delivery_ids: Collection[int]) -> Mapping[int, Addressee]:
    """Delivery id → whom it was for, of those that exist."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT d.id, CASE c.kind WHEN 'customer' THEN d.customer_id END, c.number, p.topic
          FROM deliveries d
          JOIN customers c ON c.id = d.customer_id
          JOIN dispatches p ON p.id = d.dispatch_id
         WHERE d.id = ANY ($1::bigint[])
        """,
        list(delivery_ids),
    )
    return {row[0]: Addressee(*tuple(row)[1:]) for row in rows}


async def addresses_told(tx: Tx, delivery_ids: Collection[int]) -> Mapping[int, frozenset[str]]:
    """Delivery id → the addresses of whoever it was for: an answer from one of these comes from where we wrote to."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT d.id, array_agg(a.value) FROM deliveries d JOIN addresses a ON a.customer_id = d.customer_id
         WHERE d.id = ANY ($1::bigint[]) GROUP BY d.id
        """,
        list(delivery_ids),
    )
    return {row[0]: frozenset(row[1]) for row in rows}
