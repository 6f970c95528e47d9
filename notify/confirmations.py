"""Asks the owners of addresses whether they want to follow, hears the machines that say yes, and forgets who did not.

One worker at a time, in short transactions. It decides how often an address may be asked; it sends nothing itself.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from foundation.actors import SYSTEM
from foundation.clock import Clock
from foundation.database import Database, Driver, Tx, driver
from foundation.tokens import Tokens
from notify.correspondents import only
from notify.following import CONFIRM_WITHIN, PublicTitles, confirm
from notify.messages import MessageText, escape_slots
from notify.planning import enqueue
from notify.subscriptions import CONFIRMATION_TOPIC, confirm_token

# An address is asked once an hour, whoever wishes it, and however often: nobody's mailbox is filled through us.
ONCE_IN = timedelta(hours=1)
# A server is called this often an hour for all its webhooks together, as URLs on it are easily made up.
MOST_PER_HOST = 10
_BATCH = 50
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no 0 and O, no 1 and I


@dataclass(frozen=True, slots=True)
class Confirmations:
    """`titles` answers for incidents; `render`, `page_name`, `public_url` and `time_zone` as everywhere."""

    database: Database
    tokens: Tokens
    titles: PublicTitles
    render: Callable[..., str]
    page_name: str
    public_url: str
    time_zone: str
    clock: Clock

    async def step(self) -> bool:
        """Handle what waits. True: there may be more to do."""
        now = self.clock()
        async with self.database.transaction() as tx:
            if not await _alone(tx):
                return False
            more = await self._ask(tx, now)
        async with self.database.transaction() as tx:
            if await _alone(tx):
                await _hear_echoes(tx, self.tokens, now)
                more = await _forget(tx, now) or more
        return more

    async def _ask(self, tx: Tx, now: datetime) -> bool:
        connection = await driver(tx)
        rows = await connection.fetch(_NEW, _BATCH)
        for row in rows:
            customer_id = await _subscriber(connection, row, self.time_zone)
            may = await connection.fetchval(_MAY_ASK, row["id"], now - ONCE_IN, MOST_PER_HOST)
            await connection.execute(_HANDLED, row["id"], customer_id, now, now if may else None)
            if may:
                await self._send(tx, row, customer_id, now)
        return len(rows) == _BATCH

    async def _send(self, tx: Tx, row: Any, customer_id: int, now: datetime) -> None:
        url = f"{self.public_url}/follow/confirm/{confirm_token(self.tokens, row['id'])}"
        text = self._challenge(row, url, now) if row["channel"] == "webhook" else await self._mail(tx, row, url)
        await enqueue(
            tx,
            key=f"{CONFIRMATION_TOPIC}{row['id']}",
            topic=f"{CONFIRMATION_TOPIC}{customer_id}",
            number=row["id"],
            messages=[text],
            audience=only(customer_id),
            # Somebody is looking at their mailbox: not behind three hundred thousand updates.
            urgency=0,
            not_after=now + CONFIRM_WITHIN / 2,
        )

    async def _mail(self, tx: Tx, row: Any, url: str) -> MessageText:
        title = None
        if row["incident_id"] is not None:
            title = (await self.titles(tx, {row["incident_id"]})).get(row["incident_id"])
        language = row["language"]
        text = self.render(
            "notify/confirm.mail.txt",
            language,
            page_name=self.page_name,
            title=None if title is None else title.get(language) or title["en"],
            confirm_url=f"{url}?lang={language}",
            address=row["address"],
        )
        subject, _, body = text.partition("\n")
        return MessageText("mail", language, subject, escape_slots(body.strip("\n") + "\n"))

    def _challenge(self, row: Any, url: str, now: datetime) -> MessageText:
        about = f"{self.public_url}/incidents/{row['incident_id']}" if row["incident_id"] else self.public_url
        body = {
            "page": {"name": self.page_name, "url": self.public_url},
            "confirmation": {
                "challenge": confirm_token(self.tokens, row["id"]),
                "confirm_url": url,
                "follows": about,
                "expires_at": (now + CONFIRM_WITHIN).isoformat(timespec="seconds"),
            },
        }
        return MessageText("webhook", "en", "", escape_slots(json.dumps(body)))


async def _alone(tx: Tx) -> bool:
    found: bool = await (await driver(tx)).fetchval("SELECT pg_try_advisory_xact_lock(7305241950034817)")
    return found


_NEW = "SELECT * FROM follow_requests WHERE handled_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE"

_MAY_ASK = """
SELECT NOT EXISTS (SELECT FROM follow_requests o
                    WHERE o.address = r.address AND o.channel = r.channel AND o.asked_at > $2)
   AND (r.channel <> 'webhook' OR (SELECT count(*) FROM follow_requests o
                                    WHERE o.channel = 'webhook' AND o.host = r.host AND o.asked_at > $2) < $3)
  FROM follow_requests r
 WHERE r.id = $1
