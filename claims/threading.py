"""Finds what a mail is a part of, where the address it came to does not say: other mails of its sender, or a case.

Headers can be forged and a case number can be guessed, so both count only where the sender is who they belong to: a
mail continues another by References only if both have one sender, and a case number in the subject counts only for
somebody whom that case knows. What they lead to then is the incident it is about; who wrote it is the resolver's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from foundation.database import Driver, Tx, driver
from notify import BadAddress, customer_cards, mail_header, mail_mailbox, normalise_mail, parse_mail

_MESSAGE_ID = re.compile(r"<([^<>\s]{3,250})>")
_NUMBER = re.compile(r"(?i)\bC-([1-9][0-9]{5,9})\b")
_MOST = 20


@dataclass(frozen=True, slots=True)
class MailHead:
    """What a mail calls itself and refers to. `sender`: normalised; `numbers`: of cases, in the subject."""

    name: str
    sender: str
    refers_to: tuple[str, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thread:
    """What a mail continues: a contact, and the incident that one is about."""

    continues_id: int
    incident_id: str | None


def read_head(raw: bytes) -> MailHead:
    """The head of a mail, whatever is wrong with it."""
    mail = parse_mail(raw)
    try:
        sender = normalise_mail(mail_mailbox(mail, "From")[1])
    except BadAddress:
        sender = ""
    own = _MESSAGE_ID.search(mail_header(mail, "Message-ID"))
    found = [
        one
        for field in ("In-Reply-To", "References")
        for one in reversed(_MESSAGE_ID.findall(mail_header(mail, field)))
    ]
    numbers = [f"C-{one}" for one in _NUMBER.findall(mail_header(mail, "Subject"))]
    return MailHead(
        own[1] if own else "", sender, tuple(dict.fromkeys(found))[:_MOST], tuple(dict.fromkeys(numbers))[:_MOST]
    )


async def threads(tx: Tx, mails: Mapping[int, bytes]) -> dict[int, Thread]:
    """Contact → what it continues, for these mails; their own names are kept for those that come after."""
    if not mails:
        return {}
    connection = await driver(tx)
    heads = {contact: head for contact, raw in mails.items() if (head := read_head(raw)).sender}
    await _keep_names(connection, heads)
    found = {**await _by_case_number(tx, connection, heads), **await _by_references(connection, heads)}
    await keep_threads(connection, found)
    return found


async def keep_threads(connection: Driver, found: Mapping[int, Thread]) -> None:
    """Write down what contacts continue; what is known of one already stays."""
    if found:
        await connection.execute(
            """
            UPDATE contacts k SET continues_id = new.continues_id
              FROM unnest($1::bigint[], $2::bigint[]) AS new (id, continues_id)
             WHERE k.id = new.id AND k.continues_id IS NULL AND new.continues_id < k.id
            """,
            list(found),
            [one.continues_id for one in found.values()],
        )


async def _keep_names(connection: Driver, heads: Mapping[int, MailHead]) -> None:
    await connection.execute(
        """
        INSERT INTO mail_names (contact_id, name, sender)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
        """,
        list(heads),
        [one.name for one in heads.values()],
        [one.sender for one in heads.values()],
    )


async def _by_references(connection: Driver, heads: Mapping[int, MailHead]) -> dict[int, Thread]:
    asked = [(contact, head.sender, name) for contact, head in heads.items() for name in head.refers_to]
    rows = await connection.fetch(
        """
        SELECT asked.id, max(m.contact_id) AS continues_id
          FROM unnest($1::bigint[], $2::text[], $3::text[]) AS asked (id, sender, name)
          JOIN mail_names m ON m.name = asked.name AND m.sender = asked.sender AND m.contact_id < asked.id
         GROUP BY asked.id
        """,
        [one[0] for one in asked],
        [one[1] for one in asked],
        [one[2] for one in asked],
    )
    return await _with_incidents(connection, {row[0]: row[1] for row in rows})


async def _by_case_number(tx: Tx, connection: Driver, heads: Mapping[int, MailHead]) -> dict[int, Thread]:
    """By a case's number, for those whom the case knows: its customer by mail address, or who wrote in it before."""
    asked = [(contact, head.sender, number) for contact, head in heads.items() for number in head.numbers]
    rows = await connection.fetch(
        """
        SELECT asked.id, asked.sender, live.customer_id,
               (SELECT max(m.contact_id) FROM mail_names m JOIN contacts k ON k.id = m.contact_id
                 WHERE m.sender = asked.sender AND k.case_id = live.id AND m.contact_id < asked.id) AS theirs,
               (SELECT max(k.id) FROM contacts k WHERE k.case_id = live.id AND k.id < asked.id) AS newest
          FROM unnest($1::bigint[], $2::text[], $3::text[]) AS asked (id, sender, number)
          JOIN cases named ON named.number = asked.number
          JOIN cases live ON live.id = coalesce(named.merged_into, named.id)
        """,
        [one[0] for one in asked],
        [one[1] for one in asked],
        [one[2] for one in asked],
    )
    cards = await customer_cards(tx, {row["customer_id"] for row in rows if row["customer_id"]})
    found: dict[int, int] = {}
    for row in rows:
        card = cards.get(row["customer_id"])
        known = row["theirs"] or (row["newest"] if card is not None and row["sender"] in card.mails else None)
        if known is not None:
            found.setdefault(row["id"], known)
    return await _with_incidents(connection, found)


async def _with_incidents(connection: Driver, found: Mapping[int, int]) -> dict[int, Thread]:
    rows = await connection.fetch(
        "SELECT id, incident_id FROM contacts WHERE id = ANY ($1::bigint[])", list(found.values())
    )
    incidents = {row[0]: row[1] for row in rows}
    return {contact: Thread(before, incidents.get(before)) for contact, before in found.items()}
