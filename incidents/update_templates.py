"""Texts to start an update from: a set we ship, per phase and language, and the organisation's own.

A template has placeholders from a short list and nothing else: no conditions, no loops, no names to look up. What is
filled in is text and is never read as a template again. A filled template is a beginning; people write the rest.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Fault, Invalid, NotFound
from foundation.languages import SPOKEN, in_language
from incidents.lifecycle import Phase
from incidents.records import Incident, Update, find_incident, read_texts, stored_texts, updates_of
from incidents.tables import components, parties, update_templates
from incidents.wording import LONGEST_LABEL, LONGEST_TITLE, UpdateText, line_faults, text_faults, tidy, tidy_text

PLACEHOLDERS = {
    "title": "what the incident is called",
    "components": "what it concerns, by name",
    "started": "since when",
    "next_update": "by when the next update is promised",
    "party": "who is responsible for what is affected",
    "latest": "what the update before said",
}
# Named one by one; the rest is counted.
MOST_NAMED = 5
_KNOWN = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
_PLACEHOLDER = re.compile(r"\{([^{}\n]*)\}")
_KEY = re.compile("[a-z0-9][a-z0-9-]{0,59}")
# What stands where we do not know: nobody overlooks it, and nobody takes it for a fact.
_OPEN = "…"
_MORE = {"en": "and {} more", "nl": "en nog {}", "de": "und {} weitere", "fr": "et {} autres", "es": "y {} más"}
_OURSELVES = {"en": "our team", "nl": "ons team", "de": "unserem Team", "fr": "notre équipe", "es": "nuestro equipo"}

# A moment as people read it in a language.
WriteMoment = Callable[[datetime, str], str]


def plain_moment(at: datetime, language: str) -> str:
    """A moment in UTC, the same in every language: what stands in where nobody says how to write one."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class UpdateTemplate:
    """`own`: the organisation's, not one that we ship. `phase`: what it is meant for; any update may start from it."""

    key: str
    phase: Phase
    name: str
    texts: Mapping[str, UpdateText]
    own: bool = False


async def all_templates(tx: Tx) -> list[UpdateTemplate]:
    """Every template: ours as shipped, in the order of an incident's life, then the organisation's, by key.

    One of the organisation's with the key of a shipped one stands in its place.
    """
    own = {row.key: _read(row) for row in await tx.execute(select(*_COLUMNS).order_by(update_templates.c.key))}
    found = [own.pop(key, template) for key, template in shipped().items()]
    return [*found, *own.values()]


async def find_template(tx: Tx, key: str) -> UpdateTemplate:
    """The template with this key. Raises NotFound."""
    row = (await tx.execute(select(*_COLUMNS).where(update_templates.c.key == key))).one_or_none()
    found = shipped().get(key) if row is None else _read(row)
    if found is None:
        raise NotFound("There is no such template.", code="no_such_template")
    return found


async def define_template(tx: Tx, actor: Actor, template: UpdateTemplate, *, now: datetime) -> UpdateTemplate:
    """Keep a template of the organisation's own, or change it. Raises Invalid with every fault."""
    texts = {language: tidy_text(text) for language, text in template.texts.items()}
    if faults := list(template_faults(template.key, template.phase, template.name, texts)):
        raise Invalid("This template cannot be kept like this.", faults)
    values: dict[str, Any] = {"phase": template.phase, "name": tidy(template.name), "texts": stored_texts(texts)}
    values |= {"changed_by": str(actor), "changed_at": now}
    kept = insert(update_templates).values(key=template.key, **values)
    await tx.execute(kept.on_conflict_do_update(index_elements=["key"], set_=values))
    return await find_template(tx, template.key)


async def drop_template(tx: Tx, key: str) -> None:
    """Remove a template of the organisation's own; a shipped one with its key is back. Raises NotFound."""
    gone = await tx.execute(delete(update_templates).where(update_templates.c.key == key))
    if not gone.rowcount:
        raise NotFound("There is no such template of your own.", code="no_such_template")


