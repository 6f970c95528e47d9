"""Writes an export to a file or to standard output. What an export contains stands in `metrics`."""

import sys
from contextlib import aclosing
from pathlib import Path

from metrics import Exports, Question


async def export_to_file(
    exports: Exports, question: Question, *, file_format: str, snapshot: str | None, output: Path | None
) -> None:
    """Stream the answer to `question` to `output`, or to standard output when that is None."""
    async with aclosing(exports.stream(question, file_format, snapshot=snapshot)) as chunks:
        if output is None:
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        with output.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
