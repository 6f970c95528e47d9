"""Tells people that we have their message, by mail or text, on the channel they came by, once; later "we have you".

The resolver notes who is due in the transaction that gives a contact its case, so nobody is forgotten by a crash; a
worker decides and plans the message in one transaction, so nobody is told twice. It sends nothing itself.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg

import notify
from claims.acknowledgement import Earlier, Verdict, verdict, vouched_for
from claims.letters import Writer
from claims.links import current_turns, person_token, track_token
from claims.receipts import grouped
from claims.submissions import NOTHING_SAID, stored_submission
from foundation.clock import Clock
from foundation.database import Database, Driver, Tx, driver
from notify import BadAddress, Card, mail_header, normalise_mail, normalise_phone, parse_mail

TOPIC = "acknowledgement:"
_MOST = 200
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
            proven = [one for one in due if self._is_proven(one, cards, told)]
            nowhere = {row["id"] for row in rows} - {one.row["id"] for one in due}
            await _settle(connection, dict.fromkeys(nowhere, "no_address"))
            unproven = {one.row["id"] for one in due} - {one.row["id"] for one in proven}
            await _settle(connection, dict.fromkeys(unproven, "not_proven"))
            await self._decide(tx, proven, cards)
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

    async def _decide(self, tx: Tx, proven: Sequence[_Due], cards: Mapping[int, Card]) -> None:
        connection, now = await driver(tx), self.clock()
        history = _History(
            await connection.fetch(
                _EARLIER,
                [one.channel for one in proven],
                [one.address for one in proven],
                [one.row["case_id"] for one in proven],
            )
        )
        going: list[tuple[_Due, Verdict]] = []
        quiet: dict[int, str] = {}
        for one in proven:
            kind, why = verdict(now, one.row["incident_id"], history.before(one))
            if kind == "none":
                quiet[one.row["id"]] = why
            else:
                going.append((one, kind))
                history.add(now, one)
        await _settle(connection, quiet)
        await notify.enqueue_each(tx, await self._letters(tx, going, cards))
        await connection.execute(
            _SENT,
            [one.row["id"] for one, _ in going],
            [kind for _, kind in going],
            [one.row["incident_id"] for one, _ in going],
            [one.channel for one, _ in going],
            [one.address for one, _ in going],
            now,
            TOPIC,
        )

    async def _letters(
        self, tx: Tx, going: Sequence[tuple[_Due, Verdict]], cards: Mapping[int, Card]
    ) -> list[notify.PersonalLetter]:
        known = {one.row["id"]: card for one, _ in going if (card := _card(one, cards)) is not None}
        others = [one for one, _ in going if one.row["id"] not in known]
        writers = await notify.correspondents(tx, {(one.channel, one.address): one.row["language"] for one in others})
        names = {one.row["id"]: _link_name(one, known.get(one.row["id"])) for one, _ in going}
        turns = await current_turns(tx, set(names.values()))
        letters = []
        for one, kind in going:
            card, turn = known.get(one.row["id"]), turns[names[one.row["id"]]]
            to = writers[one.channel, one.address] if card is None else card.id
            letters.append(notify.PersonalLetter(f"{TOPIC}{one.row['id']}", to, self._text(one, kind, card, turn)))
        return letters

    def _text(self, one: _Due, kind: Verdict, card: Card | None, turn: int) -> notify.MessageText:
        row, tokens = one.row, self.writer.tokens
        if card is not None:
            language, token = card.language, person_token(tokens, row["incident_id"], card.id, turn=turn)
        else:
            language, token = row["language"], track_token(tokens, row["receipt"], kind="mailed", turn=turn)
        letter = self.writer.received(
            row["number"],
            receipt=grouped(row["receipt"]),
            again=kind == "again",
            language=language,
            case_url=self.writer.url(token, language),
        )
        return next(text for text in letter.messages if text.channel == one.channel)


class _History:
    """What was sent before to the addresses and in the cases of a round, and what this round adds."""

    def __init__(self, rows: Sequence[asyncpg.Record]) -> None:
        self._told: list[tuple[datetime, str, tuple[str, str], int]] = []
        self._at_address: dict[tuple[str, str], list[int]] = {}
        self._in_case: dict[int, list[int]] = {}
        for row in rows:
            self._note(row["at"], row["incident_id"], (row["channel"], row["address"]), row["case_id"])

    def add(self, now: datetime, one: _Due) -> None:
        self._note(now, one.row["incident_id"], (one.channel, one.address), one.row["case_id"])

    def before(self, one: _Due) -> list[Earlier]:
        address, case = (one.channel, one.address), one.row["case_id"]
        places = {*self._at_address.get(address, ()), *self._in_case.get(case, ())}
        told = [self._told[place] for place in places]
        return [Earlier(at, about, where == address, inside == case) for at, about, where, inside in told]

    def _note(self, at: datetime, incident_id: str, address: tuple[str, str], case_id: int) -> None:
        self._at_address.setdefault(address, []).append(len(self._told))
        self._in_case.setdefault(case_id, []).append(len(self._told))
        self._told.append((at, incident_id, address, case_id))


def _card(one: _Due, cards: Mapping[int, Card]) -> Card | None:
    """The directory's card of whoever writes, where it has this very address."""
    card = cards.get(one.row["customer_id"])
    return card if card is not None and one.address in (*card.mails, *card.phones) else None


def _link_name(one: _Due, card: Card | None) -> str:
    receipt: str = one.row["receipt"]
    return receipt if card is None else f"{one.row['incident_id']}:{card.id}"


_DUE = """
SELECT k.id, k.receipt, k.channel, k.language, k.raw, k.customer_id, k.case_id, k.delivery_id, c.incident_id, c.number
  FROM acknowledgements a JOIN contacts k ON k.id = a.contact_id JOIN cases c ON c.id = k.case_id
 WHERE a.kind = 'due'
 ORDER BY a.contact_id LIMIT $1
   FOR UPDATE OF a SKIP LOCKED
"""
# To these addresses, or in these cases.
_EARLIER = """
SELECT a.contact_id, a.at, a.incident_id, a.channel, a.address, k.case_id
  FROM acknowledgements a JOIN contacts k ON k.id = a.contact_id
 WHERE a.kind IN ('first', 'again')
   AND (a.channel, a.address) IN (SELECT * FROM unnest($1::text[], $2::text[]))
 UNION
SELECT a.contact_id, a.at, a.incident_id, a.channel, a.address, k.case_id
  FROM contacts k JOIN acknowledgements a ON a.contact_id = k.id
 WHERE a.kind IN ('first', 'again') AND k.case_id = ANY ($3::bigint[])
"""
_SENT = """
UPDATE acknowledgements a
   SET kind = new.kind, incident_id = new.incident_id, channel = new.channel, address = new.address, at = $6,
       dispatch = $7 || new.contact_id
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS new (contact_id, kind, incident_id, channel, address)
 WHERE a.contact_id = new.contact_id AND a.kind = 'due'
"""


async def _settle(connection: Driver, whys: Mapping[int, str]) -> None:
    """These hear nothing: contact → why."""
    if whys:
        await connection.execute(
            """
            UPDATE acknowledgements a SET kind = 'none', why = new.why
              FROM unnest($1::bigint[], $2::text[]) AS new (contact_id, why)
             WHERE a.contact_id = new.contact_id AND a.kind = 'due'
            """,
            list(whys),
            list(whys.values()),
        )
