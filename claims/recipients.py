"""Whom an answer in a case goes to, and with which link: a customer where the directory reaches them, else the writer.

Where the directory knows a customer, nothing that a contact says can lead an answer elsewhere: anybody may have typed
that customer's number.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from claims.cases import Held
from claims.evidence import REGIONS
from claims.links import current_turn, person_token, track_token
from claims.submissions import NOTHING_SAID, stored_submission
from foundation.database import Driver, Tx, driver
from foundation.tokens import Tokens
from notify import BadAddress, Card, ReplyChannel, correspondent, customer_cards, normalise_mail, normalise_phone


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where an answer goes. `customer_id`: of the directory, or of a correspondent; None: nowhere, they read the page.

    `token`: of the link that goes with it. `name`: as the directory has it.
    """

    customer_id: int | None
    token: str
    language: str
    name: str = ""


async def recipient_of(
    tx: Tx, tokens: Tokens, case: Held, contact_ids: Sequence[int], *, language: str = ""
) -> Recipient:
    """Whom an answer to these contacts of `case` goes to."""
    connection = await driver(tx)
    card = (await customer_cards(tx, [case.customer_id])).get(case.customer_id) if case.customer_id else None
    if card is not None and (card.mails or card.phones):
        return await _customer(tx, tokens, case, card, language or card.language)
    contacts = await _contacts(connection, case.id, contact_ids)
    if not contacts:
        return Recipient(None, "", language or (card.language if card else "en"), card.name if card else "")
    newest = contacts[0]
    spoken = language or newest["language"]
    turn = await current_turn(tx, newest["receipt"])
    for contact in contacts:
        for channel, address in addresses_of(contact):
            to = await correspondent(tx, channel, address, language=spoken)
            token = track_token(tokens, contact["receipt"], kind="mailed", turn=turn)
            return Recipient(to, token, spoken, card.name if card else "")
    return Recipient(None, track_token(tokens, newest["receipt"], turn=turn), spoken)


async def _customer(tx: Tx, tokens: Tokens, case: Held, card: Card, language: str) -> Recipient:
    turn = await current_turn(tx, f"{case.incident_id}:{card.id}")
    return Recipient(card.id, person_token(tokens, case.incident_id, card.id, turn=turn), language, card.name)


async def _contacts(connection: Driver, case_id: int, contact_ids: Sequence[int]) -> list[asyncpg.Record]:
    """The contacts, or all of the case when none is named; those that say how to be reached first, then the newest."""
    return await connection.fetch(
        """
        SELECT k.id, k.receipt, k.channel, k.language, k.raw, r.channel AS reach, r.address
          FROM contacts k LEFT JOIN reaches r ON r.contact_id = k.id
         WHERE k.case_id = $1 AND (cardinality($2::bigint[]) = 0 OR k.id = ANY ($2::bigint[]))
         ORDER BY r.said_at DESC NULLS LAST, k.received_at DESC, k.id DESC LIMIT 50
        """,
        case_id,
        list(contact_ids),
    )


def addresses_of(contact: asyncpg.Record) -> Iterator[tuple[ReplyChannel, str]]:
    """The addresses a contact gives, the surest first."""
    if contact["address"]:
        yield contact["reach"], contact["address"]
    said = stored_submission(contact["channel"], contact["raw"]) or NOTHING_SAID
    if said.email:
        with suppress(BadAddress):
            yield "mail", normalise_mail(said.email)
    if said.phone:
        with suppress(BadAddress):
            yield "sms", normalise_phone(said.phone, REGIONS)
