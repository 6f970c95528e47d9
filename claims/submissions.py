"""What a contact says, read from the bytes it came in, per channel; and what is wrong with it, field by field.

Pure: bytes in, values out. The bytes themselves are stored verbatim by `claims.intake`; nothing here changes them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, get_args
from urllib.parse import parse_qsl

import msgspec

from claims.quoting import parted
from foundation.errors import Fault, Invalid
from notify import (
    BadAddress,
    fold_reference,
    mail_header,
    mail_mailbox,
    mail_text,
    normalise_mail,
    normalise_phone,
    parse_mail,
)

Channel = Literal["web", "api", "mail", "sms", "phone", "post"]
AsksFor = Literal["refund", "compensation", "expenses", "rebooking", "information", "call_back"]

ASKS_FOR: tuple[AsksFor, ...] = get_args(AsksFor)
# Bytes. A message of the longest length, all of it escaped, fits; a form has more room, so that too much comes back.
LARGEST_BODY = 256 * 1024
LARGEST_FORM = 1024 * 1024
MOST_FIELDS = 100
LONGEST = {
    "name": 200,
    "customer_number": 60,
    "reference": 200,
    "email": 320,
    "phone": 60,
    "message": 10_000,
    "incident": 60,
    "language": 35,
    "birth_date": 40,
    "street_number": 20,
    "street": 200,
    "suburb": 100,
    "postcode": 20,
    "region": 60,
}


def _most(field: str) -> msgspec.Meta:
    # For the API's document only: what is too long is refused in words for whoever typed it (`_too_long`).
    return msgspec.Meta(extra_json_schema={"maxLength": LONGEST[field]})


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said, as they said it. Nothing is required; an absent field is empty."""

    name: Annotated[str, _most("name")] | None = None
    customer_number: Annotated[str, _most("customer_number")] | None = None
    reference: Annotated[str, _most("reference")] | None = None
    email: Annotated[str, _most("email")] | None = None
    phone: Annotated[str, _most("phone")] | None = None
    message: Annotated[str, _most("message")] | None = None
    asks_for: AsksFor | Literal[""] | None = None
    incident: Annotated[str, _most("incident")] | None = None
    language: Annotated[str, _most("language")] | None = None
    birth_date: Annotated[str, _most("birth_date")] | None = None
    street_number: Annotated[str, _most("street_number")] | None = None
    street: Annotated[str, _most("street")] | None = None
    suburb: Annotated[str, _most("suburb")] | None = None
    postcode: Annotated[str, _most("postcode")] | None = None
    region: Annotated[str, _most("region")] | None = None


class MailSubmission(Submission, frozen=True, kw_only=True):
    """What a mail says; `message` are its writer's own words, `quoted` what they answer."""

    quoted: str = ""


NOTHING_SAID = Submission()
# Those that the form asks for. Birth date and address come over the API, from systems that have them.
FIELDS = Submission.__struct_fields__[: Submission.__struct_fields__.index("birth_date")]
_SPOKEN = ("name", "customer_number", "reference", "email", "phone", "message", "asks_for")
_INCIDENT_ID = re.compile("[a-z0-9]{12}")
_json = msgspec.json.Decoder(Submission)


