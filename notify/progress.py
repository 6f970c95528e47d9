"""How a dispatch stands: counts per channel, language and domain, and when the last will have been told. Reads only."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from foundation.database import Driver, Tx, driver
from notify.estimate import Because, Waiting, estimates, last_of
from notify.proof import all_states

# What has not ended in this, and a rate is measured over it.
_MEASURED_SECONDS = 30
# Every domain counts in the sums; more than these by name would be a list to get lost in.
_MOST_DOMAINS = 50


@dataclass(frozen=True, slots=True)
class Part:
    """The deliveries of one channel, language or domain."""

    name: str
    total: int
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class DomainPart:
    """The deliveries to one mail domain or host, and when the last of them will be out of our hands."""

    name: str
    total: int
    states: dict[str, int]
    seconds_left: float | None
    because: Because


@dataclass(frozen=True, slots=True)
class Progress:
    """How a dispatch stands. Every part adds up to `total`. `seconds_left`: to the last recipient; None: unknown.

    `status`: running, paused or cancelled; `held`: deliveries that wait for somebody to release them; `per_second`: as
    measured over the last half minute. The smallest domains are one, named "other".
    """

    total: int
    states: dict[str, int]
    channels: Sequence[Part]
    languages: Sequence[Part]
    domains: Sequence[DomainPart]
    status: str
    held: int
    per_second: float | None
    seconds_left: float | None
    because: Because


# One pass over the deliveries of a dispatch. A phone number has no domain, a webhook the host of its URL.
_PARTS = """
WITH away AS MATERIALIZED (SELECT unnest(delivery_ids) AS id FROM batches WHERE lease_until IS NOT NULL)
SELECT d.channel, m.language,
       CASE d.channel WHEN 'webhook' THEN split_part(split_part(coalesce(a.value, ''), '/', 3), ':', 1)
                      ELSE lower(split_part(coalesce(a.value, ''), '@', 2)) END AS domain,
       CASE WHEN away.id IS NOT NULL AND d.final_at IS NULL THEN 'sending' ELSE d.state END AS state,
       count(*), count(*) FILTER (WHERE d.final_at > now() - make_interval(secs => $2) AND d.attempt > 0)
  FROM deliveries d
  JOIN dispatches p ON p.id = d.dispatch_id
  JOIN messages m ON m.id = d.message_id
  LEFT JOIN addresses a ON a.id = d.address_id
  LEFT JOIN away ON away.id = d.id
 WHERE p.key = $1
 GROUP BY 1, 2, 3, 4
"""


async def delivery_progress(tx: Tx, key: str) -> Progress:
    """How the dispatch `key` stands, with an estimate; all zeros when nobody knows it."""
    connection = await driver(tx)
    rows = await connection.fetch(_PARTS, key, float(_MEASURED_SECONDS))
    by_channel, by_language, by_domain = (_grouped(rows, column) for column in range(3))
    about = await connection.fetchrow(
        """
        SELECT p.status, least(extract(epoch FROM now() - p.created_at), $2)::float8,
               (SELECT coalesce(sum(cardinality(delivery_ids)), 0)::integer FROM batches b
                 WHERE b.dispatch_id = p.id AND b.waits = 'held')
          FROM dispatches p WHERE p.key = $1
        """,
        key,
        float(_MEASURED_SECONDS),
    )
    status, seconds, held = about if about is not None else ("running", 0.0, 0)
    recent = sum(row[5] for row in rows)
    measured = recent / seconds if seconds and recent else None
    waiting = await _waiting(connection, by_domain)
    blocked: Literal["held", "paused"] | None = "paused" if status == "paused" else "held" if held else None
    found = estimates(waiting, measured, blocked)
    states: Counter[str] = sum(by_channel.values(), Counter())
    last = last_of(found)
    domains = [
        DomainPart(name, counts.total(), all_states(counts), found[name].seconds, found[name].because)
        for name, counts in by_domain.items()
    ]
    domains.sort(key=lambda one: (one.because not in ("throttled", "stopped"), -one.total, one.name))
    return Progress(
        states.total(),
        all_states(states),
        [Part(name, counts.total(), all_states(counts)) for name, counts in sorted(by_channel.items())],
        [Part(name, counts.total(), all_states(counts)) for name, counts in sorted(by_language.items())],
        _few(domains),
        status,
        held,
        None if measured is None else round(measured, 2),
        None if last.seconds is None else round(last.seconds, 1),
        last.because,
    )


def _grouped(rows: Sequence[Any], column: int) -> dict[str, Counter[str]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found[row[column]][row[3]] += row[4]
    return found


async def _waiting(connection: Driver, by_domain: dict[str, Counter[str]]) -> dict[str, Waiting]:
    rows = await connection.fetch(
        """
        SELECT domain, min(rate), max(greatest(extract(epoch FROM stopped_until - now()), 0))::float8
          FROM paces WHERE channel IN ('mail', 'webhook') AND domain = ANY ($1::text[]) GROUP BY domain
        """,
        list(by_domain),
    )
    paces = {row[0]: (row[1], row[2] or 0.0) for row in rows}
    return {
        name: Waiting(sum(counts[state] for state in ("planned", "sending", "deferred")), *paces.get(name, (None, 0.0)))
        for name, counts in by_domain.items()
    }


def _few(domains: Sequence[DomainPart]) -> list[DomainPart]:
    rest = domains[_MOST_DOMAINS:]
    if not rest:
        return list(domains)
    counts: Counter[str] = sum((Counter(one.states) for one in rest), Counter())
    longest = max(rest, key=lambda one: float("inf") if one.seconds_left is None else one.seconds_left)
    return [
        *domains[:_MOST_DOMAINS],
        DomainPart("other", sum(one.total for one in rest), all_states(counts), longest.seconds_left, longest.because),
    ]
