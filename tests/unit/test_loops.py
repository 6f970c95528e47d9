"""A process's loops: they wait for the database, end together, and never hide another error."""

import asyncio

import pytest

from app.loops import keep, run
from foundation.database import DatabaseAway


async def test_a_loop_waits_while_the_database_is_away_and_goes_on() -> None:
    stop = asyncio.Event()
    seen: list[str] = []

    async def step() -> bool:
        seen.append("called")
        if len(seen) < 3:
            raise DatabaseAway
        stop.set()
        return True

    async with asyncio.timeout(10):
        await keep(step, stop, idle_seconds=0)
    assert len(seen) == 3


async def test_any_other_error_ends_the_process() -> None:
    async def broken(_: asyncio.Event) -> None:
        raise KeyError("a bug")

    ended: list[str] = []

    async def patient(stop: asyncio.Event) -> None:
        await stop.wait()
        await asyncio.sleep(0.01)  # the work in hand: a mail that waits for its server's answer
        ended.append("in peace")

    with pytest.raises(ExceptionGroup) as failed:
        await run({"broken": broken, "patient": patient}, asyncio.Event())
    assert failed.group_contains(KeyError)
    assert ended == ["in peace"]
