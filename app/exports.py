"""Writes an export to a file or to standard output. What an export contains stands in `metrics.exports`."""

import sys
from contextlib import aclosing
from pathlib import Path

from foundation.database import Database
from metrics import export


async def export_to_file(
    database: Database,
    name: str,
    *,
    incident: str | None,
    file_format: str,
    output: Path | None,
) -> None:
    """Stream the export `name` (csv or ndjson) to `output`, or to standard output when that is None."""
    async with database.snapshot() as tx, aclosing(export(tx, name, incident=incident, format=file_format)) as chunks:
        if output is None:
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        with output.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
