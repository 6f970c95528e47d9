"""Drills: whatever is planned about one reaches the seeds and nobody else, and says in its first line what it is.

A drill is known by its subject, the id of what it is about. Every topic that holds that id between its colons is held
to this, whoever asks and with what audience: planning has no other way in (`planning.enqueue`, `planning.preview`).
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import DateTime, literal_column, select, union_all
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql import Select

from foundation.database import Tx
from notify.messages import MessageText, is_news
from notify.tables import customers, exercises, seeds

_MARKS = {
    "en": ("EXERCISE", "This is an exercise. Nothing has happened."),
    "nl": ("OEFENING", "Dit is een oefening. Er is niets gebeurd."),
    "de": ("ÜBUNG", "Dies ist eine Übung. Es ist nichts geschehen."),
    "fr": ("EXERCICE", "Ceci est un exercice. Il ne s’est rien passé."),
    "es": ("SIMULACRO", "Esto es un simulacro. No ha ocurrido nada."),
}


async def rehearse(tx: Tx, subject: str) -> None:
    """From here on everything about `subject` is a drill. There is no way back: what began as one ends as one."""
    await tx.execute(upsert(exercises).values(subject=subject).on_conflict_do_nothing())


async def is_drill(tx: Tx, topic: str) -> bool:
    """Whether `topic` is about a drill."""
    query = select(exercises.c.subject).where(exercises.c.subject.in_(topic.split(":"))).limit(1)
    return (await tx.execute(query)).first() is not None


def drilled(audience: Select[tuple[int, object]], topic: str, *, corrects: bool = False) -> Select[tuple[int, object]]:
    """Those of `audience` who are seeds. News goes to every seed, concerned or not: they are who the drill is for."""
    people = audience.subquery("concerned")
    everybody = select(people.c.customer_id, people.c.needed_at)
    if is_news(topic) and not corrects:
        unknown: object = literal_column("NULL", DateTime(timezone=True)).label("needed_at")
        everybody = union_all(everybody, select(seeds.c.customer_id, unknown))  # type: ignore[call-overload,assignment]  # columns of the same types
    all_of_them = everybody.subquery("everybody")
    return (
        select(all_of_them.c.customer_id, all_of_them.c.needed_at)
        .join(seeds, seeds.c.customer_id == all_of_them.c.customer_id)
        # Whoever follows the page, or only wrote to us, is a stranger, also when somebody made a seed of them.
        .join(customers, (customers.c.id == seeds.c.customer_id) & customers.c.kind.in_(("customer", "staff")))
    )


def marked(texts: Sequence[MessageText]) -> list[MessageText]:
    """The texts of a drill, each of which says so first. Machines are told nothing of it."""
    found = []
    for one in texts:
        if one.channel == "webhook":
            continue
        word, sentence = _MARKS.get(one.language, _MARKS["en"])
        if one.channel == "sms":
            found.append(replace(one, body=f"{word}: {one.body}"))
        else:
            found.append(replace(one, subject=f"{word}: {one.subject}", body=f"{sentence}\n\n{one.body}"))
    return found
