"""Texts that agents use again and again, per language. An agent reads one over before it is sent: it fills a form."""

from dataclasses import dataclass

from claims.answering import LONGEST_REPLY
from claims.cases import plain
from claims.submissions import ASKS_FOR
from foundation.actors import Actor
from foundation.database import Tx, driver
from foundation.errors import Fault, Invalid, NotFound


@dataclass(frozen=True, slots=True)
class SavedReply:
    """A text to start from. `kind`: what of cases it is for; None: any."""

    id: int
    name: str
    language: str
    kind: str | None
    words: str


async def save(tx: Tx, actor: Actor, *, name: str, language: str, words: str, kind: str | None = None) -> int:
    """Keep a text under a name; again under the same name and language: the new text. Raises Invalid."""
    faults = []
    if not name.strip() or len(name) > 100:
        faults.append(Fault("name", "Give it a name, at most 100 characters."))
    if not words.strip() or len(words) > LONGEST_REPLY:
        faults.append(Fault("words", f"Write something, at most {LONGEST_REPLY} characters."))
    if not (len(language) == 2 and language.isascii() and language.isalpha()):
        faults.append(Fault("language", "Two letters, such as nl."))
    if kind is not None and kind not in ASKS_FOR:
        faults.append(Fault("kind", f"Must be one of {', '.join(ASKS_FOR)}."))
    if faults:
        raise Invalid("This text cannot be saved.", faults)
    made: int = await (await driver(tx)).fetchval(
        """
        INSERT INTO saved_replies (name, language, kind, words, written_by) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (name, language)
            DO UPDATE SET kind = $3, words = $4, written_by = $5, written_at = now(), archived_at = NULL
        RETURNING id
        """,
        plain(name).strip(),
        language.lower(),
        kind,
        plain(words).strip(),
        str(actor),
    )
    return made


async def archive(tx: Tx, saved_id: int) -> None:
    """Offer a text no more. Raises NotFound."""
    tag = await (await driver(tx)).execute(
        "UPDATE saved_replies SET archived_at = now() WHERE id = $1 AND archived_at IS NULL", saved_id
    )
    if tag == "UPDATE 0":
        raise NotFound("There is no such saved reply.", code="no_such_saved_reply")


async def saved_replies(tx: Tx, language: str = "") -> list[SavedReply]:
    """The texts on offer, those in `language` first."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT id, name, language, kind, words FROM saved_replies WHERE archived_at IS NULL
         ORDER BY language <> $1, name, language
        """,
        language,
    )
    return [SavedReply(*row) for row in rows]
