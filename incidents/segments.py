"""Parts of an audience that an organisation speaks of by name: families, who leaves today, who reads Dutch.

A segment says whom it holds by language, by what they rely on and by when they need it; what is empty does not narrow.
The SELECT over it stands in `audience`.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Fault, Invalid
from incidents.components import unknown_scope
from incidents.tables import segments
from incidents.wording import LONGEST_LABEL, language_faults, line_faults, tidy

LONGEST_AHEAD = 366 * 24 * 60  # minutes
_KEY = re.compile("[a-z0-9][a-z0-9-]{0,59}")
_LANGUAGE = re.compile("[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Segment:
    """`names`: per language, as the public reads it ("You leave today").

    `from_minutes` and `until_minutes`: from now, when they need what they rely on; who named no time always needs it.
    """

    key: str
    names: Mapping[str, str]
    languages: Sequence[str] = ()
    components: Sequence[str] = ()
    groups: Sequence[str] = ()
    from_minutes: int | None = None
    until_minutes: int | None = None

    def scope(self) -> list[Any]:
        """What decides who is in it."""
        return [
            self.key,
            sorted(self.languages),
            sorted(self.components),
            sorted(self.groups),
            self.from_minutes,
            self.until_minutes,
        ]


async def all_segments(tx: Tx) -> list[Segment]:
    """Every segment, by key."""
    return [_read(row) for row in await tx.execute(select(*_COLUMNS).order_by(segments.c.key))]


async def find_segments(tx: Tx, keys: Collection[str]) -> list[Segment]:
    """Those of `keys` that exist, by key."""
    if not keys:
        return []
    wanted = any_(bindparam("keys", sorted(keys), ARRAY(Text)))
    rows = await tx.execute(select(*_COLUMNS).where(segments.c.key == wanted).order_by(segments.c.key))
    return [_read(row) for row in rows]


async def unknown_segments(tx: Tx, keys: Collection[str]) -> list[str]:
    """Those of `keys` that do not exist, sorted."""
    return sorted(set(keys) - {one.key for one in await find_segments(tx, keys)})


async def define_segment(tx: Tx, actor: Actor, segment: Segment, *, now: datetime) -> Segment:
    """Create a segment, or say anew whom it holds. Raises Invalid with every fault."""
    names = {language: tidy(name) for language, name in segment.names.items()}
    faults = list(_faults(segment, names))
    unknown = await unknown_scope(tx, segment.components, segment.groups)
    faults += [Fault(field, f"We do not know “{key}”.") for field, missing in unknown.items() for key in missing[:20]]
    if faults:
        raise Invalid("This segment cannot be kept like this.", faults)
    values = asdict(segment) | {"names": names, "changed_by": str(actor), "changed_at": now}
    await tx.execute(
        insert(segments)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["key"], set_={name: value for name, value in values.items() if name != "key"}
        )
    )
    (stored,) = await find_segments(tx, [segment.key])
    return stored


def _faults(segment: Segment, names: Mapping[str, str]) -> Iterator[Fault]:
    if not _KEY.fullmatch(segment.key):
        yield Fault("key", "A key is made of small letters, digits and hyphens, 60 at most.")
    yield from language_faults("names", names)
    for language, name in names.items():
        yield from line_faults(f"names.{language[:20]}", name, LONGEST_LABEL)
    for language in segment.languages:
        if not _LANGUAGE.fullmatch(language):
            yield Fault("languages", f"“{language[:20]}” is no language: write nl, not nl-BE or Dutch.")
    ahead = (("from_minutes", segment.from_minutes), ("until_minutes", segment.until_minutes))
    for field, minutes in ahead:
        if minutes is not None and abs(minutes) > LONGEST_AHEAD:
            yield Fault(field, "Keep this within a year.")
    starts, ends = segment.from_minutes, segment.until_minutes
    if starts is not None and ends is not None and ends <= starts:
        yield Fault("until_minutes", "This must be later than from_minutes.")


_COLUMNS = tuple(segments.c[name] for name in Segment.__slots__)


def _read(row: Any) -> Segment:
    values = row._mapping
    lists = {name: tuple(values[name]) for name in ("languages", "components", "groups")}
    return Segment(**{**values, **lists})
