"""How the demo ends: the summary as numbers, which promises were broken, and a table with addresses to look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from app.demo.stage import Place

_OPEN_STATES = ("planned", "sending", "deferred")


class Texts(msgspec.Struct):
    """The texts of the updates. `accepted`: those without a receipt yet; `in_place_of_mail`: where a mail had failed.

    `segments`: those that were accepted, as we know; `at_the_centre`: as the centre counted what it took.
    """

    planned: int
    delivered: int
    accepted: int
    in_place_of_mail: int
    segments: int
    at_the_centre: int


class Summary(msgspec.Struct):
    """What `--exit` prints, as one JSON object.

    `affected`, `unresolved_contacts`, the cases that are wrong and `lost_contacts` are counted against what the storm's
    maker knows. `seconds_to_last_delivery`: the longest of the four updates, from publication until its last message
    was out of our hands. `status_page_seconds`: the longest from the answer to publishing until the page showed it.
    """

    customers: int
    affected: int
    deliveries: dict[str, int]
    seconds_to_last_delivery: float
    contacts: int
    cases: int
    unresolved_contacts: int
    customers_with_two_cases: int
    cases_with_two_customers: int
    lost_contacts: int
    status_page_seconds: float
    texts: Texts


@dataclass(frozen=True, slots=True)
class Evidence:
    """What else the promises are held against. `planned`: deliveries of each update; `mailbox`: its own counts.

    `mails`: those that count as accepted, letters about cases among them.
    """

    imported: int
    mails: int
    planned: tuple[int, ...]
    mailbox: Mapping[str, Any]
    receipts: int
    two_for_one: int
    unknowable: int


def broken_promises(summary: Summary, evidence: Evidence) -> list[str]:
    """Every promise that was not kept, as a sentence. None is the aim."""
    states, mailbox = summary.deliveries, evidence.mailbox
    texts = summary.texts
    accepted, unfinished = evidence.mails, sum(states[state] for state in _OPEN_STATES)
    came, different = mailbox["messages"], mailbox["distinct"]
    planned = sum(evidence.planned) == summary.affected * len(evidence.planned) + texts.in_place_of_mail
    # Whoever's mail was refused has a text besides.
    everyone = summary.affected * len(evidence.planned) + texts.in_place_of_mail
    promises = (
        (evidence.imported == summary.customers, f"{evidence.imported:,} of {summary.customers:,} were imported."),
        (planned, f"{summary.affected:,} are affected; the updates were planned for {evidence.planned}."),
        (sum(states.values()) == everyone, "The counts of the deliveries do not add up to the audience."),
        (not unfinished, f"{unfinished:,} deliveries have not ended."),
        (different == accepted, f"{accepted:,} mails count as accepted; {different:,} different ones came."),
        (not texts.accepted, f"{texts.accepted:,} texts have no receipt."),
        (
            texts.segments == texts.at_the_centre,
            f"{texts.segments:,} parts of texts count as accepted; the centre took {texts.at_the_centre:,}.",
        ),
        (came == different, f"{came - different:,} mails came twice, although nothing was killed."),
        (
            evidence.receipts == summary.contacts,
            f"{evidence.receipts:,} receipts were given for {summary.contacts:,} stored contacts.",
        ),
        (not evidence.two_for_one, f"{evidence.two_for_one:,} receipts were given to two different contacts."),
        (not summary.lost_contacts, f"{summary.lost_contacts:,} contacts were lost."),
        (not summary.customers_with_two_cases, f"{summary.customers_with_two_cases:,} customers have two cases."),
        (not summary.cases_with_two_customers, f"{summary.cases_with_two_customers:,} cases hold two customers."),
        (
            summary.unresolved_contacts <= evidence.unknowable,
            f"{summary.unresolved_contacts:,} contacts are unresolved, but only {evidence.unknowable:,} say nothing.",
        ),
    )
    return [sentence for kept, sentence in promises if not kept]


def print_ending(console: Console, summary: Summary, evidence: Evidence, seconds: float) -> None:
    """The table of results."""
    table = Table(title="What happened", title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    table.add_row("Passengers", f"{summary.customers:,}", "made up, on 1,614 real flights")
    table.add_row("Affected", f"{summary.affected:,}", "with a booking on a cancelled flight; nobody had subscribed")
    updates = len(evidence.planned)
    table.add_row(
        "Deliveries", f"{sum(summary.deliveries.values()):,}", f"{updates} updates for each, all accounted for:"
    )
    for state, count in summary.deliveries.items():
        if count:
            table.add_row("", f"{count:,}", f"{state}{_MEANING.get(state, '')}")
    table.add_row(
        "Texts",
        f"{summary.texts.planned:,}",
        f"where mail does not reach: {summary.texts.in_place_of_mail:,} in place of a refused mail, the rest without "
        f"an address; {summary.texts.delivered:,} arrived, say the receipts",
    )
    table.add_row(
        "Last delivery", f"{summary.seconds_to_last_delivery:.1f} s", "after its update, for the slowest update"
    )
    table.add_row("Status page", f"{summary.status_page_seconds:.2f} s", "after publishing, for the slowest update")
    table.add_row("Contacts", f"{summary.contacts:,}", "each with a receipt before its sender was answered")
    table.add_row("Cases", f"{summary.cases:,}", "one for each customer who wrote, and for whom nobody can know")
    table.add_row("Unresolved", f"{summary.unresolved_contacts:,}", "contacts that say nothing to know a person by")
    table.add_row("Lost contacts", f"{summary.lost_contacts:,}", "")
    table.add_row("Customers with two cases", f"{summary.customers_with_two_cases:,}", "")
    table.add_row("Cases with two customers", f"{summary.cases_with_two_customers:,}", "")
    table.add_row("In all", f"{seconds:.0f} s", "")
    console.print()
    console.print(table)


def print_addresses(
    console: Console, place: Place, incident_id: str, track_url: str, *, desk_url: str, hurry: str
) -> None:
    """Where to look now, each on a line of its own that can be copied. `hurry`: a last line."""
    addresses = {
        "Status page": f"{place.url}/",
        "The incident": f"{place.url}/incidents/{incident_id}",
        "As data": f"{place.url}/api/v2/summary.json",
        "Claim form": f"{place.url}/claim?incident={incident_id}",
        "A customer's case": track_url or "nobody wrote",
        "Desk (opens once)": desk_url,
        "Metrics": f"http://127.0.0.1:{place.operations_port}/metrics (web; "
        f"workers: {', '.join(str(port) for port in place.worker_ports)})",
        "Mails they got": f"{place.mail.resolve()}/*.eml",
        "Logs": f"{(place.folder / 'logs').resolve()}",
    }
    console.print("\n[italic]To look at[/]")
    for name, address in addresses.items():
        console.print(f"  [bold]{name:<18}[/] {address}", soft_wrap=True, highlight=False)
    console.print(f"\n{hurry}")


_MEANING = {
    "accepted": " by the receiving mail server",
    "rejected": ": the mailbox does not exist any more",
    "delivered": " to the phone, as the receipt says",
    "suppressed": ": no mail address and no phone",
    "superseded": ": newer news overtook it before it was sent",
}
