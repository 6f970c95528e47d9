"""Tells people that we have their message, by mail or text, on the channel they came by, once; later "we have you".

The resolver notes who is due in the transaction that gives a contact its case, so nobody is forgotten by a crash; a
worker decides and plans the message in one transaction, so nobody is told twice. It sends nothing itself.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import asyncpg

import notify
from claims.acknowledgement import Earlier, Verdict, verdict, vouched_for
from claims.letters import Writer
from claims.links import current_turn, person_token, track_token
from claims.receipts import grouped
from claims.submissions import NOTHING_SAID, stored_submission
from foundation.clock import Clock
from foundation.database import Database, Driver, Tx, driver
from notify import BadAddress, Card, mail_header, normalise_mail, normalise_phone, parse_mail

TOPIC = "acknowledgement:"
_MOST = 50
_Channel = Literal["mail", "sms"]


async def note_due(connection: Driver, contact_ids: Collection[int]) -> None:
    """These contacts have their case now: whoever of them may hear from us is due. Doing it again changes nothing."""
    await connection.execute(
        """
        INSERT INTO acknowledgements (contact_id, kind)
        SELECT id, 'due' FROM contacts
         WHERE id = ANY ($1::bigint[]) AND state = 'resolved' AND answer_by IS NOT NULL
           AND channel IN ('mail', 'sms', 'web', 'api')
            ON CONFLICT DO NOTHING
        """,
        list(contact_ids),
    )


@dataclass(frozen=True, slots=True)
class _Due:
    """A contact whose writer may hear from us, and where that would be."""

    row: asyncpg.Record
    channel: _Channel
    address: str


@dataclass(frozen=True, slots=True)
class Acknowledging:
    """The worker's step. `verdicts_by`: whose Authentication-Results we believe."""

    database: Database
    writer: Writer
    clock: Clock
    verdicts_by: str = ""

    async def step(self) -> bool:
        """Decide on some who are due. True: there may be more."""
        async with self.database.transaction() as tx:
            connection = await driver(tx)
            # One at a time, so that the caps are exact.
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(x'41434B'::bigint)"):
                return False
            rows = await connection.fetch(_DUE, _MOST)
            due = [_Due(row, *where) for row in rows if (where := self._where(row)) is not None]
            cards = await notify.customer_cards(tx, {row["customer_id"] for row in rows if row["customer_id"]})
            told = await notify.addresses_told(tx, {row["delivery_id"] for row in rows if row["delivery_id"]})
            nowhere = {row["id"] for row in rows} - {one.row["id"] for one in due}
            await _settle(connection, nowhere, "no_address")
            for one in due:
                if self._is_proven(one, cards, told):
                    await self._decide(tx, one, cards)
                else:
                    await _settle(connection, {one.row["id"]}, "not_proven")
        return len(rows) == _MOST

    def _where(self, row: asyncpg.Record) -> tuple[_Channel, str] | None:
        said = stored_submission(row["channel"], row["raw"]) or NOTHING_SAID
        with suppress(BadAddress):
            if row["channel"] == "sms":
                return "sms", normalise_phone(said.phone or "")
            return "mail", normalise_mail(said.email or "")
        return None

    def _is_proven(self, one: _Due, cards: Mapping[int, Card], told: Mapping[int, frozenset[str]]) -> bool:
        if one.channel == "sms":
            return self.writer.texts  # the network names the sender; without a centre there is nobody to send by
        card = cards.get(one.row["customer_id"])
        if card is not None and one.address in card.mails:
            return True
        if one.row["channel"] != "mail":
            return False
        if one.address in told.get(one.row["delivery_id"], frozenset()):
            return True
        results = mail_header(parse_mail(one.row["raw"]), "Authentication-Results")
        return vouched_for(results, self.verdicts_by, one.address)

    async def _decide(self, tx: Tx, one: _Due, cards: Mapping[int, Card]) -> None:
        connection, now = await driver(tx), self.clock()
        rows = await connection.fetch(_EARLIER, one.channel, one.address, one.row["case_id"])
        kind, why = verdict(now, one.row["incident_id"], [Earlier(*row) for row in rows])
        if kind == "none":
            await _settle(connection, {one.row["id"]}, why)
            return
        await self._send(tx, one, kind, cards.get(one.row["customer_id"]))
        await connection.execute(
            """
            UPDATE acknowledgements SET kind = $2, incident_id = $3, channel = $4, address = $5, at = $6, dispatch = $7
             WHERE contact_id = $1 AND kind = 'due'
            """,
            one.row["id"],
            kind,
            one.row["incident_id"],
            one.channel,
            one.address,
            now,
            f"{TOPIC}{one.row['id']}",
        )

    async def _send(self, tx: Tx, one: _Due, kind: Verdict, card: Card | None) -> None:
        row, language = one.row, one.row["language"]
        tokens = self.writer.tokens
        if card is not None and one.address in (*card.mails, *card.phones):
            customer, language = card.id, card.language
            turn = await current_turn(tx, f"{row['incident_id']}:{card.id}")
            token = person_token(tokens, row["incident_id"], card.id, turn=turn)
        else:
            customer = await notify.correspondent(tx, one.channel, one.address, language=language)
            turn = await current_turn(tx, row["receipt"])
            token = track_token(tokens, row["receipt"], kind="mailed", turn=turn)
        url = self.writer.url(token, language)
        letter = self.writer.received(
            row["number"], receipt=grouped(row["receipt"]), again=kind == "again", language=language, case_url=url
        )
        await notify.enqueue(
            tx,
            key=f"{TOPIC}{row['id']}",
            topic=f"{TOPIC}{row['id']}",
            number=1,
            messages=[text for text in letter.messages if text.channel == one.channel],
            audience=notify.only(customer),
        )


_DUE = """
SELECT k.id, k.receipt, k.channel, k.language, k.raw, k.customer_id, k.case_id, k.delivery_id, c.incident_id, c.number
  FROM acknowledgements a JOIN contacts k ON k.id = a.contact_id JOIN cases c ON c.id = k.case_id
 WHERE a.kind = 'due'
 ORDER BY a.contact_id LIMIT $1
   FOR UPDATE OF a SKIP LOCKED
"""
# To this address, or in this case.
_EARLIER = """
SELECT a.at, a.incident_id, a.channel = $1 AND a.address = $2, k.case_id = $3
  FROM acknowledgements a JOIN contacts k ON k.id = a.contact_id
 WHERE a.kind IN ('first', 'again') AND ((a.channel = $1 AND a.address = $2) OR k.case_id = $3)
 ORDER BY a.at DESC LIMIT 50
"""


async def _settle(connection: Driver, contact_ids: Collection[int], why: str) -> None:
    if contact_ids:
        await connection.execute(
            "UPDATE acknowledgements SET kind = 'none', why = $2"
            " WHERE contact_id = ANY ($1::bigint[]) AND kind = 'due'",
            list(contact_ids),
            why,
        )
