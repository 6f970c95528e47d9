"""What the holder of a link does with their case: adds to it, says how to be reached, answers whether we helped.

An addition is a contact like any other, with its own receipt and clock. It *continues* the contact whose link it came
in by: nobody has to find out whose it is, and wherever that one is taken it goes too.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from claims.casebook import Entry, write_journal
from claims.cases import plain, reopen
from claims.evidence import REGIONS
from claims.intake import fingerprint
from claims.links import Link
from claims.receipts import new_receipt
from claims.submissions import LONGEST
from claims.tracking import Followed
from foundation.actors import Actor
from foundation.database import Tx, driver
from foundation.errors import Conflict, Fault, Invalid
from notify import BadAddress, normalise_mail, normalise_phone

_QUESTION_MARKS = "?？؟"
# How a question begins that was typed without its mark, in the languages we speak.
_ENGLISH = ("who", "what", "when", "where", "why", "how", "can", "could", "will", "would", "may", "is", "are", "do")
_DUTCH = ("wie", "wat", "wanneer", "waar", "waarom", "hoe", "kan", "kunt", "kunnen", "mag")
_OTHERS = ("wer", "was", "wann", "wo", "warum", "wieso", "können", "darf", "qui", "quand", "où", "pourquoi", "comment")
_ASKING = frozenset((*_ENGLISH, *_DUTCH, *_OTHERS, "pouvez", "quién", "qué", "cuándo", "dónde", "cómo", "puedo"))


async def add(tx: Tx, link: Link, case: Followed, words: str, *, language: str, key: str | None, now: datetime) -> int:
    """Put more into a case, by its link; the id of the contact it became. The same `key` and words: the same contact.

    Raises `Invalid` when nothing is said.
    """
    if not words.strip() or len(words) > LONGEST["message"]:
        fault = "Please write something, at most 10,000 characters."
        raise Invalid(fault, [Fault("message", fault)])
    connection = await driver(tx)
    root = case.own_contacts[-1] if case.own_contacts else None
    if link.kind != "person":
        root = await connection.fetchval("SELECT id FROM contacts WHERE receipt = $1", link.receipt)
    raw = msgspec.json.encode({"message": plain(words), "incident": case.incident_id, "language": language})
    made = await connection.fetchrow(
        _ADD,
        new_receipt(),
        key,
        fingerprint(raw),
        language,
        raw,
        root,
        case.case_number,
        case.incident_id,
        "answered" if link.kind == "person" else "continues",
        now,
    )
    if made is None:
        again: int | None = await connection.fetchval("SELECT id FROM contacts WHERE idempotency_key = $1", key)
        assert again is not None  # it was in the way
        return again
    if made["case_id"] is not None:
        entry = Entry(made["case_id"], "contact_joined", {"contact": made["id"], "because": "continues", "value": ""})
        await write_journal(connection, "customer:link", [entry])
        await connection.execute("UPDATE cases SET version = version + 1 WHERE id = $1", made["case_id"])
        await reopen(connection, [made["case_id"]], {"because": "contact"})
    contact: int = made["id"]
    return contact


# Into the case that the contact it continues is in now; where that one still waits for its case, so does this.
_ADD = """
WITH home AS (
    SELECT coalesce(k.case_id, c.id) AS case_id, coalesce(k.customer_id, c.customer_id) AS customer_id
      FROM (SELECT) one
      LEFT JOIN contacts k ON k.id = $6
      LEFT JOIN cases c ON c.number = $7 AND k.id IS NULL
)
INSERT INTO contacts (receipt, idempotency_key, fingerprint, channel, language, raw, continues_id, incident_id,
                      state, case_id, customer_id, matched_by, received_at, answer_by, resolved_at)
SELECT $1, $2, $3, 'api', $4, $5, $6, $8, CASE WHEN case_id IS NULL THEN 'received' ELSE 'resolved' END, case_id,
       CASE WHEN case_id IS NOT NULL THEN customer_id END, CASE WHEN case_id IS NOT NULL THEN $9 END, $10,
       $10::timestamptz + interval '24 hours', CASE WHEN case_id IS NOT NULL THEN $10::timestamptz END
  FROM home
    ON CONFLICT (idempotency_key) DO NOTHING
RETURNING id, case_id
"""


async def set_reach(tx: Tx, contact_ids: Sequence[int], address: str, *, language: str, now: datetime) -> None:
    """Note the mail address or phone number at which the holder wants our answers. Raises `Invalid`.

    It counts where the directory does not know the customer; where it does, its own addresses do.
    """
    if not contact_ids:
        raise Conflict("There is no message of yours in this case yet. Write to us first.", code="no_contact")
    channel, value = _address(address)
    await (await driver(tx)).execute(
        """
        INSERT INTO reaches (contact_id, channel, address, language, said_at)
        SELECT id, $2, $3, $4, $5 FROM unnest($1::bigint[]) AS own (id)
            ON CONFLICT (contact_id) DO UPDATE SET channel = $2, address = $3, language = $4, said_at = $5
        """,
        list(contact_ids),
        channel,
        value,
        language,
        now,
    )


def _address(text: str) -> tuple[str, str]:
    try:
        if "@" in text:
            return "mail", normalise_mail(text)
        return "sms", normalise_phone(text, REGIONS)
    except BadAddress:
        fault = (
            "Give a mail address like name@example.org, or a phone number with the country first, like +31 6 12345678."
        )
        raise Invalid(fault, [Fault("address", fault)]) from None


async def give_feedback(
    tx: Tx, link: Link, case: Followed, *, score: int | None, words: str, language: str, now: datetime
) -> bool:
    """Keep whether we helped. Words with a question in them become a contact, so that somebody answers: True then."""
    if case.feedback_id is None:
        raise Conflict("We have your answer already. Thank you.", code="feedback_given")
    if (score is None or not 1 <= score <= 5) and not words.strip():
        fault = "Choose one of the five, or write something."
        raise Invalid(fault, [Fault("score", fault)])
    asks = holds_a_question(words)
    question = None
    if asks:
        question = await add(tx, link, case, words, language=language, key=f"feedback:{case.feedback_id}", now=now)
    await (await driver(tx)).execute(
        """
        UPDATE feedback SET score = $2, words = $3, given_at = $4, question_id = $5 WHERE id = $1 AND given_at IS NULL
        """,
        case.feedback_id,
        score,
        plain(words)[: LONGEST["message"]].strip(),
        now,
        question,
    )
    return asks


def holds_a_question(words: str) -> bool:
    """Whether somebody asks something: a sentence that ends in a question mark, or begins as questions do. Pure.

    Rather one too many: whoever asked nothing gets a friendly word, whoever did would wait in vain.
    """
    if any(mark in words for mark in _QUESTION_MARKS):
        return True
    for sentence in words.replace("!", ".").replace("\n", ".").split("."):
        first = sentence.strip(" ¿¡\"'“”«»").lower().split(" ", 1)
        if len(first) > 1 and first[0] in _ASKING and len(first[1].split()) > 1:
            return True
    return False


CUSTOMER = Actor("customer", "link")
