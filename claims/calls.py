"""Phone calls at the desk: who may be calling, and the contact that the agent's note becomes.

The agent looks first, then notes; who it was is decided by the same resolver as for everybody, on what the agent noted.
Reads the directory through notify; stores nothing itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from claims.evidence import clues_in, questions
from claims.intake import Arrival
from claims.receipts import read_receipt
from claims.submissions import ASKS_FOR, LONGEST, Submission, is_form_name, language_tag
from claims.tracking import read_case_number
from foundation.database import Tx, driver
from foundation.errors import Fault
from notify import Card, customer_cards, customers_named, find_customers, fold_name

_MOST_FOUND = 20
NOTED = ("name", "customer_number", "reference", "email", "phone", "message", "asks_for", "incident", "language")


class Call(Submission, frozen=True, kw_only=True):
    """What a caller said. `agent`: who noted it; `called_at`: when, where another list says so."""

    agent: str = ""
    called_at: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may be calling: what the directory knows of them, and the numbers of their live cases."""

    card: Card
    cases: tuple[str, ...]


async def find_callers(tx: Tx, typed: str) -> Sequence[Caller]:
    """Customers who fit what was typed: any number, reference, address or name; a receipt or a case's number."""
    said = Submission(customer_number=typed, reference=typed, email=typed, phone=typed)
    asked = list(questions(0, clues_in(said)))
    found = dict.fromkeys(one.customer_id for one in await find_customers(tx, asked, limit=_MOST_FOUND))
    if name := fold_name(typed):
        found |= dict.fromkeys(await customers_named(tx, name, limit=_MOST_FOUND))
    found |= dict.fromkeys(await _of_case(tx, typed))
    cards = await customer_cards(tx, list(found)[:_MOST_FOUND])
    cases = await _live_cases(tx, cards)
    return [Caller(cards[one], tuple(cases.get(one, ()))) for one in found if one in cards]


async def _of_case(tx: Tx, typed: str) -> list[int]:
    rows = await (await driver(tx)).fetch(
        """
        SELECT c.customer_id FROM cases c WHERE c.number = $1 AND c.customer_id IS NOT NULL
         UNION
        SELECT c.customer_id FROM contacts k JOIN cases c ON c.id = k.case_id
         WHERE k.receipt = $2 AND c.customer_id IS NOT NULL
        """,
        read_case_number(typed) or "",
        read_receipt(typed) or "",
    )
    return [row[0] for row in rows]


async def _live_cases(tx: Tx, cards: Mapping[int, Card]) -> dict[int, list[str]]:
    rows = await (await driver(tx)).fetch(
        """
        SELECT customer_id, number FROM cases WHERE customer_id = ANY ($1::bigint[]) AND merged_into IS NULL
         ORDER BY opened_at DESC
        """,
        list(cards),
    )
    found: dict[int, list[str]] = {}
    for customer, number in rows:
        found.setdefault(customer, []).append(number)
    return found


def call_faults(said: Mapping[str, str]) -> list[Fault]:
    """What keeps a note from being taken. Message ids."""
    faults = [
        Fault(field, "This is longer than we can take. Please shorten it; you can write to us again.")
        for field, longest in LONGEST.items()
        if len(said.get(field, "")) > longest
    ]
    if not said.get("message", "").strip():
        faults.append(Fault("message", "Note what the caller said, in a sentence at least."))
    return faults


def as_call(said: Mapping[str, str], agent: str, *, key: str | None, called_at: str = "") -> Arrival:
    """The contact that a noted call becomes. The same key and words are the same contact."""
    wish = said.get("asks_for", "")
    known = {name: said.get(name, "") for name in NOTED if name != "asks_for"}
    call = Call(
        **known, asks_for=next((one for one in ASKS_FOR if one == wish), None), agent=agent, called_at=called_at
    )
    return Arrival("phone", language_tag(said.get("language")), msgspec.json.encode(call), key)


def form_key(name: str) -> str | None:
    """The key of a call noted in the form of this name: pressed twice it is one."""
    return f"call:{name}" if is_form_name(name) else None
