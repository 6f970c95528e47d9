"""The storm's client is stubborn: put off or cut off it comes again with the same key, and keeps every receipt."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from app.demo.posting import Posting, PostingFailed
from app.demo.storm import Contact

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"


class FickleIntake:
    """A real HTTP server that takes a contact at the third attempt: first it hangs up, then it is busy."""

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            length = re.search(r"Content-Length: (\d+)", head)
            assert length is not None
            body = (await reader.readexactly(int(length[1]))).decode()
            key = re.search(r"Idempotency-Key: (\S+)", head)
            name = key[1] if key else body
            self.attempts[name] += 1
            if self.refuses:
                writer.write(b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 7\r\n\r\nbecause")
            elif self.attempts[name] == 1:
                break
            elif self.attempts[name] == 2:
                writer.write(BUSY)
            else:
                answer = json.dumps({"receipt": f"R-{name}", "track_url": f"http://x/t/{name}"}).encode()
                head_and_body = f"HTTP/1.1 202 Accepted\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer
                writer.write(head_and_body[:20])  # in two pieces, as networks do
                await writer.drain()
                writer.write(head_and_body[20:])
            await writer.drain()
        writer.close()


@pytest.fixture
async def intake() -> AsyncIterator[tuple[FickleIntake, int]]:
    fickle = FickleIntake()
    server = await asyncio.start_server(fickle.serve, "127.0.0.1", 0)
    yield fickle, server.sockets[0].getsockname()[1]
    server.close()


def some(count: int, times: int = 1) -> list[Contact]:
    return [Contact(b'{"n":%d}' % n, f"key{n}", times, f"customer{n}", True) for n in range(count)]


async def test_every_contact_gets_its_receipt_in_the_end(intake: tuple[FickleIntake, int]) -> None:
    fickle, port = intake
    posting = Posting("127.0.0.1", port, iter(some(20)))
    await posting.run(4)
    assert {receipt: contact.author for receipt, contact in posting.receipts.items()} == {
        f"Rkey{n}": f"customer{n}" for n in range(20)
    }
    assert set(fickle.attempts.values()) == {3}
    assert posting.put_off == 40
    assert posting.track_urls["customer7"] == "http://x/t/key7"


async def test_a_form_sent_three_times_is_one_contact(intake: tuple[FickleIntake, int]) -> None:
    _, port = intake
    posting = Posting("127.0.0.1", port, iter(some(5, times=3)))
    await posting.run(3)
    assert (len(posting.receipts), posting.answered, posting.two_for_one) == (5, 15, 0)


async def test_a_refusal_for_good_is_told(intake: tuple[FickleIntake, int]) -> None:
    fickle, port = intake
    fickle.refuses = True
    with pytest.raises(PostingFailed, match="422: because"):
        await Posting("127.0.0.1", port, iter(some(3))).run(2)
