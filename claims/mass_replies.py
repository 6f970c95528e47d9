"""One answer to many cases: chosen by what they have in common, sent once to each person, written down in each case.

Set-based: what it costs does not grow with Python loops over cases, but for reading where people whom the directory
does not know want their answer.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec
from sqlalchemy import ARRAY, BigInteger, DateTime, cast, func, null, select

import notify
from claims.answering import LONGEST_REPLY, TOPIC
from claims.cases import plain
from claims.letters import Writer
from claims.recipients import addresses_of
from claims.submissions import ASKS_FOR
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid
from foundation.languages import SPOKEN


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which cases an answer is for: those of an incident, or these numbers. `kind`: in which this is asked and open.

    `waiting`: only where a contact waits for an answer.
    """

    incident_id: str = ""
    numbers: Sequence[str] = ()
    kind: str = ""
    waiting: bool = True


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a mass reply: cases it stands in, persons it goes to, and cases with nobody to send it to."""

    id: int
    cases: int
    persons: int
    unreachable: int


async def reply_to_many(
    tx: Tx,
    actor: Actor,
    writer: Writer,
    chosen: Chosen,
    texts: dict[str, tuple[str, str]],
    *,
    key: str,
    agent: str,
) -> Sent:
    """Answer every case that fits, once a person. `texts`: language → (subject, words), English among them.

    `key`: what the sender calls it; the same key again is refused, so a form sent twice answers nobody twice.
    """
    _check(chosen, texts)
    connection = await driver(tx)
    sent_id = await connection.fetchval(
        "INSERT INTO mass_replies (key, chosen, written_by) VALUES ($1, $2::jsonb, $3)"
        " ON CONFLICT (key) DO NOTHING RETURNING id",
        key,
        plain(msgspec.json.encode(asdict(chosen)).decode()),
        str(actor),
    )
    if sent_id is None:
        raise Conflict("This answer was sent already.", code="sent_already")
    cases = await _write_down(connection, sent_id, chosen, texts, actor)
    customers, strangers = await _people(tx, connection, sent_id)
    people = sorted({*customers, *strangers})
    if people:
        letters = [
            writer.mass(plain(words).strip(), agent=agent, language=language, subject=plain(subject))
            for language, (subject, words) in texts.items()
        ]
        await _enqueue(tx, sent_id, [one for letter in letters for one in letter.messages], people)
    await connection.execute(_ANSWERED, sent_id)
    await connection.execute(_JOURNAL, sent_id, str(actor))
    await connection.execute(
        "UPDATE mass_replies SET cases = $2, persons = $3 WHERE id = $1", sent_id, cases, len(people)
    )
    reached = await connection.fetchval(
        "SELECT count(*) FROM replies WHERE mass_reply_id = $1 AND dispatch IS NOT NULL", sent_id
    )
    return Sent(sent_id, cases, len(people), cases - reached)


def _check(chosen: Chosen, texts: dict[str, tuple[str, str]]) -> None:
    faults = []
    if not chosen.incident_id and not chosen.numbers:
        faults.append(Fault("incident", "Name an incident, or the numbers of cases."))
    if chosen.kind and chosen.kind not in ASKS_FOR:
        faults.append(Fault("kind", f"Must be one of {', '.join(ASKS_FOR)}."))
    if "en" not in texts:
        faults.append(Fault("texts", "Write it in English at least: that stands in for every other language."))
    for language, (subject, words) in texts.items():
        if language not in SPOKEN:
            faults.append(Fault(f"texts.{language}", f"Must be one of {', '.join(SPOKEN)}."))
        if not subject.strip() or not words.strip() or len(words) > LONGEST_REPLY:
            faults.append(
                Fault(f"texts.{language}", f"Needs a subject, and words: at most {LONGEST_REPLY} characters.")
            )
    if faults:
        raise Invalid("This answer cannot be sent.", faults)


_WRITE = """
WITH fitting AS (
    SELECT c.id, c.customer_id,
           (SELECT array_agg(k.id ORDER BY k.id) FROM contacts k
             WHERE k.case_id = c.id AND k.answered_at IS NULL AND k.answer_by IS NOT NULL) AS waiting,
           (SELECT k.id FROM contacts k WHERE k.case_id = c.id ORDER BY k.received_at DESC LIMIT 1) AS newest,
           (SELECT k.language FROM contacts k WHERE k.case_id = c.id ORDER BY k.received_at DESC LIMIT 1) AS language
      FROM cases c
     WHERE c.merged_into IS NULL AND c.state = 'open'
       AND ($2 = '' OR c.incident_id = $2)
       AND (cardinality($3::text[]) = 0 OR c.number = ANY ($3::text[]))
       AND ($4 = '' OR EXISTS (SELECT FROM claims l JOIN contacts k ON k.id = l.contact_id
                                WHERE k.case_id = c.id AND l.kind = $4 AND l.state = 'open'))
)
INSERT INTO replies (case_id, contact_ids, kind, subject, words, language, written_by, mass_reply_id)
SELECT f.id, coalesce(f.waiting, CASE WHEN f.newest IS NULL THEN '{}' ELSE ARRAY[f.newest] END), 'mass',
       t.subject, t.words, t.language, $5, $1
  FROM fitting f
  JOIN LATERAL (SELECT * FROM unnest($7::text[], $8::text[], $9::text[]) AS said (language, subject, words)
                 ORDER BY said.language <> f.language, said.language <> 'en' LIMIT 1) t ON true
 WHERE NOT $6 OR f.waiting IS NOT NULL
