"""Texts with a centre that is not on our own library: the independent `smpp` for Node."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from notify.channels import Accepted
from notify.channels.sms import SmsChannel
from notify.sms_keywords import joined, segment_from, text_of
from notify.sms_receipts import is_receipt, read_receipt
from tests.support.identity_provider import NODE
from tests.support.ports import free_port
from tests.support.smpp import PRICES, Letters, texts, url

needs_peer = pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules/smpp").exists(),
    reason="needs node, and smpp from bin/node-packages",
)


class Peer:
    """The centre's process, and the lines it says."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.port = port
        self._process = process
        self.said: list[dict[str, Any]] = []

    async def until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> None:
        assert self._process.stdout is not None
        while not enough(self.said):
            self.said.append(json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    script = NODE / "smpp-centre.mjs"  # modules are found from where the script lies
    script.write_bytes((Path(__file__).parents[1] / "support/smpp-centre.mjs").read_bytes())
    port = free_port()
    process = await asyncio.create_subprocess_exec("node", str(script), str(port), stdout=asyncio.subprocess.PIPE)
    try:
        found = Peer(port, process)
        await found.until(bool)
        yield found
    finally:
        process.terminate()
        await process.wait()


@needs_peer
async def test_another_implementation_reads_and_is_read_as_was_meant() -> None:
    batch = [
        *texts("+31600000001", text="Vlucht vertraagd: €5 {{tegoed}} [bon]", language="nl"),
        *texts("+31600000002", text="Рейс отменён 😀", language="ru"),
        *texts("+31600000003", text="Your flight was cancelled. " * 8),
    ]
    batch = [replace(one, message=replace(one.message, id=at)) for at, one in enumerate(batch)]
    letters = Letters()
    async with peer() as there, asyncio.timeout(30):
        lane = SmsChannel([url(there.port, "?window=5")], PRICES, letters).lane()
        await lane.ready(asyncio.Event())
        results = await lane.send(batch, asyncio.Event())
        received = await letters.arrived(6)
        await there.until(lambda said: sum("answered" in one for one in said) == 6)
        await lane.close()

    read = [one for one in there.said if "to" in one]
    whole = {to: "".join(one["text"] for one in read if one["to"] == to) for to in {one["to"] for one in read}}
    assert whole == {
        "31600000001": "Vlucht vertraagd: €5 {tegoed} [bon]",
        "31600000002": "Рейс отменён 😀",
        "31600000003": "Your flight was cancelled. " * 8,
    }
    assert {one["coding"] for one in read} == {0, 8}
    assert [one["header"][-2:] for one in read if one["header"]] == [[2, 1], [2, 2]]
    assert all(one["wants"] == 1 and one["from"] == "Stormdesk" and len(one["valid"]) > 0 for one in read)

    assert all(one["answered"] == 0 for one in there.said if "answered" in one)
    names = {name for one in results if isinstance(one, Accepted) for name in one.parts}
    receipts = [read_receipt(one, batch[0].not_after) for one in received if is_receipt(one)]
    assert {one.message_ref for one in receipts} == names
    assert {one.kind for one in receipts} == {"delivered"}
    parts = [segment_from(one) for one in received if not is_receipt(one)]
    assert joined({one.part: text_of(one.content, one.data_coding) for one in parts}, 2) == "Рейс отменён? 😀"
