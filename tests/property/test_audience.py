"""The audience SELECT against the same rule written plainly, over small random directories."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation.database import Database, Tx
from incidents import Component, audience_of, define_components
from incidents.audience import STILL_WAITING, Scope
from incidents.segments import Segment, define_segment
from tests.support.incidents import NOW, WRITER, declared

KEYS = [f"k{n}" for n in range(6)]
GROUPS = ["north", "south"]


def _in_order(window: tuple[int | None, int | None]) -> bool:
    start, end = window
    return start is None or end is None or start < end


minutes = st.none() | st.integers(-300, 300)
windows = st.tuples(minutes, minutes).filter(_in_order)
segments = st.fixed_dictionaries(
    {
        "languages": st.sets(st.sampled_from(["en", "nl"]), max_size=1),
        "components": st.sets(st.sampled_from(KEYS), max_size=2),
        "groups": st.sets(st.sampled_from(GROUPS), max_size=1),
        "minutes": windows,
    }
)
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
        "languages": st.lists(st.sampled_from(["en", "nl", "nl-BE"]), min_size=5, max_size=5),
        "window": windows,
        "segments": st.lists(segments, max_size=2),
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
        if key in affected and wanted(directory, customer, key, needed_at):
            counts = needed_at is not None and needed_at >= NOW - STILL_WAITING
            times = [at for at in (people.get(f"C{customer}"), needed_at if counts else None) if at is not None]
            people[f"C{customer}"] = min(times, default=None)
    return people


def wanted(directory: Mapping[str, Any], customer: int, key: str, needed_at: datetime | None) -> bool:
    """Whether what the incident is narrowed to leaves this need in it."""

    def within(window: tuple[int | None, int | None]) -> bool:
        start, end = (None if one is None else NOW + timedelta(minutes=one) for one in window)
        return needed_at is None or ((start is None or needed_at >= start) and (end is None or needed_at < end))

    def member(segment: Mapping[str, Any]) -> bool:
        language = directory["languages"][customer].partition("-")[0]
        anything = not segment["components"] and not segment["groups"] & {*directory["groups"]}
        named = key in segment["components"] or directory["groups"][KEYS.index(key)] in segment["groups"]
        speaks = not segment["languages"] or language in segment["languages"]
        return speaks and (anything or named) and within(segment["minutes"])

    return within(directory["window"]) and (not directory["segments"] or any(map(member, directory["segments"])))


async def _narrow(tx: Tx, incident: str, directory: Mapping[str, Any]) -> Scope:
    """Give the incident its window and segments; the whole of its scope."""
    groups = {group for group in directory["groups"] if group is not None}
    keys = []
    for number, one in enumerate(directory["segments"]):
        start, end = one["minutes"]
        segment = Segment(
            key=f"s{number}",
            names={"en": "A", "nl": "A"},
            languages=[*one["languages"]],
            components=[*one["components"]],
            groups=sorted(one["groups"] & groups),
            from_minutes=start,
            until_minutes=end,
        )
        keys.append((await define_segment(tx, WRITER, segment, now=NOW)).key)
        await tx.execute(_SEGMENT, {"incident": incident, "segment": f"s{number}"})
    start, end = (None if one is None else NOW + timedelta(minutes=one) for one in directory["window"])
    await tx.execute(_WINDOW, {"incident": incident, "start": start, "end": end})
    return Scope([*directory["named"], "far"], sorted(directory["named_groups"] & groups), keys, start, end)


async def _found(database: Database, directory: Mapping[str, Any]) -> dict[str, datetime | None]:
    async with database.transaction() as tx:
        await tx.execute(text("TRUNCATE components, customers, incidents, segments CASCADE"))
        await define_components(
            tx,
            [
                Component(key, key, group, needs=[needed for one, needed in directory["needs"] if one == key])
                for key, group in zip(KEYS, directory["groups"], strict=True)
            ],
        )
        await define_components(tx, [Component("far", "Far", "far")])
        for (customer, key), needed_at in directory["exposures"].items():
            await tx.execute(_PERSON, {"number": f"C{customer}", "language": directory["languages"][customer]})
            await tx.execute(_EXPOSURE, {"number": f"C{customer}", "key": key, "needed_at": needed_at})
        incident = await declared(tx, components=sorted({*directory["named"], "far"}), groups=())
        for group in directory["named_groups"]:
            await tx.execute(_GROUP, {"incident": incident, "group": group})
        scope = await _narrow(tx, incident, directory)
        rows = (await tx.execute(audience_of(incident, NOW))).all()
        # Before there is an incident the same question has the same answer.
        assert {tuple(row) for row in await tx.execute(audience_of(scope, NOW))} == {tuple(row) for row in rows}
        numbers = {row.id: row.number for row in await tx.execute(text("SELECT id, number FROM customers"))}
    assert len(rows) == len({row.customer_id for row in rows})
    return {numbers[row.customer_id]: row.needed_at for row in rows}


_PERSON = text(
    "INSERT INTO customers (number, name, name_key, language, time_zone)"
    " VALUES (:number, 'A', 'a', :language, 'Etc/UTC') ON CONFLICT DO NOTHING"
)
_EXPOSURE = text(
    "INSERT INTO exposures (customer_id, component_key, needed_at)"
    " SELECT id, :key, :needed_at FROM customers WHERE number = :number"
)
_SEGMENT = text("INSERT INTO incident_scope VALUES (:incident, 'segment', :segment)")
_WINDOW = text("UPDATE incidents SET needed_from = :start, needed_until = :end WHERE id = :incident")
_GROUP = text("INSERT INTO incident_scope VALUES (:incident, 'group', :group)")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(directory=directories)
async def test_the_audience_is_everyone_exposed_to_anything_affected(
    database: Database, directory: Mapping[str, Any]
) -> None:
    assert await _found(database, directory) == expected(directory)
