"""`stormdesk import`: a file on disk, a progress bar, and a list of what could not be loaded.

The rules of the imports stand in `notify.customer_import` and in `incidents`; this is their terminal side.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from foundation.database import Database
from foundation.errors import Invalid
from incidents import (
    COMPONENT_COLUMNS,
    REQUIRED_COMPONENT_COLUMNS,
    BadComponent,
    ComponentRow,
    Loaded,
    load_components,
    read_component,
    register_components,
)
from notify.customer_file import Bad, Header, Texts, read_header, read_texts
from notify.customer_import import STEPS, ImportResult, import_customers

_LISTED = 20
_NEVER_READ = "Nothing was loaded: "


class RejectsFile:
    """Writes rejected lines as they come to `path`: number and reason first, then the line's own bytes.

    The file can be mended and imported as it is: the two columns in front are ones the import passes over. It exists
    only when there is something to mend, and only its owner may read it: the lines are about people.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: Counter[str] = Counter()
        self.first: list[Bad] = []
        self._file: BinaryIO | None = None
        self._header: Header | None = None

    def begin(self, header: Header) -> None:
        self._header = header
        self.path.unlink(missing_ok=True)

    def add(self, bad: Bad) -> None:
        self.reasons[bad.reason] += 1
        if len(self.first) < _LISTED:
            self.first.append(bad)
        reason = bad.reason.replace('"', "'")
        self._open().write(self._line(str(bad.line), f'"{reason}"', bad.raw))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> BinaryIO:
        if self._file is None:
            assert self._header is not None
            self._file = self._made()
            self._file.write(self._line("rejected_line", "rejected_because", self._header.raw))
        return self._file

    def _made(self) -> BinaryIO:
        try:
            return os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        except OSError as error:
            raise Invalid(f"{_NEVER_READ}the rejects file {self.path} cannot be written: {error.strerror}.") from error

    def _line(self, number: str, reason: str, raw: bytes) -> bytes:
        assert self._header is not None
        between = self._header.delimiter
        return f"{number}{between}{reason}{between}".encode() + raw.rstrip(b"\r\n") + b"\n"


async def import_customers_file(database: Database, path: Path, console: Console) -> ImportResult:
    """Load the customer file at `path`, all of its good rows or (when something breaks) none.

    What was done is printed on `console`; rejected lines are listed there and kept in `FILE.rejects.csv`. Raises
    `Invalid` when the file cannot be read or none of its rows is good.
    """
    started = time.perf_counter()
    rejects = RejectsFile(path.with_suffix(".rejects.csv"))
    file, size = _open(path)
    try:
        with file, _bar(console) as bar:
            async with database.transaction() as tx:
                result = await import_customers(
                    tx, file, register_components=register_components, rejects=rejects, progress=_Shown(bar, size)
                )
    finally:
        rejects.close()
    _report(rejects, result.rows, console)
    _sum_up(result, time.perf_counter() - started, console)
    return result


async def import_components_file(database: Database, path: Path, console: Console) -> Loaded:
    """Load the component file at `path`: its good rows, with their groups, parties and needs.

    What was done is printed on `console`; rejected lines are listed there and kept in `FILE.rejects.csv`. Raises
    `Invalid` when the file cannot be read or none of its rows is good.
    """
    rejects = RejectsFile(path.with_suffix(".rejects.csv"))
    file, _ = _open(path)
    try:
        with file:
            header = read_header(file, COMPONENT_COLUMNS, REQUIRED_COMPONENT_COLUMNS)
            rejects.begin(header)
            good, rejected = _component_rows(read_texts(file, header))
        named = {name for name, place in zip(COMPONENT_COLUMNS, header.places, strict=True) if place < header.width}
        async with database.transaction() as tx:
            loaded = await load_components(tx, {line: row for line, (_, row) in good.items()}, named)
            rejected += [Bad(line, good[line][0], reason, None) for line, reason in loaded.refused.items()]
            for bad in sorted(rejected):
                rejects.add(bad)
    finally:
        rejects.close()
    _report(rejects, loaded.components, console)
    _sum_up_components(loaded, console)
    _passed_over(header.ignored, console)
    return loaded


