"""Why two contacts are one person's, or are not, in words for agent and customer. Read only.

It compares them by the rules of `claims.resemblance` as the resolver does, and decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from foundation.database import Tx

Outcome = Literal["join", "review", "apart"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that both contacts say. `level`: how well it agrees; `weight`: how much that says, in bits, signed."""

    field: str
    level: str
    weight: float
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two contacts resemble each other, or not. `missing`: what either left out that would have told more."""

    outcome: Outcome
    weight: float
    compared: Sequence[Compared]
    missing: Sequence[str]
    decided_by: str | None  # the person whose decision outweighs all this


async def explain(tx: Tx, one_id: int, other_id: int) -> Explanation:
    """Why two contacts are or are not one person's. Raises `NotFound`."""
    raise NotImplementedError
