"""What machines send when something looks wrong, read as one shape. Pure: bytes in, values out; all of it is hostile.

Prometheus Alertmanager's webhook, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config),
and one of our own for everything else, signed with a shared secret.
"""

import hmac
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Literal

import msgspec

from foundation.errors import Fault, Invalid
from incidents.wording import LONGEST_TITLE

Status = Literal["firing", "resolved"]

MOST_ALERTS = 500
MOST_LABELS = 64
LONGEST_NAME = 200
LONGEST_VALUE = 2000
LONGEST_KEY = 500
# A signature is good for as long on either side of our clock; what is older may have been overheard.
WINDOW = timedelta(minutes=5)
# Alertmanager says "not yet" with the first moment of the year 1.
_NOT_YET = datetime(1971, 1, 1, tzinfo=UTC)

Texts = Annotated[dict[str, str], msgspec.Meta(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it stands. `fingerprint`: what it is known by; with `starts_at`, one time that it fired."""

    fingerprint: str
    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What one call told: alerts that the source `source` holds together under `group_key`."""

    source: str
    group_key: str
    title: str
    alerts: Sequence[Alert]

    @property
    def firing(self) -> Sequence[Alert]:
        """Those that are on."""
        return [one for one in self.alerts if one.status == "firing"]


class AlertmanagerAlert(msgspec.Struct, kw_only=True, rename="camel"):
    """One alert in Alertmanager's notification."""

    status: Status
    labels: Texts
    annotations: Texts = {}
    starts_at: str
    ends_at: str = ""
    fingerprint: str = ""


class AlertmanagerBody(msgspec.Struct, kw_only=True, rename="camel"):
    """Alertmanager's notification, version 4. What else stands in it is passed over."""

    version: str = "4"
    group_key: Annotated[str, msgspec.Meta(min_length=1)]
    group_labels: Texts = {}
    common_labels: Texts = {}
    common_annotations: Texts = {}
    alerts: Annotated[list[AlertmanagerAlert], msgspec.Meta(min_length=1, max_length=MOST_ALERTS)]


class SignedAlertBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An alert from anything else. `key`: what it is known by, the same each time; `components`: keys of ours."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)]
    status: Status = "firing"
    title: Annotated[str, msgspec.Meta(max_length=LONGEST_VALUE)] = ""
    components: Annotated[list[str], msgspec.Meta(max_length=MOST_LABELS)] = []
    labels: Texts = {}
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def read_alertmanager(raw: bytes, source: str) -> Notice:
    """A notification of Alertmanager. Raises Invalid for what is none."""
    body = _decoded(raw, AlertmanagerBody)
    if body.version != "4":
        raise Invalid("This is not version 4 of Alertmanager's notification.", [Fault("version", "Expected 4.")])
    alerts = [_alertmanager_alert(one) for one in body.alerts]
    names = {**body.group_labels, **body.common_labels}
    said = body.common_annotations.get("summary") or body.common_annotations.get("title") or names.get("alertname")
    if not said:
        first = body.alerts[0]
        said = first.annotations.get("summary") or first.labels.get("alertname") or "An alert without a name"
    return Notice(source, _key(body.group_key), _title(said), alerts)


def read_signed(body: SignedAlertBody, source: str, now: datetime) -> Notice:
    """One of our own alerts."""
    labels = _texts(body.labels)
    if body.components:
        labels["component"] = "|".join(clean(key, LONGEST_NAME) for key in body.components)
    began = body.starts_at or datetime(1970, 1, 1, tzinfo=UTC)  # the same for every repeat of one that does not say
    ended = now if body.status == "resolved" else None
    key = _key(body.key)
    return Notice(source, key, _title(body.title or key), [Alert(key, body.status, labels, {}, began, ended)])


def check_signature(secret: bytes, timestamp: str, raw: bytes, signature: str, now: datetime) -> bytes:
    """The signature of a request, when it is right: HMAC-SHA-256 over `timestamp.body`, in hex, perhaps after
    `sha256=`. `timestamp`: seconds since 1970. Raises Invalid otherwise, in the same words whatever is wrong."""
    said = signature.strip().removeprefix("sha256=").lower()
    right = hmac.new(secret, timestamp.encode("latin-1", "replace") + b"." + raw, sha256).digest()
    in_time = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    in_time = in_time and abs(now.timestamp() - int(timestamp)) <= WINDOW.total_seconds()
    if not (hmac.compare_digest(said.encode("latin-1", "replace"), right.hex().encode()) and in_time):
        raise bad_signature()
    return right


def bad_signature() -> Invalid:
    """What a caller is told who may not: nothing about why."""
    return Invalid("The signature is not right, or not of now.", code="bad_signature")


def clean(text: str, longest: int) -> str:
    """`text` on one line without characters that nobody sees, cut to `longest`."""
    seen = "".join(" " if one.isspace() else one for one in text if one.isspace() or _is_seen(one))
    return " ".join(seen.split())[:longest]


def _is_seen(one: str) -> bool:
    # Cc: control codes, NUL among them; Cf: what turns the direction of text; Cs: half a character.
    return unicodedata.category(one) not in ("Cc", "Cf", "Cs")


def _decoded(raw: bytes, kind: type[AlertmanagerBody]) -> AlertmanagerBody:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = str(error).replace("`", "")[:200] if isinstance(error, msgspec.ValidationError) else "It is not JSON."
        raise Invalid(f"This is no notification of Alertmanager: {said}", code="no_notification") from None


def _alertmanager_alert(one: AlertmanagerAlert) -> Alert:
    labels, ended = _texts(one.labels), _moment(one.ends_at)
    fingerprint = clean(one.fingerprint, LONGEST_NAME) or _fingerprint(labels)
    began = _moment(one.starts_at)
    if began is None:
        raise Invalid("An alert does not say since when.", [Fault("alerts.startsAt", "Expected a time with its zone.")])
    over = one.status == "resolved"
    return Alert(fingerprint, one.status, labels, _texts(one.annotations), began, ended if over else None)


def _fingerprint(labels: Mapping[str, str]) -> str:
    return sha256("\0".join(f"{name}={value}" for name, value in sorted(labels.items())).encode()).hexdigest()[:16]


def _moment(text: str) -> datetime | None:
    try:
        at: datetime = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.ValidationError:
        return None
    return at if at > _NOT_YET else None


def _texts(given: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in sorted(given.items())[:MOST_LABELS]:
        kept[clean(name, LONGEST_NAME)] = clean(value, LONGEST_VALUE)
    return kept


def _key(text: str) -> str:
    said = clean(text, 10_000)
    # A key cut short could be that of another group.
    return said if len(said) <= LONGEST_KEY else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _title(text: str) -> str:
    return clean(text, LONGEST_TITLE) or "An alert without a name"