async def start_from(
    tx: Tx, incident_id: str, key: str, write: WriteMoment, *, next_update_at: datetime | None = None
) -> dict[str, UpdateText]:
    """The texts of a template with what is known of the incident filled in; what is not known stands as `…`.

    Nothing is stored: it is what a writer begins with. Raises NotFound.
    """
    incident, template = await find_incident(tx, incident_id), await find_template(tx, key)
    said = [one for one in await updates_of(tx, incident.id) if one.state == "published"]
    latest = max(said, key=lambda one: one.number or 0, default=None)
    return await filled_in(tx, incident, template, write, latest=latest, next_update_at=next_update_at)


async def filled_in(
    tx: Tx,
    incident: Incident,
    template: UpdateTemplate,
    write: WriteMoment,
    *,
    latest: Update | None,
    next_update_at: datetime | None,
) -> dict[str, UpdateText]:
    """See `start_from`. `latest`: the newest published update."""
    names, responsible = await _concerned(tx, incident)
    found = {}
    for language, text in template.texts.items():
        values = {
            "title": in_language(incident.title, language)[1],
            "components": _listed(names, language),
            "started": write(incident.started_at, language),
            "next_update": write(next_update_at, language) if next_update_at else _OPEN,
            "party": ", ".join(responsible[:MOST_NAMED]) or _OURSELVES.get(language, _OPEN),
            "latest": in_language(latest.texts, language)[1].body if latest else _OPEN,
        }
        found[language] = fill(text, values)
    return found


def fill(text: UpdateText, values: Mapping[str, str]) -> UpdateText:
    """The text with its placeholders filled, each once: what a value says is never read as a placeholder."""

    def filled(said: str) -> str:
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), said)

    title = " ".join(filled(text.title).split())
    short = title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1].rstrip() + "…"
    return UpdateText(short, filled(text.body), filled(text.advice), filled(text.cause), filled(text.wrong))


def template_faults(key: str, phase: str, name: str, texts: Mapping[str, UpdateText]) -> Iterator[Fault]:
    """What is wrong with a template, field by field."""
    if not _KEY.fullmatch(key):
        yield Fault("key", "A key is made of small letters, digits and hyphens, 60 at most.")
    if phase not in get_args(Phase) or phase == "postmortem":
        yield Fault("phase", "This is no phase of an incident or of planned work.")
    yield from line_faults("name", name, LONGEST_LABEL)
    yield from text_faults(texts, corrects=any(text.wrong for text in texts.values()))
    for language, text in texts.items():
        for field in _TEXT_FIELDS:
            for unknown in sorted({*_PLACEHOLDER.findall(getattr(text, field))} - PLACEHOLDERS.keys()):
                said = (
                    f"“{{{unknown[:40]}}}” is no placeholder. There are {', '.join(f'{{{n}}}' for n in PLACEHOLDERS)}."
                )
                yield Fault(f"texts.{language[:20]}.{field}", said)


_TEXT_FIELDS = tuple(one.name for one in fields(UpdateText) if one.name not in ("links", "advice_for"))


@cache
def shipped() -> Mapping[str, UpdateTemplate]:
    """The templates that come with the program, by key."""
    raw = tomllib.loads((Path(__file__).parent / "shipped_templates.toml").read_text())
    return {
        key: UpdateTemplate(
            key,
            cast("Phase", one["phase"]),
            one["name"],
            {language: UpdateText(**one[language]) for language in SPOKEN},
        )
        for key, one in raw.items()
    }


async def _concerned(tx: Tx, incident: Incident) -> tuple[list[str], list[str]]:
    """The names of what an incident concerns: its groups, then single components; and of who is responsible."""
    named = (
        select(components.c.name, parties.c.name.label("party"))
        .outerjoin(parties, parties.c.key == components.c.party_key)
        .where(components.c.key.in_(incident.components))
        .order_by(components.c.position, components.c.name)
    )
    rows = (await tx.execute(named)).all()
    return [*incident.groups, *(row.name for row in rows)], sorted({row.party for row in rows if row.party})


def _listed(names: list[str], language: str) -> str:
    if len(names) <= MOST_NAMED + 1:
        return ", ".join(names) or _OPEN
    return f"{', '.join(names[:MOST_NAMED])} {_MORE.get(language, _MORE['en']).format(len(names) - MOST_NAMED)}"


_COLUMNS = (update_templates.c.key, update_templates.c.phase, update_templates.c.name, update_templates.c.texts)


def _read(row: Any) -> UpdateTemplate:
    return UpdateTemplate(row.key, row.phase, row.name, read_texts(row.texts), own=True)
