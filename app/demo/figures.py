"""Reads how the demo stands, from the outside: the database, the mailbox's own counts, the receipts given.

It asks cheaply, because what it measures shares two cores with it. It knows nothing of the story.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.demo.ending import Texts
from app.demo.posting import Posting
from app.demo.screen import Figures
from app.demo.verdict import Case
from foundation.database import Database, driver

# Receipts come at once; a worker looks for them twice a second.
_RECEIPTS_SECONDS = 20.0
_LETTERS_SECONDS = 20.0
# Planned from figures of a moment ago, these would read whole tables to find that nothing is left.
_ALONG_INDEXES = "SET LOCAL enable_seqscan = off"

# Whatever has not ended waits, or is under way, in a batch.
_MAIL_IS_OPEN = "EXISTS (SELECT FROM batches)"
_UNPLACED = "EXISTS (SELECT FROM contacts WHERE state = 'received')"

# Any batch tells how long people wait: the newest update supersedes what is left of the older ones.
_NOW = f"""
SELECT (SELECT extract(epoch FROM now() - created_at) FROM batches LIMIT 1),
       {_MAIL_IS_OPEN},
       (SELECT count(*) FROM contacts WHERE state = 'received'),
       (SELECT count(*) FROM cases WHERE merged_into IS NULL)
"""  # noqa: S608 (all of it is ours)


class Gauges:
    """Reads the figures. `posting` is None until the storm begins."""

    def __init__(self, database: Database, mail: Path, texts: Path) -> None:
        self._database = database
        self._mail = mail
        self._texts = texts
        self._earlier: list[tuple[float, int, int]] = []
        self.posting: Posting | None = None

    async def read(self) -> Figures:
        """How things stand now; rates are over the last two seconds or so."""
        oldest, mail_is_open, unplaced, cases = await self._row(_NOW)
        sent = int(self.mailbox().get("messages", 0))
        contacts = len(self.posting.receipts) if self.posting is not None else 0
        self._earlier = [*self._earlier[-5:], (time.monotonic(), sent, contacts)]
        (then, sent_then, contacts_then), (now, *_) = self._earlier[0], self._earlier[-1]
        seconds = max(now - then, 0.001)
        return Figures(
            sent=sent,
            mail_is_open=mail_is_open,
            rate=(sent - sent_then) / seconds,
            oldest=float(oldest or 0),
            contacts=contacts,
            contact_rate=(contacts - contacts_then) / seconds,
            unplaced=unplaced,
            cases=cases,
        )

    async def mail_is_open(self) -> bool:
        """Whether a delivery has not ended yet."""
        return bool((await self._row(f"SELECT {_MAIL_IS_OPEN}"))[0])

    async def contacts_wait(self) -> bool:
        """Whether a contact has no case yet."""
        return bool((await self._row(f"SELECT {_UNPLACED}"))[0])

    async def texts(self) -> Texts:
        """The texts of the updates, and what the centre counted, once every receipt had its time to come back."""
        deadline = time.monotonic() + _RECEIPTS_SECONDS
        while True:
            found = await self._count_texts()
            if not found.accepted or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.3)

    async def _count_texts(self) -> Texts:
        async with self._database.snapshot() as tx:
            rows = await (await driver(tx)).fetch(
                """
                SELECT d.state, count(*), count(d.instead_of)
                  FROM deliveries d JOIN dispatches p ON p.id = d.dispatch_id
                 WHERE d.channel = 'sms' AND p.topic LIKE 'incident:%' GROUP BY d.state
                """
            )
            segments = await (await driver(tx)).fetchval("SELECT count(*) FROM sms_parts")
        states = {row[0]: row[1] for row in rows}
        try:
            counted: dict[str, int] = json.loads(self._texts.read_text(encoding="utf-8"))
        except FileNotFoundError:
            counted = {}
        return Texts(
            planned=sum(states.values()),
            delivered=states.get("delivered", 0),
            accepted=states.get("accepted", 0),
            in_place_of_mail=sum(row[2] for row in rows),
            segments=segments,
            at_the_centre=counted.get("segments", 0),
        )

    def mailbox(self) -> dict[str, Any]:
        """What the mailbox has counted so far (it writes this down ten times a second)."""
        try:
            found: dict[str, Any] = json.loads((self._mail / "counts.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    async def mail_at_rest(self) -> tuple[int, dict[str, Any]]:
        """How many mails count as accepted, letters about cases among them, and the mailbox's own counts.

        Letters go out by themselves for a while after the storm; what then still differs is a broken promise.
        """
        deadline = time.monotonic() + _LETTERS_SECONDS
        while True:
            await asyncio.sleep(1.0)  # the mailbox writes its counts down now and then
            mailbox = {"messages": 0, "distinct": 0, **self.mailbox()}
            accepted = await self._mails_accepted()
            at_rest = accepted == mailbox["messages"] and not await self.mail_is_open()
            if at_rest or time.monotonic() > deadline:
                return accepted, mailbox

    async def _mails_accepted(self) -> int:
        statement = "SELECT count(*) FROM deliveries WHERE channel = 'mail' AND state = 'accepted'"
        async with self._database.snapshot() as tx:
            return int(await (await driver(tx)).fetchval(statement))

    async def seconds_to_last_delivery(self) -> float:
        """The longest it took from an update's publication until the last of its mails was out of our hands."""
        async with self._database.snapshot() as tx:
            found = await (await driver(tx)).fetchval(
                """
                SELECT extract(epoch FROM max(took)) FROM (
                    SELECT max(final_at) FILTER (WHERE state <> 'superseded') - min(created_at) AS took
                      FROM deliveries GROUP BY dispatch_id
                ) dispatched
                """
            )
        return float(found or 0)

    async def _row(self, query: str) -> Sequence[Any]:
        async with self._database.transaction() as tx:
            connection = await driver(tx)
            await connection.execute(_ALONG_INDEXES)
            row: Sequence[Any] = tuple(await connection.fetchrow(query) or ())
            return row

    async def placed(self) -> tuple[list[tuple[str, int | None]], list[Case]]:
        """Every contact with its case, and every case, as stored."""
        async with self._database.snapshot() as tx:
            connection = await driver(tx)
            contacts = await connection.fetch("SELECT receipt, case_id FROM contacts")
            cases = await connection.fetch(
                """
                SELECT s.id, c.number, s.merged_into FROM cases s LEFT JOIN customers c ON c.id = s.customer_id
                """
            )
        return [(row[0], row[1]) for row in contacts], [Case(*row) for row in cases]
