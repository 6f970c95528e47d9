"""The headline over all components, against the table of the reference read row by row."""

from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.lifecycle import STATUSES, ComponentStatus
from incidents.roll_up import roll_up

# (Of how many components it must be true, of which status, indicator, description); the first row that fits counts.
TABLE = [
    ("all", "major_outage", "critical", "Major System Outage"),
    ("some", "major_outage", "major", "Partial System Outage"),
    ("all", "partial_outage", "major", "Partial System Outage"),
    ("some", "partial_outage", "minor", "Minor Service Outage"),
    ("all", "degraded_performance", "minor", "Degraded System Service"),
    ("some", "degraded_performance", "minor", "Partially Degraded Service"),
    ("some", "under_maintenance", "maintenance", "Service Under Maintenance"),
]


def _oracle(statuses: list[ComponentStatus]) -> tuple[str, str]:
    for how_many, status, indicator, description in TABLE:
        those = [one for one in statuses if one == status]
        if those and (how_many == "some" or those == statuses):
            return indicator, description
    return "none", "All Systems Operational"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(STATUSES), max_size=6))
def test_the_first_row_that_fits_counts(statuses: list[ComponentStatus]) -> None:
    headline = roll_up(statuses)
    assert (headline.indicator, headline.description) == _oracle(statuses)
    assert roll_up(reversed(statuses)) == headline  # the order of components means nothing
