"""Reaching people: the directory of customers, and the outbox that proves who was told what.

The front door: what other packages may use stands here, everything else is ours to change.
"""

from notify.addressees import Addressee, addressees_of, addresses_told
from notify.addresses import BadAddress, fold_name, fold_reference, normalise_mail, normalise_phone, phone_readings
from notify.choosing import Reach, preview
from notify.colleagues import Colleague, colleague, colleagues_named, note_colleague
from notify.correspondents import Card, ReplyChannel, correspondent, correspondents, customer_cards, only
from notify.directory import Candidate, Clue, ClueKind, customers_named, find_customers
from notify.exercises import rehearse
from notify.first_notice import FirstNotice, first_notice
from notify.following import any_machine_among, followers_of
from notify.health import lift_suppression
from notify.letters import PersonalLetter, enqueue_each
from notify.mail_preview import MailPreview, preview_mail
from notify.messages import ChannelName as Channel
from notify.messages import MessageText, escape_slots, one_line
from notify.mime import files_of as mail_files
from notify.mime import header as mail_header
from notify.mime import mailbox as mail_mailbox
from notify.mime import parse as parse_mail
from notify.mime import text_of as mail_text
from notify.planning import QuietHours, enqueue, notified_of, told_of
from notify.progress import Progress, delivery_progress
from notify.proof import Told, customer_history, delivery_summary
from notify.reaching import CustomerReach, Seed, StrayReport, reach_of, seeds_now, stray_reports
from notify.reports import Report, take_reports
from notify.sms_preview import SmsPreview, Tariff, preview_texts
from notify.sms_text import write as write_text
from notify.steering import cancel, pause, prefer, release, resume, set_seeds
from notify.tables import customers, exposures

__all__ = [
    "Addressee",
    "BadAddress",
    "Candidate",
    "Card",
    "Channel",
    "Clue",
    "ClueKind",
    "Colleague",
    "CustomerReach",
    "FirstNotice",
    "MailPreview",
    "MessageText",
    "PersonalLetter",
    "Progress",
    "QuietHours",
    "Reach",
    "ReplyChannel",
    "Report",
    "Seed",
    "SmsPreview",
    "StrayReport",
    "Tariff",
    "Told",
    "addressees_of",
    "addresses_told",
    "any_machine_among",
    "cancel",
    "colleague",
    "colleagues_named",
    "correspondent",
    "correspondents",
    "customer_cards",
    "customer_history",
    "customers",
    "customers_named",
    "delivery_progress",
    "delivery_summary",
    "enqueue",
    "enqueue_each",
    "escape_slots",
    "exposures",
    "find_customers",
    "first_notice",
    "fold_name",
    "fold_reference",
    "followers_of",
    "lift_suppression",
    "mail_files",
    "mail_header",
    "mail_mailbox",
    "mail_text",
    "normalise_mail",
    "normalise_phone",
    "note_colleague",
    "notified_of",
    "one_line",
    "only",
    "parse_mail",
    "pause",
    "phone_readings",
    "prefer",
    "preview",
    "preview_mail",
    "preview_texts",
    "reach_of",
    "rehearse",
    "release",
    "resume",
    "seeds_now",
    "set_seeds",
    "stray_reports",
    "take_reports",
    "told_of",
    "write_text",
]
