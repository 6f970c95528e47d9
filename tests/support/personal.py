"""Looks for people in what must name nobody: their names, addresses, phone numbers and customer numbers."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_LONGEST_NAME = 5  # words


def people_of(file: Path) -> set[str]:
    """What names somebody in a customer file: each person's number, name, mail address and phone number."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    fields = ("customer_number", "name", "email", "phone", "reference")
    return {value for row in rows for name in fields if (value := row[name].strip())}


def found_in(text: str, people: Iterable[str]) -> list[str]:
    """Those of `people` that stand in `text` as words, whatever stands between and around the words."""
    known = set(_runs(text))
    return sorted(one for one in people if " ".join(_words(one)) in known)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _runs(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = _words(line)
        for start in range(len(words)):
            for length in range(1, _LONGEST_NAME + 1):
                yield " ".join(words[start : start + length])
