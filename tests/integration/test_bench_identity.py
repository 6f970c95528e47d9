"""`stormdesk bench identity --records`: a labelled file goes in, and figures of a fixed form come out."""

import json
from pathlib import Path

import pytest

from app.bench.identity import bench_identity
from app.bench.identity_records import read_records

# Two people, one of them twice with a slip in the surname, as a tool that writes a byte order mark has it; fields that
# nobody filled in are missing, and so are columns.
LABELLED = """\
\ufeffrecord_id,person_id,given_name,surname,birth_date,postcode,email,phone
r1,p1,Piet,Jansen,1961-04-30,1234AB,piet@home.example,
r2,p1,Piet,Janssen,19610430,1234 AB,,+31612345678
r3,p2,"Anna, Maria",de Vries,19770112,9876ZX,anna@home.example,+31687654321
r4,p2,Anna Maria,de Vries,19770112,,ANNA@home.example,
"""


def test_a_labelled_file_gives_figures_of_both_and_nothing_else(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "labelled.csv"
    file.write_text(LABELLED, encoding="utf-8")
    monkeypatch.setenv("STORMDESK_DATABASE_URL", database_url)
    found = json.loads(json.dumps(bench_identity(file, shuffles=2)))
    ours = found["stormdesk"]
    assert ours.pop("seconds") > 0
    assert ours.pop("records_per_second") >= 0
    assert ours == {
        "records": 4,
        "persons": 2,
        "true_pairs": 2,
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "partitions_over_shuffles": 1,
    }
    assert found.keys() == {"stormdesk", "splink"}
    assert found["splink"].keys() == {"precision", "recall", "f1", "seconds"}


@pytest.mark.parametrize("text", ["", "record_id,person_id\n", "record_id,person_id\nr1,\n", "given_name\nPiet\n"])
def test_a_file_without_labels_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "labelled.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match="person_id in every row"):
        read_records(file)
