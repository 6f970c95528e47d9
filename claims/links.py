"""The links by which people follow their case: what each names, how it is signed, and when it stops working.

Three kinds. A *contact's* link is handed to whoever wrote: they may have typed anybody's number, so it shows their own
words only. A *mailed* link went to the address that contact gave, with our answer. A *person's* link went to an address
the directory knows for that customer, which proves who reads it. A person's link names customer and incident, a
contact's the contact: none names a case, so that joining and parting cannot lead it to somebody else's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from claims.receipts import LENGTH
from foundation.clock import system_clock
from foundation.database import Tx, driver
from foundation.tokens import BadToken, Tokens

LinkKind = Literal["contact", "mailed", "person"]
# How long a link works once its case is closed; while it is open no link ends by itself.
LASTS = timedelta(days=180)
_PURPOSE = "track"
_MARKS: dict[LinkKind, bytes] = {"contact": b"k", "mailed": b"m", "person": b"p"}
_TAIL = 3  # day and turn
_INCIDENT_LENGTH = 12
_DAY_ZERO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Link:
    """What a link names. `receipt`: of the contact; for a person's link `incident_id` and `customer_id` instead.

    `turn`: whoever gives a link up turns to the next, and those of earlier turns lead nowhere.
    """

    kind: LinkKind
    receipt: str = ""
    incident_id: str = ""
    customer_id: int = 0
    issued_at: datetime = _DAY_ZERO
    turn: int = 0

    @property
    def name(self) -> str:
        """What its turns are counted under."""
        return self.receipt or f"{self.incident_id}:{self.customer_id}"


def track_token(tokens: Tokens, receipt: str, *, turn: int = 0, kind: LinkKind = "contact") -> str:
    """The signed name of a contact, for its link. It cannot be made from the receipt without our key."""
    return _sign(tokens, _MARKS[kind] + receipt.encode("ascii"), turn)


def person_token(tokens: Tokens, incident_id: str, customer_id: int, *, turn: int = 0) -> str:
    """The signed name of a customer in an incident. Only for a message to an address that the directory has of them."""
    return _sign(tokens, _MARKS["person"] + incident_id.encode("ascii") + customer_id.to_bytes(8, "big"), turn)


def read_link(tokens: Tokens, token: str) -> Link | None:
    """What a token names, or None when we did not make it. Whether it still works is `is_live`'s to say."""
    try:
        payload = tokens.read(_PURPOSE, token)
    except BadToken:
        return None
    mark, named, tail = payload[:1], payload[1:-_TAIL], payload[-_TAIL:]
    issued = _DAY_ZERO + timedelta(days=int.from_bytes(tail[:2], "big"))
    for kind in ("contact", "mailed"):
        if mark == _MARKS[kind] and len(named) == LENGTH:
            return Link(kind, receipt=named.decode("ascii"), issued_at=issued, turn=tail[2])
    if mark == _MARKS["person"] and len(named) == _INCIDENT_LENGTH + 8:
        incident, customer = named[:_INCIDENT_LENGTH].decode("ascii"), int.from_bytes(named[_INCIDENT_LENGTH:], "big")
        return Link("person", incident_id=incident, customer_id=customer, issued_at=issued, turn=tail[2])
    return None


def has_lapsed(link: Link, *, closed: bool, now: datetime) -> bool:
    """Whether a link is too old for a case in this state."""
    return closed and now > link.issued_at + LASTS


async def current_turn(tx: Tx, name: str) -> int:
    """The turn that links of this name are in."""
    found: int | None = await (await driver(tx)).fetchval("SELECT turn FROM link_turns WHERE name = $1", name)
    return found or 0


async def current_turns(tx: Tx, names: Collection[str]) -> Mapping[str, int]:
    """Name → the turn that its links are in, of all `names`."""
    rows = await (await driver(tx)).fetch(
        "SELECT name, turn FROM link_turns WHERE name = ANY ($1::text[])", list(names)
    )
    return dict.fromkeys(names, 0) | {row[0]: row[1] for row in rows}


async def give_up(tx: Tx, link: Link) -> int:
    """End every link of this name; the turn of the new ones. After 255 turns the last stays."""
    turn: int = await (await driver(tx)).fetchval(
        """
        INSERT INTO link_turns (name, turn) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET turn = least(link_turns.turn + 1, 255), turned_at = now()
        RETURNING turn
        """,
        link.name,
        min(link.turn + 1, 255),
    )
    return turn


def _sign(tokens: Tokens, named: bytes, turn: int) -> str:
    day = (system_clock() - _DAY_ZERO).days
    return tokens.sign(_PURPOSE, named + day.to_bytes(2, "big") + turn.to_bytes(1, "big"))
