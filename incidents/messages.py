"""What an update says: to a person by mail or text, once per language, and to a machine. It sends nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from foundation.languages import SPOKEN, called_in, in_language
from incidents import statuspage_v2
from incidents.records import Update
from incidents.saying import Saying
from incidents.snapshot import Snapshot
from incidents.wording import Link, SegmentAdvice, UpdateText
from notify import MessageText, escape_slots, one_line, write_text

Render = Callable[..., str]

# Of a text: two are read as one message and still cost little; each further one costs as much again.
MOST_SEGMENTS = 2


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes messages. `public_url`: where people open the status page; `time_zone`: IANA name their times are in.

    `texts`: whether there is somebody to send SMS; without, nothing is written for it.
    """

    render: Render
    page_name: str
    public_url: str
    time_zone: str
    texts: bool = False

    def messages(self, saying: Saying) -> Sequence[MessageText]:
        """The messages of an update that has its number, one per channel and language we speak.

        Where the update is not translated, English stands in, and the mail says so. Texts stand in it exactly as they
        will be sent, see `notify.write_text`.
        """
        mails = [self._mail(language, saying) for language in SPOKEN]
        texts = [
            replace(one, body=escape_slots(write_text(one.body, one.language).text)) for one in self.sms(saying.update)
        ]
        return [*mails, *texts]

    def sms(self, update: Update) -> Sequence[MessageText]:
        """The texts of an update, one per language, as somebody would write them: nothing is replaced yet.

        What happened, what to do, and where to read on: no names, because phones are shared. The advice is left out
        where it would make a third segment.
        """
        return [self._sms(language, update) for language in SPOKEN] if self.texts else []

    def _sms(self, language: str, update: Update) -> MessageText:
        _, text = in_language(update.texts, language)
        title, advice = one_line(text.title), one_line(text.advice)
        body = self._short(language, update, title, advice)
        if write_text(body, language).segments > MOST_SEGMENTS:
            body = self._short(language, update, title, "")
        return MessageText(channel="sms", language=language, subject="", body=body)

    def _short(self, language: str, update: Update, title: str, advice: str) -> str:
        return self.render(
            "incidents/message.sms.txt",
            language,
            update=update,
            title=title,
            advice=advice,
            page_name=one_line(self.page_name),
            status_url=f"{self.public_url}/incidents/{update.incident_id}?lang={language}",
        ).strip()

    def webhook(self, snapshot: Snapshot, incident_id: str) -> MessageText:
        """What machines that follow are told of an incident, in Statuspage's format; in English, as that has it."""
        told = statuspage_v2.webhook(snapshot, incident_id, statuspage_v2.Publisher(self.page_name, self.public_url))
        return MessageText(channel="webhook", language="en", subject="", body=escape_slots(told))

    def _mail(self, language: str, saying: Saying) -> MessageText:
        update, corrected = saying.update, saying.corrected
        tag, text = in_language(update.texts, language)
        body = self.render(
            "incidents/message.mail.txt",
            language,
            update=update,
            text=_inert(text),
            untranslated=None if tag == language else called_in(tag, language),
            corrected=corrected,
            corrected_title=escape_slots(in_language(corrected.texts, language)[1].title) if corrected else "",
            party=None if saying.party is None else escape_slots(saying.party),
            stated_by=None if saying.stated_by is None else escape_slots(saying.stated_by),
            page_name=escape_slots(self.page_name),
            zone=self.time_zone,
            status_url=f"{self.public_url}/incidents/{update.incident_id}?lang={language}",
            claim_url=f"{self.public_url}/claim?incident={update.incident_id}&lang={language}",
            check_url=f"{self.public_url}/check?lang={language}&code={{check_code}}",
        )
        return MessageText(channel="mail", language=language, subject=f"{self.page_name}: {text.title}", body=body)


def _inert(text: UpdateText) -> UpdateText:
    """The text with its braces meant as braces: only the template may ask for a name."""

    def inert(links: tuple[Link, ...]) -> tuple[Link, ...]:
        return tuple(Link(escape_slots(one.label), escape_slots(one.url)) for one in links)

    title, body, advice, cause, wrong = map(escape_slots, (text.title, text.body, text.advice, text.cause, text.wrong))
    advice_for = tuple(
        SegmentAdvice(one.segment, escape_slots(one.who), escape_slots(one.text), inert(one.links))
        for one in text.advice_for
    )
    return UpdateText(title, body, advice, cause, wrong, inert(text.links), advice_for)
