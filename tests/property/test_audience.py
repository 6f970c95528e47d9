"""The audience SELECT against the same rule written plainly, over small random directories."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation.database import Database
from incidents import Component, audience_of, define_components
from incidents.audience import STILL_WAITING
from tests.support.incidents import NOW, declared

KEYS = [f"k{n}" for n in range(6)]
GROUPS = ["north", "south"]

directories = st.fixed_dictionaries(
    {
        "groups": st.lists(st.sampled_from([None, *GROUPS]), min_size=len(KEYS), max_size=len(KEYS)),
        "needs": st.sets(
            st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)).filter(lambda pair: pair[0] != pair[1]), max_size=8
        ),
        "exposures": st.dictionaries(
            st.tuples(st.integers(0, 4), st.sampled_from(KEYS)),
            st.none() | st.integers(-600, 600).map(lambda minutes: NOW + timedelta(minutes=minutes)),
            max_size=12,
        ),
        "named": st.sets(st.sampled_from(KEYS), max_size=2),
        "named_groups": st.sets(st.sampled_from(GROUPS), max_size=1),
    }
)


def expected(directory: Mapping[str, Any]) -> dict[str, datetime | None]:
    affected = set(directory["named"])
    affected |= {
        key for key, group in zip(KEYS, directory["groups"], strict=True) if group in directory["named_groups"]
    }
    while grown := {one for one, needed in directory["needs"] if needed in affected} - affected:
        affected |= grown
    people: dict[str, datetime | None] = {}
    for (customer, key), needed_at in directory["exposures"].items():
        if key in affected:
            counts = needed_at is not None and needed_at >= NOW - STILL_WAITING
            times = [at for at in (people.get(f"C{customer}"), needed_at if counts else None) if at is not None]
            people[f"C{customer}"] = min(times, default=None)
    return people


async def _found(database: Database, directory: Mapping[str, Any]) -> dict[str, datetime | None]:
    async with database.transaction() as tx:
        await tx.execute(text("TRUNCATE components, customers, incidents CASCADE"))
        await define_components(
            tx,
            [
                Component(key, key, group, needs=[needed for one, needed in directory["needs"] if one == key])
                for key, group in zip(KEYS, directory["groups"], strict=True)
            ],
        )
        await define_components(tx, [Component("far", "Far", "far")])
        for (customer, key), needed_at in directory["exposures"].items():
            await tx.execute(_PERSON, {"number": f"C{customer}"})
            await tx.execute(_EXPOSURE, {"number": f"C{customer}", "key": key, "needed_at": needed_at})
        incident = await declared(tx, components=sorted({*directory["named"], "far"}), groups=())
        for group in directory["named_groups"]:
            await tx.execute(_GROUP, {"incident": incident, "group": group})
        rows = (await tx.execute(audience_of(incident, NOW))).all()
        numbers = {row.id: row.number for row in await tx.execute(text("SELECT id, number FROM customers"))}
    assert len(rows) == len({row.customer_id for row in rows})
    return {numbers[row.customer_id]: row.needed_at for row in rows}


_PERSON = text(
    "INSERT INTO customers (number, name, name_key, language, time_zone)"
    " VALUES (:number, 'A', 'a', 'en', 'Etc/UTC') ON CONFLICT DO NOTHING"
)
_EXPOSURE = text(
    "INSERT INTO exposures (customer_id, component_key, needed_at)"
    " SELECT id, :key, :needed_at FROM customers WHERE number = :number"
)
_GROUP = text("INSERT INTO incident_scope VALUES (:incident, 'group', :group)")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(directory=directories)
async def test_the_audience_is_everyone_exposed_to_anything_affected(
    database: Database, directory: Mapping[str, Any]
) -> None:
    assert await _found(database, directory) == expected(directory)