def _component_rows(lines: Iterable[Texts | Bad]) -> tuple[dict[int, tuple[bytes, ComponentRow]], list[Bad]]:
    """What can be read, by line, with the line's bytes; and what cannot."""
    good: dict[int, tuple[bytes, ComponentRow]] = {}
    rejected: list[Bad] = []
    for one in lines:
        if isinstance(one, Bad):
            rejected.append(one)
            continue
        try:
            good[one.line] = (one.raw, read_component(one.texts))
        except BadComponent as error:
            rejected.append(Bad(one.line, one.raw, str(error), None))
    return good, rejected


def _open(path: Path) -> tuple[BinaryIO, int]:
    try:
        return path.open("rb"), path.stat().st_size
    except OSError as error:
        raise Invalid(f"{_NEVER_READ}{path}: {error.strerror}.") from error


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<8}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    return Progress(*columns, TimeElapsedColumn(), console=console, transient=True)


class _Shown:
    """The bar: reading is counted in bytes, storing in statements."""

    def __init__(self, bar: Progress, size: int) -> None:
        self._bar = bar
        self._tasks = {
            "reading": bar.add_task("reading", total=max(size, 1)),
            "storing": bar.add_task("storing", total=STEPS),
        }

    def __call__(self, step: str, done: int) -> None:
        self._bar.update(self._tasks[step], completed=done)


def _report(rejects: RejectsFile, loaded: int, console: Console) -> None:
    """List what was rejected. Raises `Invalid` when that is all there was."""
    if rejects.reasons:
        _list(rejects, console)
    if not loaded:
        why = "none of its lines could be used" if rejects.reasons else "the file has no lines after the first"
        raise Invalid(f"{_NEVER_READ}{why}.")


def _list(rejects: RejectsFile, console: Console) -> None:
    count = rejects.reasons.total()
    console.print(f"[bold yellow]{count:,} {'line' if count == 1 else 'lines'} could not be loaded:[/]")
    for bad in rejects.first:
        console.print(f"  line {bad.line}: {escape(bad.reason)}", highlight=False, soft_wrap=True)
    if count > len(rejects.first):
        console.print(f"  … and {count - len(rejects.first):,} more. By reason:", highlight=False, soft_wrap=True)
        for reason, times in rejects.reasons.most_common(10):
            console.print(f"  {times:>9,} × {escape(reason)}", highlight=False, soft_wrap=True)
    console.print(f"Mend them in {escape(str(rejects.path))} and import that file.", highlight=False, soft_wrap=True)


def _sum_up(result: ImportResult, seconds: float, console: Console) -> None:
    console.print(
        f"Rows loaded: {result.rows:,}, in {seconds:.1f} s. Customers: {result.customers:,} "
        f"({result.customers_new:,} new, {result.customers_changed:,} changed, {result.customers_unchanged:,} as they "
        f"were). Exposures: {result.exposures_new:,} new, {result.exposures_changed:,} changed. "
        f"Addresses: {result.addresses_new:,} new, {result.addresses_replaced:,} replaced, "
        f"{result.addresses_returned:,} usable again.",
        highlight=False,
        soft_wrap=True,
    )
    _passed_over(result.ignored_columns, console)


def _sum_up_components(loaded: Loaded, console: Console) -> None:
    unchanged = loaded.components - loaded.new - loaded.changed
    console.print(
        f"Components: {loaded.components:,} ({loaded.new:,} new, {loaded.changed:,} changed, {unchanged:,} as they "
        f"were). Needs: {loaded.needs_added:,} added, {loaded.needs_removed:,} removed. Parties: "
        f"{loaded.parties_new:,} new, {loaded.parties_changed:,} changed.",
        highlight=False,
        soft_wrap=True,
    )


def _passed_over(columns: Sequence[str], console: Console) -> None:
    if columns:
        console.print(f"Columns passed over: {escape(', '.join(columns))}.", highlight=False, soft_wrap=True)
