"""The list of cases, which can be paged without gaps or repeats. Read only; one case is `claims.case_view`'s."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from foundation.database import Tx, driver

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


def _plain(text: str | None) -> str | None:
    """PostgreSQL's text has no NUL; a filter with one fits nothing."""
    return None if text is None else text.replace("\0", "\ufffd")
