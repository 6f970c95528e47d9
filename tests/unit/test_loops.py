"""A process's loops: they wait for the database, end together, and never hide another error."""

import asyncio

import pytest

from app.loops import keep, run


async def test_a_loop_waits_while_the_database_is_away_and_goes_on() -> None:
    stop = asyncio.Event()
    seen: list[str] = []

    async def step() -> bool:
        seen.append("called")
        if len(seen) < 3:
            raise ConnectionRefusedError
        stop.set()
        return True

    async with asyncio.timeout(10):
        await keep(step, stop, idle_seconds=0)
    assert len(seen) == 3


async def test_any_other_error_ends_the_process() -> None:
    async def broken(_: asyncio.Event) -> None:
        raise KeyError("a bug")

    async def patient(stop: asyncio.Event) -> None:
        await stop.wait()

    with pytest.raises(ExceptionGroup) as ended:
        await run({"broken": broken, "patient": patient}, asyncio.Event())
    assert ended.group_contains(KeyError)
