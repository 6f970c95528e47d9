"""The one builder of a customer, straight into the directory's tables. What a test does not name is made up."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from foundation.database import Tx, driver
from notify import fold_name

# Component (which must be there), reference, and when it is needed.
Exposure: TypeAlias = tuple[str, str, datetime | None]


async def a_customer(
    tx: Tx,
    number: str,
    *mails: str,
    name: str = "",
    language: str = "en",
    time_zone: str = "Etc/UTC",
    phones: Sequence[str] = (),
    exposures: Sequence[Exposure] = (),
    consent: bool = True,
    suppressed: str | None = None,
) -> int:
    """Put a customer into the directory; their id. Mails and phones are normalised already.

    `consent`, and `suppressed` (why, or None for usable), are those of all their addresses.
    """
    name = name or f"Person {number}"
    connection = await driver(tx)
    customer: int = await connection.fetchval(
        "INSERT INTO customers (number, name, name_key, language, time_zone) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        number,
        name,
        fold_name(name),
        language,
        time_zone,
    )
    addresses = [("mail", mail) for mail in mails] + [("sms", phone) for phone in phones]
    health = "suppressed" if suppressed else "usable"
    await connection.executemany(
        "INSERT INTO addresses (customer_id, channel, value, consent, health, suppressed_because) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        [(customer, channel, value, consent, health, suppressed) for channel, value in addresses],
    )
    await connection.executemany(
        "INSERT INTO exposures (customer_id, component_key, reference, needed_at) VALUES ($1, $2, $3, $4)",
        [(customer, *exposure) for exposure in exposures],
    )
    return customer
