"""Incoming texts: kept as they came, joined, and either acted on (STOP, START) or handed to whoever reads contacts.

All SQL on incoming texts, on consent given or withdrawn by text, and on the one answer that such a text gets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from foundation.database import Driver, Tx, driver
from notify.addresses import BadAddress, normalise_phone
from notify.sms_keywords import SegmentIn, joined, meaning, text_of

# How long a text waits for parts that did not come, before it is read without them.
PATIENCE = timedelta(minutes=5)
# How long a centre may take to send again what we did not acknowledge. Phones count their references round.
AGAIN_WITHIN = timedelta(hours=1)
_MOST = 500

# Writes a template in a language: `app.templates.render`.
Render: TypeAlias = Callable[..., str]


@dataclass(frozen=True, slots=True)
class IncomingText:
    """A text for people to read. `sender`: as the centre gave it; `language`: that of its sender, if we know them."""

    id: int
    sender: str
    text: str
    language: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a STOP or START: to the number that wrote, from the one it wrote to, over the same centre."""

    id: int
    centre: str
    sender: str
    recipient: str
    language: str
    text: str


async def keep_segments(tx: Tx, segments: Sequence[SegmentIn], now: datetime) -> None:
    """Store segments as they came in. A part of a longer text that is here already, and came again, is no news.

    A text of one part is kept each time: whoever writes STOP, START and STOP means the last one.
    """
    await (await driver(tx)).execute(
        """
        INSERT INTO sms_segments_in
               (centre, sender, recipient, data_coding, content, reference, part, parts, received_at)
        SELECT new.*, $9::timestamptz
          FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bytea[], $6::integer[], $7::smallint[],
                      $8::smallint[])
               AS new (centre, sender, recipient, data_coding, content, reference, part, parts)
         WHERE new.reference IS NULL
            OR NOT EXISTS (SELECT FROM sms_segments_in s
                            WHERE s.sender = new.sender AND s.reference = new.reference AND s.part = new.part
                              AND s.recipient = new.recipient AND s.centre = new.centre AND s.content = new.content
                              AND s.received_at > $9::timestamptz - $10::interval)
        """,
        [_storable(one.centre) for one in segments],
        [_storable(one.sender) for one in segments],
        [_storable(one.recipient) for one in segments],
        [one.data_coding for one in segments],
        [one.content for one in segments],
        [one.reference for one in segments],
        [one.part for one in segments],
        [one.parts for one in segments],
        now,
        AGAIN_WITHIN,
    )


async def read_texts(tx: Tx, render: Render, *, patience: timedelta = PATIENCE) -> int:
    """Join what is complete or has waited long enough, and act on STOP and START; returns how many texts there were.

    One worker at a time: the parts of a text may have come in over several.
    """
    connection = await driver(tx)
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(x'534D5354'::bigint)"):
        return 0
    rows = await connection.fetch(_COMPLETE, _MOST, patience)
    for row in rows:
        # A part that came twice counts once, as it came last.
        pieces = {
            part: text_of(content, coding)
            for part, content, coding in zip(row["numbers"], row["contents"], row["codings"], strict=True)
        }
        text, complete = joined(pieces, row["parts"]), len(pieces) == row["parts"]
        await _read(connection, render, row["ids"], text, complete=complete)
    return len(rows)


# A text of one part is complete by itself; its id makes it a group of its own.
_COMPLETE = """
SELECT array_agg(id ORDER BY id) AS ids, max(parts) AS parts, array_agg(part ORDER BY id) AS numbers,
       array_agg(content ORDER BY id) AS contents, array_agg(data_coding ORDER BY id) AS codings
  FROM sms_segments_in
 WHERE text_id IS NULL
 GROUP BY centre, sender, recipient, reference, parts, CASE WHEN parts = 1 THEN id END
HAVING count(DISTINCT part) = max(parts) OR max(received_at) < now() - $2::interval
 ORDER BY min(id)
 LIMIT $1
"""

_STORE = """
INSERT INTO sms_texts (centre, sender, recipient, text, complete, meant, language, state, received_at)
SELECT s.centre, s.sender, s.recipient, $2, $3, $4, $5, CASE $4 WHEN 'contact' THEN 'waiting' ELSE 'done' END,
       s.received_at
  FROM sms_segments_in s WHERE s.id = $1
RETURNING id
"""


