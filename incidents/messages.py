"""What an update says to one person, written once per language from a template, and to a machine. It sends nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from incidents import statuspage_v2
from incidents.lifecycle import LANGUAGES, UpdateText
from incidents.records import Incident, Update
from incidents.snapshot import Snapshot
from notify import MessageText, escape_slots

Render = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes messages. `public_url`: where people open the status page; `time_zone`: IANA name their times are in."""

    render: Render
    page_name: str
    public_url: str
    time_zone: str

    def messages(self, incident: Incident, update: Update, party: str | None) -> Sequence[MessageText]:
        """The messages of a published update, one per language; `party` is the name of whom the cause concerns."""
        return [self._mail(language, incident, update, party) for language in LANGUAGES]

    def webhook(self, snapshot: Snapshot, incident_id: str) -> MessageText:
        """What machines that follow are told of an incident, in Statuspage's format; in English, as that has it."""
        told = statuspage_v2.webhook(snapshot, incident_id, statuspage_v2.Publisher(self.page_name, self.public_url))
        return MessageText(channel="webhook", language="en", subject="", body=escape_slots(told))

    def _mail(self, language: str, incident: Incident, update: Update, party: str | None) -> MessageText:
        text = update.texts[language]
        body = self.render(
            "incidents/message.mail.txt",
            language,
            incident=incident,
            update=update,
            text=_inert(text),
            party=None if party is None else escape_slots(party),
            page_name=escape_slots(self.page_name),
            zone=self.time_zone,
            status_url=f"{self.public_url}/incidents/{incident.id}?lang={language}",
            claim_url=f"{self.public_url}/claim?incident={incident.id}&lang={language}",
            check_url=f"{self.public_url}/check?lang={language}&code={{check_code}}",
        )
        return MessageText(channel="mail", language=language, subject=f"{self.page_name}: {text.title}", body=body)


def _inert(text: UpdateText) -> UpdateText:
    """The text with its braces meant as braces: only the template may ask for a name."""
    return UpdateText(*(escape_slots(part) for part in (text.title, text.body, text.advice, text.cause)))
