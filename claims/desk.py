"""The list of cases, which can be paged without gaps or repeats. Read only; one case is `claims.case_view`'s."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.database import Tx, driver
from foundation.errors import Fault, Invalid

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


def read_case_filter(query: Mapping[str, str]) -> CaseFilter:
    """The filters in a query string. Raises `Invalid` that names every one that is wrong."""
    faults = []
    state, known = query.get("state"), query.get("known")
    after, limit = query.get("after", "0"), query.get("limit", "50")
    if state not in (None, "open", "closed"):
        faults.append(Fault("state", "Must be open or closed."))
    if known not in (None, "true", "false"):
        faults.append(Fault("known", "Must be true or false."))
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        faults.append(Fault("after", "Must be the `next` of the page before."))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= MOST_ON_A_PAGE):
        faults.append(Fault("limit", f"Must be a number from 1 to {MOST_ON_A_PAGE}."))
    if faults:
        raise Invalid("The list cannot be made like that.", faults)
    return CaseFilter(
        incident_id=_plain(query.get("incident")),
        state=state,
        customer_number=_plain(query.get("customer")),
        known=None if known is None else known == "true",
        after=int(after),
        limit=int(limit),
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


def _plain(text: str | None) -> str | None:
    """PostgreSQL's text has no NUL; a filter with one fits nothing."""
    return None if text is None else text.replace("\0", "\ufffd")
