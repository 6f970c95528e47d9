"""Whom an incident concerns, as a SELECT over the directory's exposures; never a list in memory.

It says who and how soon; how they are reached, and whether they may be, is notify's.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, column, exists, func, select, text, union_all

from notify import exposures, followers_of

# Whoever was due to leave in the last hours is most likely still waiting there, and has the most to gain from news.
STILL_WAITING = timedelta(hours=6)

# `named`: the components of an incident and the members of its groups as they are now. `affected`: those, and all that
# depends on any of them, however far away; UNION drops what was found before, so mutual needs end the search.
AFFECTED = """
WITH RECURSIVE named (key) AS (
    SELECT c.key FROM incident_scope s JOIN components c ON c.key = s.key
     WHERE s.kind = 'component' AND s.incident_id = :incident_id
     UNION
    SELECT c.key FROM incident_scope s JOIN components c ON c.group_name = s.key
     WHERE s.kind = 'group' AND s.incident_id = :incident_id
), affected (key) AS (
    SELECT key FROM named
     UNION
    SELECT d.component_key FROM component_dependencies d JOIN affected a ON d.needs_key = a.key
)
"""
_AFFECTED_KEYS = AFFECTED + "SELECT key FROM affected"  # noqa: S608 (both halves are ours)


def audience_of(incident_id: str, now: datetime) -> Select[Any]:
    """Everyone concerned: (customer_id, needed_at), one row per customer.

    `needed_at` orders the sending: the first need still ahead, or just past (`STILL_WAITING`). A need long past, and
    one without a time, says nothing about haste: None, which comes after every time.
    """
    return _concerned(_affected(incident_id), now)


def people_to_tell(incident_id: str, now: datetime) -> Select[Any]:
    """Everyone concerned, and after them whoever follows the page or this incident: columns as of `audience_of`.

    Who can be told at the address of somebody concerned is left out of the followers: it is the same person.
    """
    affected = _affected(incident_id)

    def is_concerned(customer_id: ColumnElement[int]) -> ColumnElement[bool]:
        keys = select(affected.c.key)
        return exists().where(exposures.c.customer_id == customer_id, exposures.c.component_key.in_(keys))

    followers = followers_of(incident_id, besides=is_concerned)
    everyone = union_all(_concerned(affected, now), followers).subquery("everyone")
    return select(everyone.c.customer_id, everyone.c.needed_at)


def _affected(incident_id: str) -> CTE:
    keys = text(_AFFECTED_KEYS).bindparams(incident_id=incident_id).columns(column("key"))
    return keys.cte("affected_components")


def _concerned(affected: CTE, now: datetime) -> Select[Any]:
    counts = exposures.c.needed_at >= now - STILL_WAITING
    return (
        select(exposures.c.customer_id, func.min(exposures.c.needed_at).filter(counts).label("needed_at"))
        .where(exposures.c.component_key.in_(select(affected.c.key)))
        .group_by(exposures.c.customer_id)
    )
