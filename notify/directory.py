"""The directory of customers: who is behind a number, a reference, a mail address or a phone number.

It reads the tables the import fills; it knows nothing of contacts and cases.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from foundation.database import Tx, driver

ClueKind = Literal["customer_number", "reference", "mail", "phone"]


class Clue(NamedTuple):
    """One thing somebody says about who they are. `place` is the asker's own number for it, and comes back.

    `value` is normalised: by `normalise_mail`, `normalise_phone`, or `fold_reference` for numbers and references.
    """

    place: int
    kind: ClueKind
    value: str


class Candidate(NamedTuple):
    """A customer who fits a clue. `name_key` is their name by `fold_name`."""

    place: int
    kind: ClueKind
    customer_id: int
    name_key: str
    value: str


# LATERAL with a LIMIT keeps one value that very many share (a travel agent's mail) from filling the answer.
_FIND = """
WITH clues AS (
    SELECT * FROM unnest($1::integer[], $2::text[], $3::text[]) AS clue (place, kind, value)
)
SELECT clues.place, clues.kind, found.id, found.name_key, clues.value
  FROM clues
 CROSS JOIN LATERAL (
    SELECT id, name_key FROM customers WHERE number_key = clues.value AND kind = 'customer' ORDER BY id LIMIT $4
 ) found
 WHERE clues.kind = 'customer_number'
 UNION ALL
SELECT clues.place, clues.kind, found.id, found.name_key, clues.value
  FROM clues
 CROSS JOIN LATERAL (
    SELECT DISTINCT customers.id, customers.name_key
      FROM exposures JOIN customers ON customers.id = exposures.customer_id
     WHERE exposures.reference_key = clues.value AND exposures.reference_key <> ''
     ORDER BY customers.id LIMIT $4
 ) found
 WHERE clues.kind = 'reference'
 UNION ALL
SELECT clues.place, clues.kind, found.id, found.name_key, clues.value
  FROM clues
 CROSS JOIN LATERAL (
    SELECT customers.id, customers.name_key
      FROM addresses JOIN customers ON customers.id = addresses.customer_id
     WHERE addresses.channel = CASE clues.kind WHEN 'mail' THEN 'mail' ELSE 'sms' END
       AND addresses.value = clues.value
       AND addresses.suppressed_because IS DISTINCT FROM 'replaced'
       AND customers.kind = 'customer'
     ORDER BY customers.id LIMIT $4
 ) found
 WHERE clues.kind IN ('mail', 'phone')
"""


async def find_customers(tx: Tx, clues: Sequence[Clue], *, limit: int) -> list[Candidate]:
    """Every customer who fits any of `clues`, in one query; a clue that fits nobody has no row.

    At most `limit` customers a clue: more than that share the value, which then says nothing about who wrote. An
    address that the directory has replaced no longer points to its former owner, and a subscriber is not a customer:
    anybody can type anybody's address into a form.
    """
    if not clues:
        return []
    connection = await driver(tx)
    rows = await connection.fetch(
        _FIND, [clue.place for clue in clues], [clue.kind for clue in clues], [clue.value for clue in clues], limit
    )
    return [Candidate(*row) for row in rows]


async def customers_named(tx: Tx, name_key: str, *, limit: int) -> list[int]:
    """Customers whose name (by `fold_name`) holds this; whole names first. For people who search, not for matching."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT id FROM customers WHERE kind = 'customer' AND position($1 IN name_key) > 0
         ORDER BY name_key <> $1, length(name_key), id LIMIT $2
        """,
        name_key,
        limit,
    )
    return [row[0] for row in rows]
