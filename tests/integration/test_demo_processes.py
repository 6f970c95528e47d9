"""The demo's processes: one that ends is told with the end of its log, and none outlives the block."""

import asyncio
import os
from pathlib import Path

import pytest

from app.demo.processes import ProcessEnded, Processes


async def test_a_process_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    async with Processes(tmp_path, os.environ) as processes:
        await processes.start("calendar", "calendar", "no such year")
        with pytest.raises(ProcessEnded, match=r"“calendar” ended with code 2(.|\n)*no such year"):
            await processes.unless_one_ends(asyncio.Event().wait())


async def test_work_that_is_done_first_gives_its_result(tmp_path: Path) -> None:
    async with Processes(tmp_path, os.environ) as processes:
        child = await processes.start("server", "http.server", "0", "--bind", "127.0.0.1")
        assert await processes.unless_one_ends(asyncio.sleep(0, "done")) == "done"
        assert child.returncode is None
    assert child.returncode is not None


async def test_work_that_fails_is_told_as_it_is(tmp_path: Path) -> None:
    async def fail() -> None:
        raise ValueError("This is why.")

    async with Processes(tmp_path, os.environ) as processes:
        await processes.start("server", "http.server", "0", "--bind", "127.0.0.1")
        with pytest.raises(ValueError, match=r"This is why\."):
            await processes.unless_one_ends(fail())
