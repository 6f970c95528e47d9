"""Snapshots of exports end by themselves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from metrics.snapshots import Snapshot, Snapshots

TAKEN = datetime(2026, 2, 8, 14, 10, tzinfo=UTC)
KEPT = timedelta(days=90)


def a_snapshot(snapshots: Snapshots, taken_at: datetime) -> str:
    name, place = snapshots.begin(taken_at)
    (place / "cases.parquet").write_bytes(b"x")
    snapshots.keep(Snapshot(name, taken_at, {"cases": 1}))
    return name


def test_a_snapshot_ends_when_its_time_is_over_and_no_other_does(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "snapshots")
    assert snapshots.sweep(TAKEN, KEPT) == []  # nobody has taken one yet
    old, young = a_snapshot(snapshots, TAKEN), a_snapshot(snapshots, TAKEN + timedelta(days=1))
    begun, _ = snapshots.begin(TAKEN)
    (snapshots.folder / "notes").mkdir()
    assert snapshots.sweep(TAKEN + KEPT, KEPT) == []
    assert sorted(snapshots.sweep(TAKEN + KEPT + timedelta(hours=1), KEPT)) == sorted([old, begun])
    assert [one.id for one in snapshots.all()] == [young]
    assert {one.name for one in snapshots.folder.iterdir()} == {young, "notes"}
    assert snapshots.sweep(TAKEN + KEPT + timedelta(hours=1), KEPT) == []
