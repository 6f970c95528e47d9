"""What whoever approves an update sees: the exact text per channel and language, who gets it, and what is doubtful.

It approves nothing and writes nothing. The digest is of exactly what is shown; an approval that names it is for that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

import notify
from foundation.database import Tx
from foundation.languages import NAMES, SPOKEN, in_language
from incidents.cause_wording import StatedCause, unconfirmed_statements
from incidents.publishing import preview_sms, preview_update
from incidents.records import Update
from incidents.saying import Compose, Saying, as_published, digest_of, read_saying
from incidents.scope import Counted, count_segments
from incidents.tables import updates
from incidents.wording import UpdateText


@dataclass(frozen=True, slots=True)
class PageText:
    """What the public page shows in one language. `written_in`: the language that stands in where it is missing."""

    language: str
    written_in: str
    text: UpdateText


@dataclass(frozen=True, slots=True)
class Missing:
    """A language the update is not written in. `recipients`: how many read `instead`, the language that stands in."""

    language: str
    instead: str
    recipients: int


@dataclass(frozen=True, slots=True)
class Approvals:
    """How the approving stands. `given`: those that are for exactly this; `needed`: how many there must be.

    `outdated`: given to something that has changed since. `bypass_reason`: an emergency stands in for the others.
    """

    needed: int
    given: Sequence[str]
    outdated: Sequence[str]
    bypass_reason: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """`digest`: of all of it. `sms`: None where no texts are sent. `segments`: of the advice, how many are in each."""

    digest: str
    reach: Sequence[notify.Reach]
    recipients: int
    unreachable: int
    page: Sequence[PageText]
    mail: Sequence[notify.MailPreview]
    sms: notify.SmsPreview | None
    missing: Sequence[Missing]
    stated_as_fact: Sequence[StatedCause]
    segments: Sequence[Counted]
    approvals: Approvals


@dataclass(frozen=True, slots=True)
class Texts:
    """The exact words of an update, per channel and language."""

    page: Sequence[PageText]
    mail: Sequence[notify.MailPreview]


# What writes the texts of an update (`Composer.sms`), and what sending them costs.
Texting = tuple[Callable[[Update], Sequence[notify.MessageText]], notify.Tariff]


async def preview(
    tx: Tx, update_id: str, compose: Compose, *, needed: int, texting: Texting | None, now: datetime
) -> Preview:
    """Everything about an update that is not published yet, or as it was if it is. Raises NotFound."""
    saying = await read_saying(tx, update_id)
    said = saying.update
    digest = digest_of(saying, compose)
    last = select(func.coalesce(func.max(updates.c.number), 0)).where(updates.c.incident_id == said.incident_id)
    number = said.number or (await tx.execute(last)).scalar_one() + 1
    texts = _texts(as_published(saying, number, said.published_at or now), compose)
    channels: tuple[notify.Channel, ...] = ("mail", "webhook") if texting is None else ("mail", "sms", "webhook")
    reach = await preview_update(tx, update_id, now=now, channels=channels)
    spoken_to = list(dict.fromkeys(one.segment for text in said.texts.values() for one in text.advice_for))
    return Preview(
        digest=digest,
        reach=reach,
        recipients=sum(one.recipients for one in reach),
        unreachable=sum(one.unreachable for one in reach),
        page=texts.page,
        mail=texts.mail,
        sms=None if texting is None else await preview_sms(tx, update_id, *texting, now=now),
        missing=_missing(said, reach),
        stated_as_fact=unconfirmed_statements(said.texts, said.cause_certainty),
        segments=await count_segments(tx, said.incident_id, spoken_to, now),
        approvals=Approvals(
            needed=needed,
            given=[one.approved_by for one in said.approvals if one.digest == digest],
            outdated=[one.approved_by for one in said.approvals if one.digest != digest],
            bypass_reason=said.bypassed.bypass_reason if said.bypassed else None,
        ),
    )


async def published_texts(tx: Tx, update_id: str, compose: Compose) -> Texts:
    """What a published update said. Whom it reached is in its deliveries, and is not counted anew. Raises NotFound."""
    return _texts(await read_saying(tx, update_id), compose)


def _texts(saying: Saying, compose: Compose) -> Texts:
    said = saying.update
    return Texts(
        page=[PageText(language, *in_language(said.texts, language)) for language in SPOKEN],
        mail=[notify.preview_mail(one) for one in compose(saying) if one.channel == "mail"],
    )


def _missing(said: Update, reach: Sequence[notify.Reach]) -> list[Missing]:
    return [
        Missing(
            language,
            NAMES[in_language(said.texts, language)[0]],
            sum(one.recipients for one in reach if one.language == language and one.channel != "webhook"),
        )
        for language in SPOKEN
        if language not in said.texts
    ]
