"""Finding a case from whatever a caller has at hand: its number, a receipt, or something that was said or is on file.

Read only. It knows which readings a text allows, and asks for all of them at once.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from claims.cases import plain
from claims.evidence import REGIONS
from claims.receipts import read_receipt
from claims.tracking import read_case_number
from foundation.database import Tx, driver
from notify import BadAddress, Clue, ClueKind, find_customers, fold_reference, normalise_mail, phone_readings

MOST = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A case that fits. `name`: the customer's, empty when the directory knows none."""

    number: str
    incident_id: str
    state: str
    agent: str | None
    customer_number: str
    name: str
    opened_at: datetime
    contacts: int


async def search(tx: Tx, text: str) -> list[Found]:
    """The live cases that fit `text`, the newest first; by name: whose customer's name has all of its words."""
    typed = plain(text).strip()[:200]
    if not typed:
        return []
    connection = await driver(tx)
    readings = _readings(typed)
    clues = [Clue(0, kind, value) for kind, value in readings]
    customers = {one.customer_id for one in await find_customers(tx, clues, limit=MOST)}
    rows = await connection.fetch(
        _SEARCH,
        read_case_number(typed),
        read_receipt(typed) or "",
        sorted(customers),
        sorted({value for _, value in readings}),
        [f"%{_like(word)}%" for word in typed.split()[:6]],
        MOST,
    )
    return [Found(*row) for row in rows]


_SEARCH = """
WITH found AS (
    SELECT coalesce(merged_into, id) AS id FROM cases WHERE number = $1
     UNION SELECT case_id FROM contacts WHERE receipt = $2
     UNION SELECT id FROM cases WHERE customer_id = ANY ($3::bigint[]) AND merged_into IS NULL
     UNION SELECT k.case_id FROM contact_keys x JOIN contacts k ON k.id = x.contact_id
            WHERE x.value = ANY ($4::text[])
     UNION (SELECT s.id FROM customers c JOIN cases s ON s.customer_id = c.id AND s.merged_into IS NULL
             WHERE c.name ILIKE ALL ($5::text[]) LIMIT $6)
)
SELECT c.number, c.incident_id, c.state, c.agent, coalesce(u.number, ''), coalesce(u.name, ''), c.opened_at,
       (SELECT count(*) FROM contacts k WHERE k.case_id = c.id)
  FROM found f JOIN cases c ON c.id = f.id LEFT JOIN customers u ON u.id = c.customer_id
 ORDER BY c.opened_at DESC, c.id DESC LIMIT $6
"""


def _readings(typed: str) -> Sequence[tuple[ClueKind, str]]:
    code = fold_reference(typed)
    found: list[tuple[ClueKind, str]] = [("customer_number", code), ("reference", code)] if code else []
    found += [("phone", number) for number in phone_readings(typed[:60], REGIONS)]
    with suppress(BadAddress):
        found.append(("mail", normalise_mail(typed)))
    return found


def _like(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
