"""A file that describes components: what one row may say, and which rows fit together.

Pure. It knows nothing of encodings, the terminal and the database; whoever reads the file hands in texts.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, cast, get_args

PartyKind = Literal["ours", "contractor", "supplier"]

COLUMNS = ("key", "name", "group", "party", "party_kind", "position", "needs")
REQUIRED = ("key", "name")
# Keys are made by others and hold spaces, slashes and dashes (DL 1117, DL1117/2013-02-08/LGA); none holds this.
BETWEEN_NEEDS = "|"

_LONGEST = {"key": 200, "name": 200, "group": 200, "party": 200}
_POSITION_DIGITS = 9  # what the database's integer always holds


class BadComponent(ValueError):
    """The row cannot be loaded. The message says which column and what to do."""


class ComponentRow(NamedTuple):
    """A row as it is stored. `kind` is None where the file says nothing: a party then stays what it is."""

    key: str
    name: str
    group: str | None
    party: str | None
    kind: PartyKind | None
    position: int
    needs: tuple[str, ...]


class Sorted(NamedTuple):
    """Rows by line: those that can be stored together, and for the others the reason."""

    good: dict[int, ComponentRow]
    refused: dict[int, str]


def read_component(texts: Sequence[str]) -> ComponentRow:
    """The values of `texts`, in the order of `COLUMNS`; a column the file lacks is empty. Raises `BadComponent`."""
    key, name, group, party, kind, position, needs = map(str.strip, texts)
    name, group, party = (" ".join(text.split()) for text in (name, group, party))
    if not (key and name):
        raise BadComponent(f"{'name' if key else 'key'} is empty")
    for column, text in (("key", key), ("name", name), ("group", group), ("party", party)):
        if len(text) > _LONGEST[column]:
            raise BadComponent(f"{column} is longer than {_LONGEST[column]} characters")
    if BETWEEN_NEEDS in key:
        raise BadComponent(f"key holds {BETWEEN_NEEDS}, which stands between keys in needs")
    return ComponentRow(
        key, name, group or None, party or None, _kind(kind, party), _position(position), _needs(key, needs)
    )


def sort_out(rows: Mapping[int, ComponentRow], known: Collection[str]) -> Sorted:
    """Which of `rows`, by line, can be stored together. `known`: keys that exist already, of those the rows speak of.

    A key is described once and a party has one kind, the first the file says. What a row needs must exist or stand on
    a line that can be stored itself, so one refusal may bring on others.
    """
    refused = _repeats(rows)
    good = {line: row for line, row in rows.items() if line not in refused}
    lines = {row.key: line for line, row in good.items()}
    while found := _without_what_they_need(good, lines, known):
        refused |= found
        for line in found:
            del good[line]
    return Sorted(good, refused)


def _repeats(rows: Mapping[int, ComponentRow]) -> dict[int, str]:
    keys: dict[str, int] = {}
    kinds: dict[str, tuple[PartyKind, int]] = {}
    refused: dict[int, str] = {}
    for line, row in sorted(rows.items()):
        if row.key in keys:
            refused[line] = f"key {row.key} is described on line {keys[row.key]} already"
            continue
        keys[row.key] = line
        if row.party and row.kind:
            kind, first = kinds.setdefault(row.party, (row.kind, line))
            if kind != row.kind:
                refused[line] = f"party_kind: {row.party} is {row.kind} here and {kind} on line {first}"
    return refused


def _without_what_they_need(
    good: Mapping[int, ComponentRow], lines: Mapping[str, int], known: Collection[str]
) -> dict[int, str]:
    found = {}
    for line, row in good.items():
        missing = next((key for key in row.needs if key not in known and lines.get(key) not in good), None)
        if missing is None:
            continue
        if missing in lines:
            found[line] = f"needs {missing}, whose own line {lines[missing]} cannot be loaded"
        else:
            found[line] = f"needs {missing}, which is neither in the file (on a line that can be loaded) nor known yet"
    return found


def _kind(text: str, party: str) -> PartyKind | None:
    if not text:
        return None
    if not party:
        raise BadComponent("party_kind says of what kind a party is, and party is empty")
    if text.lower() not in get_args(PartyKind):
        raise BadComponent(f"party_kind must be one of {', '.join(get_args(PartyKind))}")
    return cast("PartyKind", text.lower())


def _position(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= _POSITION_DIGITS):
        raise BadComponent(f"position must be a whole number of at most {_POSITION_DIGITS} digits")
    return int(text)


def _needs(key: str, text: str) -> tuple[str, ...]:
    needs = tuple(dict.fromkeys(part for part in map(str.strip, text.split(BETWEEN_NEEDS)) if part))
    if key in needs:
        raise BadComponent("needs names the component itself")
    return needs
