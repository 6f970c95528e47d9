"""Reaching people: the directory of customers, and the outbox that proves who was told what.

The front door: what other packages may use stands here, everything else is ours to change.
"""

from notify.addresses import BadAddress, fold_name, fold_reference, normalise_mail, normalise_phone
from notify.directory import MOST_CANDIDATES, Candidate, Clue, Evidence, find_customers
from notify.tables import exposures

__all__ = [
    "MOST_CANDIDATES",
    "BadAddress",
    "Candidate",
    "Clue",
    "Evidence",
    "exposures",
    "find_customers",
    "fold_name",
    "fold_reference",
    "normalise_mail",
    "normalise_phone",
]
