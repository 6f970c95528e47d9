"""What we count and what analysts read: instruments, figures from the facts views, and exports of them.

The front door. It imports no package above it: figures travel through the database.
"""

from metrics.exports import FORMATS, Exports, export
from metrics.instruments import (
    record_centre,
    record_contact,
    record_contact_seconds,
    record_deliveries,
    record_refused_mail,
    record_relay_connection,
    record_relay_mails,
    record_relay_state,
    record_report,
    record_resolved,
    record_send_batch_seconds,
    record_status_page_seconds,
    set_page_copy_lag,
)
from metrics.questions import EXPORTS, Question

__all__ = [
    "EXPORTS",
    "FORMATS",
    "Exports",
    "Question",
    "export",
    "record_centre",
    "record_contact",
    "record_contact_seconds",
    "record_deliveries",
    "record_refused_mail",
    "record_relay_connection",
    "record_relay_mails",
    "record_relay_state",
    "record_report",
    "record_resolved",
    "record_send_batch_seconds",
    "record_status_page_seconds",
    "set_page_copy_lag",
]
