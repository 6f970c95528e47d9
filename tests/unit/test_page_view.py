"""How components are laid out for reading."""

from incidents.lifecycle import ComponentStatus
from incidents.page_view import FEW, lay_out
from incidents.snapshot import ShownComponent
from tests.support.incidents import NOW


def shown(group: str, status: ComponentStatus, count: int) -> list[ShownComponent]:
    return [
        ShownComponent(f"{group}{status}{n}", "a" * 12, f"{group} {n}", group, status, n, NOW, NOW)
        for n in range(count)
    ]


def test_troubled_groups_come_first_and_the_rest_is_folded() -> None:
    groups = lay_out([*shown("A", "operational", 30), *shown("B", "operational", 5), *shown("B", "major_outage", 2)])
    assert [(group.name, group.unfolded, group.total) for group in groups] == [("B", True, 7), ("A", False, 30)]
    assert [(status, len(names)) for status, names in groups[0].troubled] == [("major_outage", 2)]
    assert len(groups[0].working) == 5


def test_states_stand_from_worst_to_best() -> None:
    mixed = [*shown("A", "operational", 1), *shown("A", "degraded_performance", 1), *shown("A", "major_outage", 1)]
    [group] = lay_out(mixed)
    assert [status for status, _ in group.by_status] == ["major_outage", "degraded_performance", "operational"]


def test_so_many_names_stand_open_that_a_person_can_still_scroll_past() -> None:
    groups = lay_out(
        [*shown("A", "major_outage", 100), *shown("B", "major_outage", 100), *shown("C", "major_outage", 9)]
    )
    assert [group.unfolded for group in groups] == [True, False, False]
    assert all(group.unfolded for group in lay_out(shown("A", "major_outage", 500), most_open=1e9))


def test_the_first_troubled_group_is_open_however_large() -> None:
    assert lay_out(shown("A", "major_outage", 500))[0].unfolded


def test_few_components_are_not_folded() -> None:
    assert lay_out(shown("A", "operational", FEW))[0].unfolded
    assert not lay_out(shown("A", "operational", FEW + 1))[0].unfolded
