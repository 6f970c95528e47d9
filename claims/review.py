"""The grey pairs: contacts that resemble each other too much to be strangers for sure, and too little to be joined.

A person looks at them side by side. What they say becomes a decision (`claims.regrouping`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from claims.explaining import Explanation
from claims.regrouping import Regrouped
from foundation.actors import Actor
from foundation.database import Tx


@dataclass(frozen=True, slots=True)
class GreyPair:
    """Two contacts in two live cases, and how they compare."""

    one_id: int
    other_id: int
    one_number: str
    other_number: str
    incident_id: str
    weight: float
    explanation: Explanation


async def grey_pairs(
    tx: Tx, *, incident_id: str | None = None, after: tuple[int, int] = (0, 0), limit: int = 50
) -> Sequence[GreyPair]:
    """Pairs that wait for a person, in order of their ids: one of each two cases, none that somebody has decided."""
    raise NotImplementedError


async def count_grey_pairs(tx: Tx, *, incident_id: str | None = None) -> int:
    """How many wait."""
    raise NotImplementedError


async def answer(tx: Tx, actor: Actor, one_id: int, other_id: int, *, same: bool, reason: str) -> Regrouped:
    """What a person says of a pair: merge, or cannot-link. Raises `NotFound` and `Conflict` as these do."""
    raise NotImplementedError
