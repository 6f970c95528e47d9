"""How components are laid out for reading: the troubled groups first, the rest folded away. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from incidents.lifecycle import STATUSES, ComponentStatus
from incidents.snapshot import ShownComponent

# So many names can stand open on a page before a person has to scroll past what does not concern them.
NAMES_IN_THE_OPEN = 120
# A page of no more components than this needs no folding at all.
FEW = 20


@dataclass(frozen=True, slots=True)
class Group:
    """One group on the page. `by_status`: (status, names) from worst to best; `unfolded`: its troubles stand open."""

    name: str | None
    by_status: Sequence[tuple[ComponentStatus, Sequence[str]]]
    total: int
    unfolded: bool

    @property
    def troubled(self) -> Sequence[tuple[ComponentStatus, Sequence[str]]]:
        """The parts that do not work as they should."""
        return [part for part in self.by_status if part[0] != "operational"]

    @property
    def working(self) -> Sequence[str]:
        """The names of what works."""
        return next((names for status, names in self.by_status if status == "operational"), ())


def lay_out(components: Sequence[ShownComponent], *, most_open: float = NAMES_IN_THE_OPEN) -> list[Group]:
    """The groups to show: those with trouble first, each part of the list in the order of `components`.

    Troubled groups stand open as long as no more than `most_open` names do, and the first one always; on a page of
    few components every group does.
    """
    groups = [_group(name, list(members)) for name, members in groupby(components, key=lambda one: one.group)]
    groups.sort(key=lambda group: not group.troubled)
    shown = 0
    laid_out = []
    for group in groups:
        count = sum(len(names) for _, names in group.troubled)
        unfolded = len(components) <= FEW or (count > 0 and (shown == 0 or shown + count <= most_open))
        shown += count
        laid_out.append(Group(group.name, group.by_status, group.total, unfolded))
    return laid_out


def _group(name: str | None, members: Sequence[ShownComponent]) -> Group:
    parts = [(status, [one.name for one in members if one.status == status]) for status in reversed(STATUSES)]
    return Group(name, [part for part in parts if part[1]], len(members), unfolded=False)
