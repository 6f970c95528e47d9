"""The baseline of the SMS bench: a bare `smpp34` client that sends as fast as the window lets it, and keeps nothing.

`python -m app.bench.sms_client PORT TEXTS CONNECTIONS WINDOW` prints a JSON object: seconds, and its CPU seconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator

import smpp34
import uvloop

from app.bench.ports import HOST
from app.bench.sms_text import SENDER, TEXT, phone


async def send(port: int, texts: int, connections: int, window: int) -> None:
    """Send `texts` texts over `connections` binds, `window` at once on each."""
    binds = []
    for _ in range(connections):
        client = smpp34.Client(HOST, port, "bench", "bench", bind_type="TRX", window_size=window)
        binds.append(await client.connect())
    numbers = iter(range(1, texts + 1))
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_lane(bind, numbers) for bind in binds for _ in range(window)))
    figures = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    print(json.dumps(figures), flush=True)
    for bind in binds:
        await bind.unbind()


async def _lane(bind: smpp34.Smsc, numbers: Iterator[int]) -> None:
    for number in numbers:
        response = await bind.submit_sm(
            phone(number).lstrip("+"),
            TEXT.encode("ascii"),
            source_addr=SENDER,
            source_addr_ton=5,
            registered_delivery=1,
            validity_period="991231235959000+",
        )
        if not response.is_success:
            raise RuntimeError(f"The centre refused a text: {response.command_status}.")


if __name__ == "__main__":
    uvloop.run(send(*(int(one) for one in sys.argv[1:5])))
