"""Every instrument this process keeps, behind named functions, so that names, units and labels stand in one place.

Instruments say how the machine runs. A figure in an export or a report comes from the facts instead.
"""

from prometheus_client import Counter, Gauge, Histogram

# Label values are closed sets of the schema (channels, states): a label an outsider could fill would fill the memory.
_CHANNELS = frozenset({"mail", "sms", "webhook", "web", "api", "phone", "post"})
_STATES = frozenset(
    {"planned", "deferred", "accepted", "delivered", "bounced", "rejected"}
    | {"suppressed", "superseded", "expired", "unknown"}
)

_deliveries = Counter(
    "stormdesk_deliveries_recorded",
    "Outcomes of deliveries that this process recorded.",
    ["channel", "state"],
)
_SOURCES = frozenset({"mail", "sms"})
_KINDS = frozenset({"delivered", "delayed", "soft_bounce", "hard_bounce", "complaint", "auto_reply", "unreadable"})
_reports = Counter(
    "stormdesk_reports_received", "Reports about deliveries that this process stored.", ["source", "kind"]
)
_REFUSALS = frozenset(
    {"unknown_recipient", "too_many_recipients", "too_many_connections", "header_too_long", "not_now"}
)
_refused_mail = Counter("stormdesk_mail_refused", "Mail that the listener did not take in, by reason.", ["reason"])
_send_batch = Histogram(
    "stormdesk_send_batch_seconds",
    "Time from claiming a batch of deliveries to knowing all its outcomes.",
    ["channel"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600),
)
# The label is host and port of a relay, which only the settings can name.
_relay_connections = Counter("stormdesk_relay_connections_opened", "Connections opened to a mail relay.", ["relay"])
_relay_mails = Counter(
    "stormdesk_relay_mails",
    "Mails tried at a relay: sent, refused for who we are, broken off, or refused for the recipient (others).",
    ["relay", "outcome"],
)
_RELAY_STATES = ("well", "recovering", "away", "braked")
_relay_state = Gauge("stormdesk_relay_state", "1 for the state the relay was last seen in.", ["relay", "state"])
_relay_seen: dict[str, str] = {}
# The label is the name of an SMS centre, which only the settings can give.
_centre_bound = Gauge("stormdesk_sms_centre_bound", "Whether the bind to an SMS centre stands.", ["centre"])
_contacts = Counter("stormdesk_contacts_received", "Contacts that this process stored.", ["channel"])
_contact = Histogram(
    "stormdesk_contact_durable_seconds",
    "Time from a contact's arrival until it was on disk.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_resolved = Counter("stormdesk_contacts_resolved", "Contacts that this process joined to a case.")
_resolve_batch = Histogram(
    "stormdesk_resolve_batch_seconds",
    "Time to join one batch of contacts to their cases.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_refresh = Histogram(
    "stormdesk_status_page_refresh_seconds",
    "Time to render, write and read back the files of the status page.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

_copy_lag = Gauge(
    "stormdesk_status_page_copy_lag_seconds",
    "How much older the copy of the status page at a target is than the page itself.",
    ["target"],
)
_page_written = Gauge(
    "stormdesk_status_page_written_timestamp_seconds", "When this process last wrote the status page (Unix time)."
)


def record_deliveries(channel: str, state: str, count: int) -> None:
    """`count` deliveries of `channel` were recorded as `state`."""
    _deliveries.labels(_closed(channel, _CHANNELS), _closed(state, _STATES)).inc(count)


def record_report(source: str, kind: str) -> None:
    """A report of `kind` came in from `source`, for the first time, and is stored."""
    _reports.labels(_closed(source, _SOURCES), _closed(kind, _KINDS)).inc()


def record_refused_mail(reason: str) -> None:
    """The listener turned mail away: `not_now` may come again, the rest not."""
    _refused_mail.labels(_closed(reason, _REFUSALS)).inc()


def record_send_batch_seconds(channel: str, seconds: float) -> None:
    """A batch took `seconds` from its claim to its last outcome."""
    _send_batch.labels(_closed(channel, _CHANNELS)).observe(seconds)


def record_relay_connection(relay: str) -> None:
    """A connection to `relay` (host:port) is open and ready for mail."""
    _relay_connections.labels(relay).inc()


def record_relay_mails(relay: str, *, sent: int, refused: int, broken: int, others: int) -> None:
    """What a batch at `relay` came to. `refused`: for who we are; `others`: for what the recipient is."""
    for outcome, count in (("sent", sent), ("refused", refused), ("broken", broken), ("others", others)):
        if count:
            _relay_mails.labels(relay, outcome).inc(count)


def record_relay_state(relay: str, state: str) -> None:
    """`relay` was seen in `state` (well, recovering, away, braked). Said after every batch, and seldom news."""
    if _relay_seen.get(relay) == state:
        return
    _relay_seen[relay] = state
    for one in _RELAY_STATES:
        _relay_state.labels(relay, one).set(one == state)


def record_centre(centre: str, *, bound: bool) -> None:
    """The bind to `centre` stands, or does not any more."""
    _centre_bound.labels(centre).set(bound)


def record_contact(channel: str) -> None:
    """A contact came in over `channel` and is stored."""
    _contacts.labels(_closed(channel, _CHANNELS)).inc()


def record_contact_seconds(seconds: float) -> None:
    """A contact was on disk `seconds` after it arrived."""
    _contact.observe(seconds)


def record_resolved(count: int, seconds: float) -> None:
    """A batch of `count` contacts was joined to cases in `seconds`."""
    _resolved.inc(count)
    _resolve_batch.observe(seconds)


def set_page_copy_lag(target: str, seconds: float) -> None:
    """A copy of the page at `target` (one of the settings') is `seconds` older than the page."""
    _copy_lag.labels(target).set(seconds)


def record_status_page_seconds(seconds: float) -> None:
    """The files of the status page were renewed in `seconds`."""
    _refresh.observe(seconds)
    _page_written.set_to_current_time()


def _closed(value: str, known: frozenset[str]) -> str:
    return value if value in known else "other"
