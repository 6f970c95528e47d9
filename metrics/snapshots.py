"""Snapshots: every export's rows of one moment, kept as Parquet files, so that the same question has the same answer.

The live facts change with every delivery; a figure in a report must still be there when somebody looks again. A
snapshot is a folder; people's numbers stand in it beside their pseudonyms, so it is closed to everybody but us, and
ends by itself.
"""

import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from foundation.errors import NotFound

_TAKEN = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot: its `id`, when it was taken (UTC), and how many rows each export has in it."""

    id: str
    taken_at: datetime
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Those kept in `folder`."""

    folder: Path

    def begin(self, now: datetime) -> tuple[str, Path]:
        """The id of a new snapshot, and the folder to fill; `keep` makes it one."""
        name = f"{now.astimezone(UTC):{_TAKEN}}-{secrets.token_hex(4)}"
        place = self.folder / f".{name}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir(mode=0o700)
        return name, place

    def keep(self, taken: Snapshot) -> None:
        """What was filled is a snapshot from now on."""
        place = self.folder / f".{taken.id}"
        (place / "snapshot.json").write_bytes(msgspec.json.encode(taken))
        place.rename(self.folder / taken.id)

    def drop(self, name: str) -> None:
        """Forget what was begun."""
        shutil.rmtree(self.folder / f".{name}", ignore_errors=True)

    def all(self) -> list[Snapshot]:
        """Those there are, the newest first."""
        found = []
        for file in sorted(self.folder.glob("[0-9]*/snapshot.json"), reverse=True):
            with suppress(FileNotFoundError):  # it ended just now
                found.append(msgspec.json.decode(file.read_bytes(), type=Snapshot))
        return found

    def sweep(self, now: datetime, kept: timedelta) -> list[str]:
        """Delete those taken longer than `kept` before `now`, and what was begun so long ago; their ids.

        Doing it twice, or from two processes at once, does no harm.
        """
        ended = []
        for place in self.folder.glob("*"):
            name = place.name.removeprefix(".")
            if _ID.fullmatch(name) and datetime.strptime(name[:16], _TAKEN).replace(tzinfo=UTC) < now - kept:
                shutil.rmtree(place, ignore_errors=True)
                ended.append(name)
        return ended

    def file(self, name: str, export: str) -> Path:
        """The file of an export in the snapshot `name`. Raises NotFound."""
        file = self.folder / name / f"{export}.parquet"
        if _ID.fullmatch(name) is None or not file.is_file():
            raise NotFound(f"There is no snapshot {name[:40]!r}; take one, or ask without.", code="no_such_snapshot")
        return file
