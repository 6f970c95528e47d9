"""Reasons of deliveries in a few classes, so that a label stays bounded whatever a receiving server says."""

CLASSES = ("none", "address", "consent", "overtaken", "late", "money", "receiver", "connection", "ours", "other")
_CLASS_OF = {
    **dict.fromkeys(("no_address", "no_such_address", "bad_address", "unusable_address", "gone"), "address"),
    **dict.fromkeys(("no_consent", "opted_out", "complaint", "stop", "never_told"), "consent"),
    **dict.fromkeys(("overtaken", "called_off", "cancelled"), "overtaken"),
    **dict.fromkeys(("too_late",), "late"),
    **dict.fromkeys(("cost_cap", "country_not_served"), "money"),
    **dict.fromkeys(
        (
            *("refused", "sender_refused", "mailbox_full", "throttled", "refused_for_now", "soft_bounce"),
            *("hard_bounce", "redirected", "text_too_long", "unclear", "content_refused", "policy"),
        ),
        "receiver",
    ),
    **dict.fromkeys(("connection_lost", "no_connection", "tls_failed", "timed_out"), "connection"),
    **dict.fromkeys(("worker_lost", "forbidden_address"), "ours"),
}


def reason_class(reason: str | None) -> str:
    """The class of a delivery's reason; `other` for a word we do not know."""
    return _CLASS_OF.get(reason, "other") if reason else "none"
