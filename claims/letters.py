"""What we write to people in their case: the message, in mail and where texts are sent as a text. It sends nothing.

People's words and an agent's are text in it, never a template: their braces are escaped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from claims.outcomes import Ruling
from foundation.languages import choose_language
from foundation.tokens import Tokens
from notify import MessageText, escape_slots, one_line, write_text

Render = Callable[..., str]
# Of a text: what is longer is only announced, and read behind the link.
MOST_SEGMENTS = 2


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in one language: how it stands in the case, and how it is sent."""

    subject: str
    words: str
    language: str
    messages: tuple[MessageText, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer as a letter tells it; `withdrawn`: that it is off."""

    kind: str
    words: str
    at: datetime | None
    answer_by: datetime
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes letters. `public_url`: where people open our pages; `texts`: whether there is somebody to send SMS."""

    render: Render
    tokens: Tokens
    page_name: str
    public_url: str
    zone: str
    texts: bool = False

    def url(self, token: str, language: str) -> str:
        """The address of a case, for its owner."""
        return f"{self.public_url}/t/{token}?lang={language}"

    def reply(self, number: str, words: str, *, agent: str, language: str, case_url: str, subject: str = "") -> Letter:
        """An agent's own words. In a language we do not speak ourselves, what stands around them is in English."""
        around = choose_language(language)
        heading = one_line(subject) or self.subject(number, around)
        return self._letter(
            "claims/reply.mail.txt", number, around, case_url, short=words, words=words, subject=heading, agent=agent
        )

    def mass(self, words: str, *, agent: str, language: str, subject: str) -> Letter:
        """The same words to many: the link leads to where each finds their own case."""
        told = {"words": words, "subject": one_line(subject), "agent": agent}
        url = f"{self.public_url}/track?lang={language}"
        return self._letter("claims/mass.mail.txt", "", language, url, short=words, **told)

    def subject(self, number: str, language: str) -> str:
        """What a message is headed when nobody says otherwise."""
        return one_line(self.render("claims/subject.txt", language, number=number))

    def decision(self, number: str, kind: str, ruling: Ruling, *, agent: str, language: str, case_url: str) -> Letter:
        """What was decided, why, and what the customer can do next."""
        around = choose_language(language)
        return self._letter(
            "claims/decision.mail.txt",
            number,
            around,
            case_url,
            kind=kind,
            ruling=ruling,
            words=ruling.words.strip(),
            agent=agent,
        )

    def appointment(
        self, number: str, *, at: datetime, phone: str | None, agent: str, language: str, case_url: str
    ) -> Letter:
        """Who speaks with the customer, how, and by when."""
        around = choose_language(language)
        return self._letter(
            "claims/appointment.mail.txt", number, around, case_url, at=at, phone=phone or "", agent=agent
        )

    def offer(self, number: str, offered: Offered, *, language: str, case_url: str) -> Letter:
        """What we offer and until when, or that an offer is off."""
        return self._letter(
            "claims/offer.mail.txt",
            number,
            choose_language(language),
            case_url,
            kind=offered.kind,
            words=offered.words,
            at=offered.at,
            answer_by=offered.answer_by,
            withdrawn=offered.withdrawn,
        )

    def received(self, number: str, *, receipt: str, again: bool, language: str, case_url: str) -> Letter:
        """That we have a message; `again`: one more of somebody who was told so before. Nothing of it is repeated."""
        around = choose_language(language)
        return self._letter("claims/acknowledge.mail.txt", number, around, case_url, receipt=receipt, again=again)

    def closing(self, number: str, *, language: str, case_url: str) -> Letter:
        """That the case is closed, and whether it helped."""
        return self._letter("claims/closing.mail.txt", number, choose_language(language), case_url)

    def _letter(
        self, template: str, number: str, language: str, case_url: str, *, short: str = "", **told: Any
    ) -> Letter:
        common = {"number": number, "page_name": escape_slots(one_line(self.page_name)), "zone": self.zone}
        inert = {name: escape_slots(value) if isinstance(value, str) else value for name, value in told.items()}
        text = self.render(template, language, **common, **inert, case_url=case_url)
        subject, _, body = text.strip("\n").partition("\n")
        subject, body = subject.replace("{{", "{").replace("}}", "}"), body.strip("\n") + "\n"
        messages = [MessageText("mail", language, one_line(subject), body)]
        if self.texts:
            messages.append(self._text(number, short, language, case_url))
        return Letter(one_line(subject), _without_link(body, case_url), language, tuple(messages))

    def _text(self, number: str, words: str, language: str, case_url: str) -> MessageText:
        def written(said: str) -> str:
            text = self.render(
                "claims/letter.sms.txt",
                language,
                page_name=one_line(self.page_name),
                words=one_line(said),
                number=number,
                case_url=case_url,
            )
            return text.strip()

        text = written(words)
        if words and write_text(text, language).segments > MOST_SEGMENTS:
            text = written("")
        return MessageText("sms", language, "", escape_slots(write_text(text, language).text))


def _without_link(body: str, case_url: str) -> str:
    """A body as it stands in the case. The link in it opens all of the case, so it stands in the mail alone: others who
    may read a part must not find it there.
    """
    told = body.partition("{footer}")[0].replace("{heading}", "").replace("{{", "{").replace("}}", "}")
    return "\n\n".join(one.strip() for one in told.split("\n\n") if one.strip() and case_url not in one)
