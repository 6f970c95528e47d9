"""Contacts that become cases: intake, identity, the one case of each customer in each incident, and following it.

The front door: what other packages may use stands here, everything else is ours to change.
"""

from claims.intake import Arrival, Intake, KeyReused
from claims.ports import Outage, OutageLookup
from claims.resolver import Resolver

__all__ = ["Arrival", "Intake", "KeyReused", "Outage", "OutageLookup", "Resolver"]
