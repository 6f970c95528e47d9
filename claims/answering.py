"""Answers people: a reply, a decision, an appointment, that a case is closed; each written down and planned to be sent.

The answer, what it answers and the message to send are one commit. Every message can be answered: it carries a signed
address, and its topic names the case (`case:<number>:<reply>`), so what comes back finds it.
"""

from collections.abc import Sequence
from datetime import datetime

import notify
from claims.cases import Held, journal, plain
from claims.deciding import Decided
from claims.letters import Letter, Offered, Writer
from claims.recipients import Recipient, recipient_of
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Fault, Invalid

LONGEST_REPLY = 10_000
TOPIC = "case:"


async def reply(
    tx: Tx,
    actor: Actor,
    writer: Writer,
    case: Held,
    words: str,
    *,
    agent: str,
    contact_ids: Sequence[int] = (),
    subject: str = "",
    language: str = "",
) -> int:
    """Answer contacts of a case in an agent's own words; the reply's id.

    `contact_ids`: those it answers, whose links then show it; none named: all that wait for an answer. Raises Invalid.
    """
    faults = []
    if not words.strip() or len(words) > LONGEST_REPLY:
        faults.append(Fault("words", f"Write something, at most {LONGEST_REPLY} characters."))
    connection = await driver(tx)
    answered = await _answered(connection, case.id, contact_ids)
    if set(contact_ids) - set(answered):
        faults.append(Fault("contacts", "One of these contacts is not in this case."))
    if faults:
        raise Invalid("This reply cannot be sent.", faults)
    to = await recipient_of(tx, writer.tokens, case, answered, language=language)
    letter = writer.reply(
        case.number, plain(words).strip(), agent=agent, language=to.language, case_url=_url(writer, to), subject=subject
    )
    # In the case it stands as the agent wrote it; what is sent has our words around it.
    made = await _send(tx, actor, case, to, letter, kind="reply", contact_ids=answered, words=plain(words).strip())
    await _mark_answered(connection, answered)
    return made


async def tell_decision(
    tx: Tx, actor: Actor, writer: Writer, case: Held, decided: Decided, *, agent: str, language: str = ""
) -> int:
    """Tell a customer what was decided; it is the answer to every contact that asked for it."""
    to = await recipient_of(tx, writer.tokens, case, decided.contact_ids, language=language)
    letter = writer.decision(
        case.number, decided.kind, decided.ruling, agent=agent, language=to.language, case_url=_url(writer, to)
    )
    made = await _send(tx, actor, case, to, letter, kind="decision", contact_ids=decided.contact_ids)
    await _mark_answered(await driver(tx), decided.contact_ids)
    return made


async def tell_appointment(
    tx: Tx, actor: Actor, writer: Writer, case: Held, contact_id: int, *, at: datetime, phone: str | None, agent: str
) -> int:
    """Tell a customer who speaks with them, and by when."""
    to = await recipient_of(tx, writer.tokens, case, [contact_id])
    letter = writer.appointment(
        case.number, at=at, phone=phone, agent=agent, language=to.language, case_url=_url(writer, to)
    )
    return await _send(tx, actor, case, to, letter, kind="appointment", contact_ids=[contact_id])


async def tell_offer(
    tx: Tx, actor: Actor, writer: Writer, case: Held, *, contact_ids: Sequence[int], offered: Offered
) -> int:
    """Tell a customer what we offer, or that an offer is off."""
    to = await recipient_of(tx, writer.tokens, case, contact_ids)
    letter = writer.offer(case.number, offered, language=to.language, case_url=_url(writer, to))
    return await _send(tx, actor, case, to, letter, kind="offer", contact_ids=contact_ids)


async def tell_closing(tx: Tx, actor: Actor, writer: Writer, case: Held) -> int:
    """Tell a customer that their case is closed, and ask whether it helped."""
    connection = await driver(tx)
    newest = await connection.fetchval(
        "SELECT id FROM contacts WHERE case_id = $1 AND answer_by IS NOT NULL"
        " ORDER BY received_at DESC, id DESC LIMIT 1",
        case.id,
    )
    contacts = [] if newest is None else [newest]
    to = await recipient_of(tx, writer.tokens, case, contacts)
    letter = writer.closing(case.number, language=to.language, case_url=_url(writer, to))
    await connection.execute("INSERT INTO feedback (case_id, contact_id) VALUES ($1, $2)", case.id, newest)
    return await _send(tx, actor, case, to, letter, kind="closing", contact_ids=contacts)


def _url(writer: Writer, to: Recipient) -> str:
    return writer.url(to.token, to.language) if to.token else f"{writer.public_url}/track"


async def _answered(connection: Driver, case_id: int, contact_ids: Sequence[int]) -> list[int]:
    """The contacts an answer is to: those named that are in the case, else all that wait, else the newest."""
    if contact_ids:
        rows = await connection.fetch(
            "SELECT id FROM contacts WHERE case_id = $1 AND id = ANY ($2::bigint[]) ORDER BY id",
            case_id,
            list(contact_ids),
        )
        return [row[0] for row in rows]
    rows = await connection.fetch(
        """
        SELECT id, answered_at IS NULL AND answer_by IS NOT NULL AS waits FROM contacts WHERE case_id = $1
         ORDER BY received_at DESC, id DESC
        """,
        case_id,
    )
    return [row["id"] for row in rows if row["waits"]] or [row["id"] for row in rows[:1]]


async def _mark_answered(connection: Driver, contact_ids: Sequence[int]) -> None:
    """The first answer stops the clock, at the instant it was written down; later ones change nothing."""
    await connection.execute(
        "UPDATE contacts SET answered_at = now() WHERE id = ANY ($1::bigint[]) AND answered_at IS NULL",
        list(contact_ids),
    )


async def _send(
    tx: Tx,
    actor: Actor,
    case: Held,
    to: Recipient,
    letter: Letter,
    *,
    kind: str,
    contact_ids: Sequence[int],
    words: str = "",
) -> int:
    connection = await driver(tx)
    made: int = await connection.fetchval(
        """
        INSERT INTO replies (case_id, contact_ids, kind, subject, words, language, written_by)
        VALUES ($1, $2::bigint[], $3, $4, $5, $6, $7) RETURNING id
        """,
        case.id,
        list(contact_ids),
        kind,
        letter.subject,
        words or letter.words,
        letter.language,
        str(actor),
    )
    if to.customer_id is not None:
        key = f"reply:{made}"
        await notify.enqueue(
            tx,
            key=key,
            topic=f"{TOPIC}{case.number}:{made}",
            number=1,
            messages=letter.messages,
            audience=notify.only(to.customer_id),
        )
        await connection.execute("UPDATE replies SET dispatch = $2 WHERE id = $1", made, key)
    await journal(tx, actor, case.id, "replied", reply=made, kind=kind, sent=to.customer_id is not None)
    return made