"""
_HANDLED = "UPDATE follow_requests SET customer_id = $2, handled_at = $3, asked_at = $4 WHERE id = $1"

_KNOWN = """
SELECT c.id FROM addresses a JOIN customers c ON c.id = a.customer_id
 WHERE a.channel = $1 AND a.value = $2 AND c.kind = 'subscriber'
 ORDER BY c.id LIMIT 1
"""
# One that answered 410 once may be asked again: its owner may have set it up anew.
_BACK = """
WITH back AS (
    UPDATE addresses SET health = 'usable', suppressed_because = NULL
     WHERE customer_id = $1 AND suppressed_because = 'gone'
 RETURNING id
)
INSERT INTO address_journal (address_id, actor, event, reason) SELECT id, $2, 'lifted', 'gone' FROM back
"""
_NEW_SUBSCRIBER = """
WITH made AS (
    INSERT INTO customers (number, name, name_key, language, time_zone, kind)
    VALUES ($1, $2, '', $3, $4, 'subscriber')
 RETURNING id
)
INSERT INTO addresses (customer_id, channel, value) SELECT id, $5, $6 FROM made RETURNING customer_id
"""


async def _subscriber(connection: Driver, row: Any, time_zone: str) -> int:
    """The subscriber with the address of a request; made when there is none. They follow nothing by that."""
    known: int | None = await connection.fetchval(_KNOWN, row["channel"], row["address"])
    if known is not None:
        await connection.execute(_BACK, known, str(SYSTEM))
        return known
    number = "S-" + "".join(secrets.choice(_ALPHABET) for _ in range(12))
    name = row["address"] if row["channel"] == "mail" else row["host"]
    made: int = await connection.fetchval(
        _NEW_SUBSCRIBER, number, name, row["language"], time_zone, row["channel"], row["address"]
    )
    return made


# A machine says yes by sending the challenge back: it stands in the reply that was kept with the delivery.
_ECHOES = """
SELECT r.id, d.reply
  FROM follow_requests r
  JOIN dispatches p ON p.key = $1 || r.id
  JOIN deliveries d ON d.dispatch_id = p.id AND d.customer_id = r.customer_id AND d.channel = 'webhook'
 WHERE r.channel = 'webhook' AND r.asked_at > $2 AND r.confirmed_at IS NULL AND d.state = 'accepted'
"""


async def _hear_echoes(tx: Tx, tokens: Tokens, now: datetime) -> None:
    for row in await (await driver(tx)).fetch(_ECHOES, CONFIRMATION_TOPIC, now - CONFIRM_WITHIN):
        if confirm_token(tokens, row["id"]) in (row["reply"] or ""):
            await confirm(tx, row["id"], now=now)


_OLD = """
DELETE FROM follow_requests
 WHERE id = ANY (ARRAY (SELECT id FROM follow_requests WHERE created_at <= $1 ORDER BY created_at LIMIT 1000))
RETURNING customer_id
"""
# The row of the address stays, because the proof that we asked points to it; what it said is gone.
_ERASE = """
WITH nobody AS (
    SELECT c.id FROM customers c
     WHERE c.id = ANY ($1::bigint[]) AND c.kind = 'subscriber'
       AND NOT EXISTS (SELECT FROM followers f WHERE f.customer_id = c.id)
       AND NOT EXISTS (SELECT FROM follow_requests r WHERE r.customer_id = c.id)
), named AS (
    UPDATE customers c SET name = c.number, updated_at = now() FROM nobody WHERE c.id = nobody.id
), erased AS (
    UPDATE addresses a
       SET value = 'erased ' || a.id, consent = false, health = 'suppressed', suppressed_because = 'never_confirmed'
      FROM nobody
     WHERE a.customer_id = nobody.id
 RETURNING a.id
)
INSERT INTO address_journal (address_id, actor, event, reason)
SELECT id, $2, 'suppressed', 'never_confirmed' FROM erased
"""


async def _forget(tx: Tx, now: datetime) -> bool:
    """Delete wishes that are too old, and the addresses of those whose owner never said yes (or meanwhile no)."""
    connection = await driver(tx)
    rows = await connection.fetch(_OLD, now - CONFIRM_WITHIN)
    people = sorted({row[0] for row in rows if row[0] is not None})
    if people:
        await connection.execute(_ERASE, people, str(SYSTEM))
    return len(rows) == 1000
