"""Takes in a file of calls, at the desk and from the command line: every good line, once, and the others by number."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console

from claims.call_file import BadLine, GoodLine, read_calls
from claims.intake import Arrival, Intake, KeyReused
from foundation.database import Database
from foundation.errors import Busy, Invalid

_TOGETHER = 500
_LISTED = 20


@dataclass(frozen=True, slots=True)
class CallsTaken:
    """What became of a file: lines taken in (also those taken in before), and those to mend."""

    taken: int
    bad: Sequence[BadLine]


async def take_calls(intake: Intake, content: bytes) -> CallsTaken:
    """Take in every good line. Doing it again adds nothing. Raises `Invalid` for what is no such file, and `Busy`."""
    lines = read_calls(content)
    taken, bad = 0, list[BadLine]()
    while some := list(islice(lines, _TOGETHER)):
        bad += [one for one in some if isinstance(one, BadLine)]
        good = [one for one in some if isinstance(one, GoodLine)]
        stored = await asyncio.gather(*(_patiently(intake, one.call) for one in good))
        taken += sum(stored)
        bad += [
            BadLine(one.line, "This call_id was used before, for another call.")
            for one, is_stored in zip(good, stored, strict=True)
            if not is_stored
        ]
    return CallsTaken(taken, sorted(bad, key=lambda one: one.line))


async def _patiently(intake: Intake, arrival: Arrival) -> bool:
    """Whether it is on disk; False: its key stands for other words. People wait in the same queue, so it gives way."""
    for _ in range(5):
        try:
            await intake.accept(arrival)
        except KeyReused:
            return False
        except Busy as busy:
            await asyncio.sleep(busy.retry_after)
        else:
            return True
    await intake.accept(arrival)
    return True


async def import_calls_file(database: Database, path: Path, console: Console) -> CallsTaken:
    """`stormdesk import contacts`. Raises `Invalid` when the file cannot be read."""
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error
    async with Intake(database).running() as intake:
        loaded = await take_calls(intake, content)
    console.print(f"Contacts taken in: {loaded.taken:,}. Lines to mend: {len(loaded.bad):,}.", highlight=False)
    for one in loaded.bad[:_LISTED]:
        console.print(f"  line {one.line}: {one.reason}", highlight=False, markup=False, soft_wrap=True)
    if len(loaded.bad) > _LISTED:
        console.print(f"  … and {len(loaded.bad) - _LISTED:,} more.", highlight=False)
    return loaded
