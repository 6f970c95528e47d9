"""What a person decides about who is whom: joining cases, taking one apart, saying that two are strangers; and undoing.

A decision is a row that the rules of identity obey (`claims.identity`), never a change to the contacts themselves. So
undoing one is taking the row out of force, and everything goes back to where the other evidence puts it. Use cases
take `tx` and never commit.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from foundation.actors import Actor
from foundation.database import Tx

Kind = Literal["merged", "split", "different"]


class Move(NamedTuple):
    """A contact that is in another case than before; ids of live cases."""

    contact_id: int
    was: int
    now: int


@dataclass(frozen=True, slots=True)
class Regrouped:
    """What a decision did. `numbers`: the live cases of everybody it names, the oldest first."""

    decision_id: int
    numbers: Sequence[str]
    moves: Sequence[Move]


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as the desk shows it. `numbers`: the live cases of those on side one, and on side two."""

    id: int
    kind: Kind
    actor: str
    reason: str
    made_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    numbers: tuple[Sequence[str], Sequence[str]]


async def merge(tx: Tx, actor: Actor, number: str, other: str, reason: str) -> Regrouped:
    """Two cases are one person's. Raises `NotFound`, and `Conflict` when they are one or about two incidents."""
    raise NotImplementedError


async def split(tx: Tx, actor: Actor, number: str, contact_ids: Collection[int], reason: str) -> Regrouped:
    """These contacts of a case are another person's than the rest; the customer stays with the rest.

    Raises `NotFound`, and `Invalid` when they are none or all of the case's contacts, or not in it.
    """
    raise NotImplementedError


async def cannot_link(tx: Tx, actor: Actor, number: str, other: str, reason: str) -> Regrouped:
    """Two cases are two persons', whatever else comes in. Raises `NotFound`, and `Conflict` when they are one case."""
    raise NotImplementedError


async def undo(tx: Tx, actor: Actor, decision_id: int, reason: str) -> Regrouped:
    """Take a decision back. Raises `NotFound`, and `Conflict` when it was undone before."""
    raise NotImplementedError


async def decisions_about(tx: Tx, number: str) -> list[Decided]:
    """What people decided about those in this case, undone or not, the oldest first."""
    raise NotImplementedError
