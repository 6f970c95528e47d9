"""What fails with what, and how bad that is: held against plain counting and searching."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from incidents.affected import ways
from incidents.lifecycle import STATUSES, ComponentStatus
from incidents.roll_up import impact_of

KEYS = st.sampled_from("abcdefgh")


@given(st.sets(KEYS, min_size=1), st.sets(st.tuples(KEYS, KEYS)))
def test_everything_that_needs_it_is_found_by_a_shortest_way(named: set[str], needs: set[tuple[str, str]]) -> None:
    found = ways(named, needs)
    near = dict.fromkeys(named, 0)
    for step in range(1, 9):
        near |= {one: step for one, needed in needs if near.get(needed) == step - 1 and one not in near}
    assert {key: len(way) for key, way in found.items()} == near
    for key, way in found.items():
        steps = pairwise((*way, key))
        assert all((after, before) in needs for before, after in steps)
        assert (*way, key)[0] in named


@given(st.lists(st.sampled_from(STATUSES), max_size=6))
def test_an_impact_is_the_worst_of_its_components_tempered_by_how_many(statuses: list[ComponentStatus]) -> None:
    count, impact = Counter(statuses), impact_of(statuses)
    ranks = ("none", "minor", "major", "critical")
    assert (impact == "critical") == (bool(statuses) and count["major_outage"] == len(statuses))
    assert (impact == "none") == (not set(statuses) - {"operational", "under_maintenance"})
    if count["major_outage"]:
        assert ranks.index(impact) >= ranks.index("major")
    assert ranks.index(impact_of([*statuses, "operational"])) <= ranks.index(impact) or not statuses
