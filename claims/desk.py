"""The desk's reading of cases: a list that can be paged without gaps or repeats, and one case with all that is in it.

Read only. Deciding, replying, merging by hand and taking apart come with their own use cases.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import asyncpg
import msgspec

from claims.receipts import grouped
from claims.submissions import NOTHING_SAID, Submission, stored_submission
from foundation.database import Tx, driver
from foundation.errors import NotFound

MOST_ON_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases to list. None: any. `known`: only with a customer, or only without. `after`: the last case seen."""

    incident_id: str | None = None
    state: str | None = None
    customer_number: str | None = None
    known: bool | None = None
    after: int = 0
    limit: int = 50


class CaseQuery(msgspec.Struct, frozen=True, rename={"incident_id": "incident", "customer_number": "customer"}):
    """Which cases to list, in a query string. `after`: the `next` of the page before."""

    incident_id: str | None = None
    state: Literal["open", "closed"] | None = None
    customer_number: str | None = None
    known: bool | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ON_A_PAGE)] = 50

    def filter(self) -> CaseFilter:
        """Which cases to list."""
        return CaseFilter(
            _plain(self.incident_id), self.state, _plain(self.customer_number), self.known, self.after, self.limit
        )


async def list_cases(tx: Tx, wanted: CaseFilter) -> dict[str, Any]:
    """{"cases": […], "next": …}: live cases, oldest first. `next` is the `after` of the next page, None at the end."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT case_id, case_number AS number, incident_id, customer_number, state, opened_at, closed_at, contacts,
               cases_merged_in
          FROM case_facts
         WHERE case_id > $1
           AND ($2::text IS NULL OR incident_id = $2)
           AND ($3::text IS NULL OR state = $3)
           AND ($4::text IS NULL OR customer_number = $4)
           AND ($5::boolean IS NULL OR (customer_number IS NOT NULL) = $5)
         ORDER BY case_id LIMIT $6
        """,
        wanted.after,
        wanted.incident_id,
        wanted.state,
        wanted.customer_number,
        wanted.known,
        wanted.limit + 1,
    )
    page = rows[: wanted.limit]
    cases = [{name: value for name, value in row.items() if name != "case_id"} for row in page]
    return {"cases": cases, "next": page[-1]["case_id"] if len(rows) > len(page) else None}


async def show_case(tx: Tx, number: str) -> dict[str, Any]:
    """A case with its contacts and journal. An old number leads to the case it was merged into. Raises `NotFound`."""
    connection = await driver(tx)
    live = await connection.fetchval(
        "SELECT coalesce(merged_into, id) FROM cases WHERE number = $1", _plain(number.upper())
    )
    if live is None:
        raise NotFound("There is no such case.", code="no_such_case")
    case = await connection.fetchrow(
        """
        SELECT case_number AS number, incident_id, customer_number, state, opened_at, closed_at
          FROM case_facts WHERE case_id = $1
        """,
        live,
    )
    assert case is not None  # the view shows every live case
    former = await connection.fetch("SELECT number FROM cases WHERE merged_into = $1 ORDER BY id", live)
    contacts = await connection.fetch(
        """
        SELECT id, receipt, channel, language, raw, received_at, matched_by FROM contacts
         WHERE case_id = $1 ORDER BY received_at, id
        """,
        live,
    )
    journal = await connection.fetch(
        "SELECT at, actor, event, detail::text FROM case_journal WHERE case_id = $1 ORDER BY id", live
    )
    return {
        **dict(case),
        "former_numbers": [row["number"] for row in former],
        "contacts": [_contact(row) for row in contacts],
        "journal": [{**row, "detail": msgspec.Raw(row["detail"].encode())} for row in journal],
    }


def _contact(row: asyncpg.Record) -> dict[str, Any]:
    said: Submission = stored_submission(row["channel"], row["raw"]) or NOTHING_SAID
    shown = {name: row[name] for name in ("id", "channel", "language", "received_at", "matched_by")}
    return {**shown, "receipt": grouped(row["receipt"]), "said": said}


def _plain(text: str | None) -> str | None:
    """PostgreSQL's text has no NUL; a filter with one fits nothing."""
    return None if text is None else text.replace("\0", "\ufffd")