def read_json(raw: bytes) -> Submission:
    """The submission in the body of a call to the API. Raises `Invalid` that names the field."""
    try:
        said = _json.decode(raw)
    except msgspec.ValidationError as error:
        # "Expected `str`, got `int` - at `$.phone`"
        what, _, path = str(error).partition(" - at `$")
        raise Invalid(
            "This contact cannot be read.", [Fault(path.strip(".`") or "body", f"{what}.")], code="invalid_contact"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested too deeply
        raise Invalid(
            "The body must be a JSON object in UTF-8.", [Fault("body", f"{error}.")], code="invalid_contact"
        ) from None
    faults = [*_too_long(said), *_silence(said)]
    if faults:
        raise Invalid("This contact cannot be taken as it is.", faults, code="invalid_contact")
    return said


def read_form(raw: bytes) -> dict[str, str]:
    """The fields of an HTML form, as typed. Bytes that are not UTF-8 become replacement characters, never an error."""
    few = b"&".join(raw.split(b"&", MOST_FIELDS)[:MOST_FIELDS])  # nobody fills in more; a million would hold us up
    pairs = parse_qsl(few.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def read_mail(raw: bytes) -> MailSubmission:
    """What a mail says: who wrote it, by its From header, and the words, apart from what they quote.

    The header is a clue, as what somebody types into a form is. Reading is bounded and never fails (`notify.mime`);
    words beyond the longest a contact may have stay in the bytes.
    """
    mail = parse_mail(raw)
    name, address = mail_mailbox(mail, "From")
    subject, (words, quoted) = mail_header(mail, "Subject"), parted(mail_text(mail))
    return MailSubmission(
        name=name[: LONGEST["name"]],
        email=address[: LONGEST["email"]],
        message="\n\n".join(part for part in (subject, words) if part)[: LONGEST["message"]],
        language=mail_header(mail, "Content-Language")[: LONGEST["language"]],
        quoted=quoted[: LONGEST["message"]],
    )


def from_form(fields: Mapping[str, str]) -> Submission:
    """The submission that a form's fields make. A wish that is not on the list is none."""
    wish = fields.get("asks_for", "")
    known = {name: fields.get(name, "") for name in FIELDS if name != "asks_for"}
    return Submission(**known, asks_for=next((one for one in ASKS_FOR if one == wish), None))


def form_faults(said: Submission) -> list[Fault]:
    """What the person at the form must mend, one sentence a field. The sentences are message ids."""
    return [*_too_long(said), *_silence(said)]


def form_questions(said: Submission, regions: tuple[str, ...]) -> list[Fault]:
    """What looks like a slip, one question a field: to be asked once, and then taken as it is. Sentences as above.

    Nothing here depends on what we know of anybody: a form that told which references exist would be asked for them.
    """
    return [*_odd_addresses(said, regions), *_odd_codes(said)]


def _odd_addresses(said: Submission, regions: tuple[str, ...]) -> Iterator[Fault]:
    if said.email and said.email.strip():
        try:
            normalise_mail(said.email)
        except BadAddress:
            yield Fault("email", "This does not look like a mail address. It should be like name@example.org.")
    if said.phone and said.phone.strip():
        try:
            normalise_phone(said.phone, regions)
        except BadAddress:
            yield Fault(
                "phone", "We cannot read this phone number. Try it with the country first, like +31 6 12345678."
            )


def _odd_codes(said: Submission) -> Iterator[Fault]:
    for field in ("reference", "customer_number"):
        text = (getattr(said, field) or "").strip()
        if "@" in text:
            yield Fault(field, "This looks like a mail address. Is it in the right place?")
        elif text and len(fold_reference(text)) < 3:
            yield Fault(field, "This looks too short. Please compare it with your ticket or contract.")
        elif len(text.split()) > 6:
            yield Fault(field, "This looks like a story. Please write only the letters and digits here.")


def stored_submission(channel: str, raw: bytes) -> Submission | None:
    """What a stored contact says; None when its bytes cannot be read, which loses nothing: they are kept."""
    try:
        if channel == "web":
            return from_form(read_form(raw))
        if channel == "mail":
            return read_mail(raw)
        return _json.decode(raw)
    except (msgspec.MsgspecError, ValueError):
        return None


def idempotency_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The header of that name, as draft-ietf-httpapi-idempotency-key-header writes it (quoted) or bare.

    Raises `Invalid` when it cannot be used. Header names are in lower case, as ASGI gives them.
    """
    for name, value in headers:
        if name == b"idempotency-key":
            key = value.decode("latin-1").strip().strip('"')
            if not (0 < len(key) <= 200 and key.isascii() and key.isprintable()):
                fault = Fault("Idempotency-Key", "Use 1 to 200 printable ASCII characters, such as a UUID.")
                raise Invalid("The Idempotency-Key cannot be used.", [fault], code="invalid_idempotency_key")
            return f"api:{key}"
    return None


def named_incident(text: str | None) -> str:
    """The incident id in `text`; nothing when it cannot be one, so that whatever else stands there reaches no query."""
    name = (text or "").strip().lower()
    return name if _INCIDENT_ID.fullmatch(name) else ""


def is_form_name(text: str) -> bool:
    """Whether `text` is like the names we give to forms, so that it may be part of an idempotency key."""
    return 8 <= len(text) <= 40 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def language_tag(text: str | None) -> str:
    """The primary language of a tag that somebody sent, in two letters; English when there is none."""
    tag = (text or "").strip().lower()[:2]
    return tag if len(tag) == 2 and tag.isascii() and tag.isalpha() else "en"


def _silence(said: Submission) -> Iterator[Fault]:
    if not any((getattr(said, field) or "").strip() for field in _SPOKEN):
        yield Fault("message", "Please tell us something: what happened, or who you are.")


def _too_long(said: Submission) -> Iterator[Fault]:
    for field, longest in LONGEST.items():
        if len(getattr(said, field) or "") > longest:
            yield Fault(field, "This is longer than we can take. Please shorten it; you can write to us again.")
