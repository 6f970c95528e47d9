"""Posts contacts over real HTTP on many kept-alive connections, as stubborn as people are.

Told to come back later (409, 429, 503) or cut off, it sends the same again under the same key. It knows the receipt
each contact was given, and nothing of what became of it.
"""

import asyncio
from collections import deque
from collections.abc import Iterator

import msgspec

from app.demo.http_client import Answer, Connection
from app.demo.storm import Contact

CONNECTIONS = 24
_LONGEST_WAIT = 120  # seconds of being put off, and we give up


class PostingFailed(Exception):
    """The intake refused a contact for good, or stopped answering; the message says what it said."""


class _Accepted(msgspec.Struct):
    receipt: str
    track_url: str


class Posting:
    """Contacts on their way. `receipts`: contact by its receipt (without dashes); `track_urls`: last one by author.

    `answered` counts repeats too. `two_for_one`: receipts given to two different contacts, one of which is then lost.
    """

    def __init__(self, host: str, port: int, contacts: Iterator[Contact]) -> None:
        self._host, self._port = host, port
        self._contacts = contacts
        self._again: deque[Contact] = deque()
        self._decode = msgspec.json.Decoder(_Accepted).decode
        self.receipts: dict[str, Contact] = {}
        self.track_urls: dict[str, str] = {}
        self.answered = self.put_off = self.two_for_one = 0

    async def run(self, connections: int = CONNECTIONS) -> None:
        """Post everything; returns when every contact has a receipt. Raises `PostingFailed`."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(connections):
                    group.create_task(self._post_on_one_connection())
        except ExceptionGroup as failed:
            # Not `except*`: what is raised inside one comes out in a group on early 3.11, and bare on later ones.
            ours = failed.subgroup(PostingFailed)
            if ours is None:
                raise
            raise ours.exceptions[0] from None

    async def _post_on_one_connection(self) -> None:
        connection = Connection(self._host, self._port)
        try:
            while (contact := self._next()) is not None:
                await self._post(connection, contact)
        finally:
            connection.close()

    def _next(self) -> Contact | None:
        if self._again:
            return self._again.popleft()
        contact = next(self._contacts, None)
        if contact is not None:
            # The repeats go out at once on other connections: the same form, sent three times in one breath.
            self._again.extend([contact] * (contact.times - 1))
        return contact

    async def _post(self, connection: Connection, contact: Contact) -> None:
        key = f"Idempotency-Key: {contact.key}\r\n" if contact.key else ""
        headers = f"{key}Content-Type: application/json\r\n"
        request = connection.request("POST", "/api/v1/contacts", contact.body, headers)
        waited = 0.0
        while True:
            try:
                answer = await connection.exchange(request)
            except (OSError, EOFError, TimeoutError) as error:
                answer = Answer(503, b"", str(error).encode())
            if answer.status == 202:
                self._note(contact, self._decode(answer.body))
                return
            if answer.status not in (409, 429, 503) or waited > _LONGEST_WAIT:
                said = answer.body.decode(errors="replace")[:500]
                raise PostingFailed(f"The intake answered {answer.status}: {said}")
            self.put_off += 1
            pause = float(answer.header(b"retry-after", b"0.2"))
            waited += pause
            await asyncio.sleep(pause)

    def _note(self, contact: Contact, accepted: _Accepted) -> None:
        self.answered += 1
        known = self.receipts.setdefault(accepted.receipt.replace("-", ""), contact)
        self.two_for_one += known is not contact
        self.track_urls[contact.author] = accepted.track_url