async def _read(connection: Driver, render: Render, ids: Sequence[int], text: str, *, complete: bool) -> None:
    sender = await connection.fetchval("SELECT sender FROM sms_segments_in WHERE id = $1", ids[0])
    phone = _phone(sender)
    language = await connection.fetchval(_LANGUAGE, phone) or "en"
    meant = meaning(text) if complete else "contact"
    text_id = await connection.fetchval(_STORE, ids[0], _storable(text)[:10_000], complete, meant, language)
    await connection.execute(
        "UPDATE sms_segments_in SET text_id = $2 WHERE id = ANY ($1::bigint[])", list(ids), text_id
    )
    if meant != "contact" and await _changed(connection, phone or sender, text_id, wanted=meant == "start"):
        general = language.split("-", 1)[0]
        answer = render(f"notify/text.{meant}.txt", general).strip()
        await connection.execute(
            "INSERT INTO sms_replies (text_id, language, text) VALUES ($1, $2, $3)", text_id, general, answer
        )


_LANGUAGE = """
SELECT c.language FROM addresses a JOIN customers c ON c.id = a.customer_id
 WHERE a.channel = 'sms' AND a.value = $1 ORDER BY a.id LIMIT 1
"""


async def _changed(connection: Driver, phone: str, text_id: int, *, wanted: bool) -> bool:
    """Give or withdraw consent for a number, wherever it stands; False when that was so already.

    Also for a number that nobody has yet: the journal is asked when it is imported.
    """
    last = await connection.fetchval(
        "SELECT consent FROM consent_journal WHERE channel = 'sms' AND value = $1 ORDER BY id DESC LIMIT 1", phone
    )
    tag = await connection.execute(
        "UPDATE addresses SET consent = $2 WHERE channel = 'sms' AND value = $1 AND consent <> $2", phone, wanted
    )
    if (True if last is None else last) == wanted and tag == "UPDATE 0":
        return False
    await connection.execute(
        "INSERT INTO consent_journal (channel, value, consent, how, text_id) VALUES ('sms', $1, $2, 'text', $3)",
        phone,
        wanted,
        text_id,
    )
    return True


async def texts_waiting(tx: Tx, count: int = _MOST) -> list[IncomingText]:
    """Texts for people that nobody has taken yet, oldest first."""
    rows = await (await driver(tx)).fetch(
        "SELECT id, sender, text, language, received_at FROM sms_texts WHERE state = 'waiting' ORDER BY id LIMIT $1",
        count,
    )
    return [IncomingText(row[0], _phone(row[1]) or row[1], *tuple(row)[2:]) for row in rows]


async def texts_taken(tx: Tx, ids: Sequence[int]) -> None:
    """These texts are on disk where contacts are kept."""
    await (await driver(tx)).execute("UPDATE sms_texts SET state = 'done' WHERE id = ANY ($1::bigint[])", list(ids))


async def claim_replies(tx: Tx, centres: Sequence[str], count: int = 20) -> list[Reply]:
    """Take answers to be sent over `centres`. One that was claimed and not recorded stays unknown: never sent twice."""
    connection = await driver(tx)
    await connection.execute(
        "UPDATE sms_replies SET state = 'unknown', reason = 'worker_lost', at = now()"
        " WHERE state = 'sending' AND at < now() - interval '5 minutes'"
    )
    rows = await connection.fetch(
        """
        UPDATE sms_replies r SET state = 'sending', at = now()
          FROM sms_texts t
         WHERE t.id = r.text_id AND r.id = ANY (ARRAY (
                SELECT w.id FROM sms_replies w JOIN sms_texts o ON o.id = w.text_id
                 WHERE w.state = 'planned' AND o.centre = ANY ($1::text[])
                 ORDER BY w.id LIMIT $2 FOR UPDATE OF w SKIP LOCKED))
        RETURNING r.id, t.centre, t.recipient, t.sender, r.language, r.text
        """,
        list(centres),
        count,
    )
    return [Reply(*row) for row in rows]


async def record_reply(tx: Tx, reply_id: int, state: str, reason: str | None) -> None:
    """What became of an answer: sent, refused, unknown, or planned again."""
    await (await driver(tx)).execute(
        "UPDATE sms_replies SET state = $2, reason = $3, at = now() WHERE id = $1 AND state = 'sending'",
        reply_id,
        state,
        reason,
    )


def _phone(sender: str) -> str | None:
    """The sender as E.164; None for one that is no number. Centres leave the plus out as often as not."""
    for text in (sender, f"+{sender}"):
        try:
            return normalise_phone(text)
        except BadAddress:
            continue
    return None


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
