"""`stormdesk demo`: the main job from beginning to end, on real flights, with everything on this machine.

It tells the story through the same doors anybody has: the import, the staff API, SMTP and HTTP. What Stormdesk made of
it is then held against what the storm's maker knows (`app.demo.verdict`).
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import uvloop
from rich.console import Console

from app.auth import create_token
from app.demo.ending import Evidence, Summary, broken_promises, print_addresses, print_ending
from app.demo.figures import Gauges
from app.demo.flights import flights
from app.demo.http_client import CallFailed, StaffClient
from app.demo.passengers import Passenger, passengers, write_customer_file
from app.demo.posting import Posting, PostingFailed
from app.demo.processes import ProcessEnded, Processes
from app.demo.screen import Screen
from app.demo.stage import NotReady, Place, PlaceTaken, fresh_database, register_flights, running, taken_place
from app.demo.storm import contacts
from app.demo.story import ACTS
from app.demo.telling import PageIsSilent, Prepared, Teller, Told
from app.demo.verdict import judge
from app.imports import import_customers_file
from app.postgres import PostgresUnavailable
from app.staff.accounts import first_admin_link
from foundation.database import Database
from foundation.errors import Refusal

_FAILURES = (
    *(CallFailed, NotReady, PageIsSilent, PlaceTaken, PostgresUnavailable, PostingFailed, ProcessEnded, Refusal),
    *(OSError, EOFError, TimeoutError),
)
_PAUSE = 2.0  # seconds between acts, at speed 1
# The second update comes when this share of the first has gone out, so that news overtakes news.
_OVERTAKE_AT = 0.3


@dataclass(frozen=True, slots=True)
class _Wanted:
    customers: int
    speed: float
    contacts_per_affected: float
    exit_when_done: bool


def run_demo(*, customers: int, speed: float, contacts_per_affected: float, exit_when_done: bool) -> int:
    """Run the story with `customers` passengers; the exit code: 0, or 1 when it failed or a promise was broken.

    `speed`: 2 halves the pauses between the acts. `exit_when_done`: print one JSON object on standard output and end,
    instead of staying up until Ctrl-C.
    """
    # Standard output is for the JSON alone.
    console = Console(stderr=exit_when_done)
    if not console.is_terminal:
        console.width = 120  # nobody's window: lines need not break at 80
    wanted = _Wanted(customers, speed, contacts_per_affected, exit_when_done)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with taken_place(os.environ) as place, fresh_database(place.folder) as url, Screen(console) as screen:
            return uvloop.run(_Demo(wanted, place, Database(url, pool=4), screen, console).run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped.")
        return 130
    except _FAILURES as error:
        console.print(f"The demo failed. {error}", style="bold red", markup=False, soft_wrap=True)
        return 1


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _Demo:
    """One run of the story."""

    def __init__(self, wanted: _Wanted, place: Place, database: Database, screen: Screen, console: Console) -> None:
        self._wanted = wanted
        self._place = place
        self._database = database
        self._screen = screen
        self._console = console
        self._gauges = Gauges(database, place.mail, place.texts)
        self._started = time.monotonic()

    async def run(self) -> int:
        try:
            self._screen.say(f"A fresh database, for {self._wanted.customers:,} passengers of a real storm.")
            async with running(self._place) as processes:
                return await self._with(processes)
        finally:
            await self._database.close()

    async def _with(self, processes: Processes) -> int:
        people, imported = await processes.unless_one_ends(self._fill_directory())
        teller, posting = await processes.unless_one_ends(self._watched(self._story(people)))
        summary, evidence = await self._sum_up(people, imported, teller, posting)
        self._screen.clear()
        print_ending(self._console, summary, evidence, time.monotonic() - self._started)
        broken = list(broken_promises(summary, evidence))
        for sentence in broken:
            self._console.print(f"BROKEN PROMISE: {sentence}", style="bold red", markup=False)
        hurry = "" if self._wanted.exit_when_done else "All of it stays up until you press Ctrl-C."
        desk = await self._desk_address()
        print_addresses(self._console, self._place, teller.incident_id, _busiest(posting), desk_url=desk, hurry=hurry)
        if self._wanted.exit_when_done:
            print(msgspec.json.encode(summary).decode(), flush=True)
        else:
            await processes.unless_one_ends(asyncio.Event().wait())
        return 1 if broken else 0

    async def _desk_address(self) -> str:
        """The one-time link by which whoever watches the demo becomes its administrator."""
        async with self._database.transaction() as tx:
            token = await first_admin_link(tx, now=datetime.now(UTC))
        return f"{self._place.url}/desk/welcome/{token}"

    async def _fill_directory(self) -> tuple[list[Passenger], int]:
        """Make the passengers, and load them through the real import."""
        await register_flights(self._database)
        people = await asyncio.to_thread(lambda: list(passengers(self._wanted.customers)))
        path = self._place.folder / "customers.csv"
        # The storm begins now: the first departure of its first day is the next to leave.
        later = datetime.now(UTC).replace(microsecond=0) - min(flight.departs_at for flight in flights())
        await asyncio.to_thread(write_customer_file, path, people, later)
        self._screen.say(f"{len(flights()):,} flights are components; {path} has their passengers.")
        result = await import_customers_file(self._database, path, self._console)
        return people, result.customers

    async def _story(self, people: list[Passenger]) -> tuple[Teller, Posting]:
        """Four updates, and the storm from the second on, while mail is still going out."""
        async with self._database.transaction() as tx:
            tokens = [await create_token(tx, name, now=datetime.now(UTC)) for name in ("demo", "demo-approver")]
        place = self._place
        writer, approver = (StaffClient(place.host, place.port, token) for token in tokens)
        teller = Teller(writer, approver, place.host, place.port)
        cancelled = [flight.key for flight in flights() if flight.cancelled]
        await teller.declare(cancelled)
        self._screen.say(f"Declared: {len(cancelled):,} flights are cancelled.")
        posting = Posting(
            place.host, place.port, contacts(people, self._wanted.contacts_per_affected, teller.incident_id)
        )
        await self._acts(teller, posting)
        return teller, posting

    async def _acts(self, teller: Teller, posting: Posting) -> None:
        first, second = await teller.prepare(ACTS[0]), await teller.prepare(ACTS[1])
        told = await self._publish(teller, first)
        await self._until_sent(told.planned * _OVERTAKE_AT)
        storm = asyncio.create_task(self._storm(posting))
        try:
            await self._publish(teller, second)
            await self._until_quiet(storm, contacts_too=False)
            await self._pause()
            await self._publish(teller, await teller.prepare(ACTS[2]))
            await storm
        finally:
            storm.cancel()
        await self._until_quiet(storm)
        await self._pause()
        await self._publish(teller, await teller.prepare(ACTS[3]))
        await self._until_quiet(storm)

    async def _publish(self, teller: Teller, prepared: Prepared) -> Told:
        told = await teller.publish(prepared)
        title = told.act.texts["en"].title
        self._screen.news(title)
        self._screen.say(f"Update {len(teller.told)} is out: “{title}”. On the page {told.page_seconds:.2f} s later.")
        return told

    async def _storm(self, posting: Posting) -> None:
        self._gauges.posting = posting
        self._screen.say("The storm of contacts begins.")
        started = time.monotonic()
        await posting.run()
        took = time.monotonic() - started
        self._screen.say(f"{len(posting.receipts):,} contacts have their receipt, after {took:.1f} s.")

    async def _until_sent(self, messages: float) -> None:
        """Until the mailbox has so many. It can only be asked again and again."""
        while self._gauges.mailbox().get("messages", 0) < messages:  # noqa: ASYNC110 (another process counts)
            await asyncio.sleep(0.02)

    async def _until_quiet(self, storm: "asyncio.Task[None]", *, contacts_too: bool = True) -> None:
        """Until every delivery has ended and every contact has its case; a storm that fails is told at once."""
        while await self._gauges.mail_is_open() or (contacts_too and await self._gauges.contacts_wait()):
            if storm.done():
                storm.result()
            await asyncio.sleep(0.1)

    async def _pause(self) -> None:
        await asyncio.sleep(_PAUSE / self._wanted.speed)

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, with the figures on the screen meanwhile."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                self._screen.show(await self._gauges.read())
                await asyncio.wait({task}, timeout=0.5)
            return await task
        finally:
            task.cancel()

    async def _sum_up(
        self, people: list[Passenger], imported: int, teller: Teller, posting: Posting
    ) -> tuple[Summary, Evidence]:
        """Everything that happened, in numbers, against what the storm's maker knows."""
        texts = await self._gauges.texts()
        counts = [await teller.deliveries(told) for told in teller.told]
        verdict = judge(posting.receipts, *await self._gauges.placed())
        deliveries = {state: sum(one[state] for one in counts) for state in counts[0]}
        summary = Summary(
            customers=len(people),
            affected=sum(person.affected for person in people),
            deliveries=deliveries,
            seconds_to_last_delivery=round(await self._gauges.seconds_to_last_delivery(), 2),
            contacts=verdict.contacts,
            cases=verdict.cases,
            unresolved_contacts=verdict.unresolved,
            customers_with_two_cases=verdict.two_cases,
            cases_with_two_customers=verdict.two_customers,
            lost_contacts=verdict.lost,
            status_page_seconds=round(max(told.page_seconds for told in teller.told), 3),
            texts=texts,
        )
        mails, mailbox = await self._gauges.mail_at_rest()
        evidence = Evidence(
            imported=imported,
            mails=mails,
            planned=tuple(sum(one.values()) for one in counts),
            mailbox=mailbox,
            receipts=len(posting.receipts),
            two_for_one=posting.two_for_one,
            unknowable=sum(not contact.knowable for contact in posting.receipts.values()),
        )
        return summary, evidence


def _busiest(posting: Posting) -> str:
    """The page of the case of whoever wrote most."""
    authors = Counter(contact.author for contact in posting.receipts.values() if contact.knowable)
    return posting.track_urls[authors.most_common(1)[0][0]] if authors else ""
