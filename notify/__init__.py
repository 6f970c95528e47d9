"""Reaching people: the directory of customers, and the outbox that proves who was told what.

The front door: what other packages may use stands here, everything else is ours to change.
"""

from notify.addresses import BadAddress, fold_name, fold_reference, normalise_mail, normalise_phone, phone_readings
from notify.directory import Candidate, Clue, ClueKind, find_customers
from notify.health import lift_suppression
from notify.messages import ChannelName as Channel
from notify.messages import MessageText, escape_slots
from notify.planning import QuietHours, Reach, enqueue, preview, told_of
from notify.progress import Progress, delivery_progress
from notify.proof import Told, customer_history, delivery_summary
from notify.reports import Report, take_reports
from notify.steering import cancel, pause, prefer, release, resume, set_seeds
from notify.tables import exposures

__all__ = [
    "BadAddress",
    "Candidate",
    "Channel",
    "Clue",
    "ClueKind",
    "MessageText",
    "Progress",
    "QuietHours",
    "Reach",
    "Report",
    "Told",
    "cancel",
    "customer_history",
    "delivery_progress",
    "delivery_summary",
    "enqueue",
    "escape_slots",
    "exposures",
    "find_customers",
    "fold_name",
    "fold_reference",
    "lift_suppression",
    "normalise_mail",
    "normalise_phone",
    "pause",
    "phone_readings",
    "prefer",
    "preview",
    "release",
    "resume",
    "set_seeds",
    "take_reports",
    "told_of",
]