"""


async def _write_down(
    connection: Driver, sent_id: int, chosen: Chosen, texts: dict[str, tuple[str, str]], actor: Actor
) -> int:
    tag = await connection.execute(
        _WRITE,
        sent_id,
        plain(chosen.incident_id),
        [plain(number).strip().upper() for number in chosen.numbers],
        chosen.kind,
        str(actor),
        chosen.waiting,
        list(texts),
        [plain(subject) for subject, _ in texts.values()],
        [plain(words).strip() for _, words in texts.values()],
    )
    return int(tag.rpartition(" ")[2])


async def _people(tx: Tx, connection: Driver, sent_id: int) -> tuple[set[int], set[int]]:
    """Whom it goes to: customers the directory reaches, and writers it does not know, by the address they gave."""
    rows = await connection.fetch(
        "SELECT DISTINCT c.customer_id FROM replies r JOIN cases c ON c.id = r.case_id"
        " WHERE r.mass_reply_id = $1 AND c.customer_id IS NOT NULL",
        sent_id,
    )
    customers = {row[0] for row in rows}
    strangers: set[int] = set()
    unknown = await connection.fetch(
        """
        SELECT DISTINCT ON (r.id) r.id, k.channel, k.language, k.raw, e.channel AS reach, e.address
          FROM replies r JOIN cases c ON c.id = r.case_id JOIN contacts k ON k.id = ANY (r.contact_ids)
          LEFT JOIN reaches e ON e.contact_id = k.id
         WHERE r.mass_reply_id = $1 AND c.customer_id IS NULL
         ORDER BY r.id, e.said_at DESC NULLS LAST, k.received_at DESC
        """,
        sent_id,
    )
    reached = []
    for contact in unknown:
        for channel, address in addresses_of(contact):
            strangers.add(await notify.correspondent(tx, channel, address, language=contact["language"]))
            reached.append(contact["id"])
            break
    await connection.execute(
        """
        UPDATE replies r SET dispatch = $2 FROM cases c
         WHERE r.mass_reply_id = $1 AND c.id = r.case_id
           AND (c.customer_id IS NOT NULL OR r.id = ANY ($3::bigint[]))
        """,
        sent_id,
        f"mass:{sent_id}",
        reached,
    )
    return customers, strangers


async def _enqueue(tx: Tx, sent_id: int, messages: Sequence[notify.MessageText], people: Sequence[int]) -> None:
    one = func.unnest(cast(list(people), ARRAY(BigInteger))).label("customer_id")
    audience = select(one, cast(null(), DateTime(timezone=True)).label("needed_at"))
    await notify.enqueue(
        tx, key=f"mass:{sent_id}", topic=f"{TOPIC}mass:{sent_id}", number=1, messages=messages, audience=audience
    )


_ANSWERED = """
UPDATE contacts k SET answered_at = now()
  FROM replies r WHERE r.mass_reply_id = $1 AND k.id = ANY (r.contact_ids) AND k.answered_at IS NULL
"""
_JOURNAL = """
INSERT INTO case_journal (case_id, actor, event, detail)
SELECT case_id, $2, 'replied', jsonb_build_object('reply', id, 'kind', 'mass', 'sent', dispatch IS NOT NULL)
  FROM replies WHERE mass_reply_id = $1
"""
