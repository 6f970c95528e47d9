"""Every figure of an incident's report once more, from the tables themselves, in other words than the report's.

`figures_by_hand` counts; `figures_shown` reads a page. Neither knows the facts views.
"""

import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from html.parser import HTMLParser

from foundation.database import Driver

_SILENT = {"style", "svg", "title", "time", "code"}


@dataclass
class Page(HTMLParser):
    """What a page shows: its figures by name (exact value, text), and all the text beside them."""

    figures: dict[str, tuple[str, str]] = field(default_factory=dict)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._inside: list[str] = []
        self._figure: tuple[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._inside.append(tag)
        if tag == "data":
            given = dict(attrs)
            name, value = given["data-figure"] or "", given["value"] or ""
            known = self.figures.setdefault(name, (value, ""))
            assert known[0] == value, f"{name} is two numbers"
            self._figure = (name, value)

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._inside.remove(tag)
        if tag == "data":
            self._figure = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            return
        if self._figure is None:
            self.text += data
        else:
            name, value = self._figure
            self.figures[name] = (value, data.strip())


def figures_shown(page: str) -> Page:
    read = Page()
    read.feed(page)
    return read


def read_aloud(text: str) -> float:
    """The number that an English reader takes from a figure: `1,234`, `12.3 %`, `6 min 10 s`."""
    if text.endswith("%"):
        return float(text[:-1].replace(",", "")) / 100
    units = {"s": 1, "min": 60, "h": 3600, "days": 86400}
    parts = re.findall(r"([\d.,]+) (s|min|h|days)\b", text)
    if parts:
        return sum(float(number.replace(",", "")) * units[unit] for number, unit in parts)
    return float(text.replace(",", ""))


async def figures_by_hand(db: Driver, incident: str, *, now: datetime, limit: float = 1800) -> dict[str, float]:
    """Name of a figure → its value. `limit`: seconds that people had to be told in."""
    found: dict[str, float] = {"limit": limit / 60}
    aware = await db.fetchval("SELECT aware_at FROM incidents WHERE id = $1", incident)
    if (severity := await db.fetchval("SELECT severity FROM incidents WHERE id = $1", incident)) is not None:
        found["severity"] = severity
    found |= await _people(db, incident, limit)
    found |= await _curve(db, incident, aware)
    found |= await _messages(db, incident)
    found |= await _updates(db, incident, aware)
    found |= await _contacts(db, incident, aware, now)
    found |= await _cases(db, incident)
    found |= await _claims(db, incident, now)
    found |= await _compensated(db, incident)
    for other in await db.fetch(
        "SELECT id FROM incidents WHERE NOT exercise AND kind = 'incident' AND state = 'declared' AND aware_at <= $1",
        aware,
    ):
        found |= {f"other.{other[0]}.{name}": value for name, value in (await _beside(db, other[0], limit)).items()}
    return found


_OF = """
    FROM deliveries d JOIN dispatches p ON p.id = d.dispatch_id JOIN customers c ON c.id = d.customer_id
   WHERE p.topic = 'incident:' || $1
"""


async def _seconds_told(db: Driver, incident: str) -> list[float]:
    """Seconds since we knew at which each told customer was first told, in order."""
    rows = await db.fetch(
        """
        SELECT extract(epoch FROM d.final_at - i.aware_at)::float8 AS s, d.customer_id
          FROM incidents i, deliveries d JOIN dispatches p ON p.id = d.dispatch_id
          JOIN customers c ON c.id = d.customer_id
         WHERE p.topic = 'incident:' || $1 AND i.id = $1 AND c.kind = 'customer' AND d.state = ANY ($2::text[])
         ORDER BY d.final_at DESC
        """,
        incident,
        ["accepted", "delivered"],
    )
    return sorted({row["customer_id"]: row["s"] for row in rows}.values())  # the last that is put in is the first told


async def _people(db: Driver, incident: str, limit: float) -> dict[str, float]:
    states = await db.fetch(
        f"SELECT d.customer_id, array_agg(DISTINCT d.state) AS states {_OF} AND c.kind = 'customer' GROUP BY 1",
        incident,
    )
    told = await _seconds_told(db, incident)
    open_states = {"planned", "sending", "deferred"}
    untold = [set(row["states"]) for row in states if not {"accepted", "delivered"} & set(row["states"])]
    waiting = sum(bool(one & open_states) for one in untold)
    unreachable = sum(one == {"suppressed"} for one in untold)
    in_time = sum(one <= limit for one in told)
    found: dict[str, float] = {
        "people": len(states),
        "told": len(told),
        "waiting": waiting,
        "unreachable": unreachable,
        "failed": len(untold) - waiting - unreachable,
        "late": len(told) - in_time,
    }
    if states:
        found["share_in_time"] = in_time / len(states)
    if told:
        found |= {"first": told[0], "clock.first": told[0]}
        for name, share in (("median", 0.5), ("p95", 0.95), ("last", 1.0)):
            place = math.ceil(share * (len(told) + waiting))
            if place <= len(told):
                found[name] = told[place - 1]
    return found


async def _curve(db: Driver, incident: str, aware: datetime) -> dict[str, float]:
    latest = max(await _seconds_told(db, incident), default=0.0)
    step = next(one for one in (1, 2, 5, 15, 60, 300, 900, 3600, 21600, 86400) if latest / one <= 150)
    rows = await db.fetch(
        f"SELECT d.channel, d.customer_id, min(d.final_at) AS at {_OF} AND c.kind = 'customer'"
        " AND d.state IN ('accepted', 'delivered') GROUP BY 1, 2",
        incident,
    )
    firsts: dict[str, dict[int, float]] = {"any": {}}
    for row in rows:
        seconds = (row["at"] - aware).total_seconds()
        for channel in ("any", row["channel"]):
            known = firsts.setdefault(channel, {})
            known[row["customer_id"]] = min(seconds, known.get(row["customer_id"], seconds))
    marks = {math.ceil(one / step) * step for known in firsts.values() for one in known.values()}
    found: dict[str, float] = {}
    for mark in marks:
        found[f"reach.{mark}"] = mark
        for channel, known in firsts.items():
            found[f"reach.{mark}.{channel}"] = sum(one <= mark for one in known.values())
    return found


async def _messages(db: Driver, incident: str) -> dict[str, float]:
    # What a worker holds in a batch is being sent, whatever its row says.
    rows = await db.fetch(
        "SELECT d.channel, coalesce(d.reason, '') AS why, d.doubtful, CASE WHEN d.final_at IS NULL AND d.id IN"
        " (SELECT unnest(delivery_ids) FROM batches WHERE lease_until IS NOT NULL) THEN 'sending'"
        " ELSE d.state END AS state"
        f" {_OF} AND c.kind <> 'staff'",
        incident,
    )
    found: dict[str, float] = {"outcomes": len(rows), "doubtful": sum(row["doubtful"] > 0 for row in rows)}
    for row in rows:
        key = f"outcome.{row['channel']}.{row['state']}.{row['why']}"
        found[key] = found.get(key, 0) + 1
    for state in ("rejected", "bounced", "expired", "unknown"):
        found[f"wrong.{state}"] = sum(row["state"] == state for row in rows)
    for row in await db.fetch("SELECT * FROM sms_spend WHERE topic = 'incident:' || $1", incident):
        found |= {f"segments.{row['currency']}": row["segments"], f"spent.{row['currency']}": row["spent"] / 1e6}
    return found


async def _updates(db: Driver, incident: str, aware: datetime) -> dict[str, float]:
    said = await db.fetch(
        "SELECT u.*, w.number AS wrong FROM updates u LEFT JOIN updates w ON w.id = u.corrects_id"
        " WHERE u.incident_id = $1 AND u.state = 'published' ORDER BY u.number",
        incident,
    )
    found: dict[str, float] = {f"update.{one['number']}": one["number"] for one in said}
    found |= {f"update.{one['number']}.corrects": one["wrong"] for one in said if one["wrong"]}
    found["corrections"] = sum(one["wrong"] is not None for one in said)
    found["bypassed"] = await db.fetchval(
        "SELECT count(DISTINCT u.id) FROM updates u JOIN update_approvals a ON a.update_id = u.id"
        " WHERE u.incident_id = $1 AND a.bypass_reason IS NOT NULL AND u.state = 'published'",
        incident,
    )
    if said:
        found["first_said"] = (said[0]["published_at"] - aware).total_seconds()
    promised = await db.fetch(
        "SELECT p.*, u.number FROM promises p JOIN updates u ON u.id = p.update_id WHERE p.incident_id = $1", incident
    )
    for one in promised:
        found[f"promise.{one['number']}"] = one["number"]
        if one["followed_at"] is not None and one["followed_at"] > one["due_at"]:
            found[f"promise.{one['number']}.late"] = (one["followed_at"] - one["due_at"]).total_seconds()
    states = [one["state"] for one in promised]
    found["promises.kept"] = states.count("kept")
    found["promises.missed"] = states.count("missed")
    found["promises.settled"] = states.count("kept") + states.count("missed")
    return found


async def _contacts(db: Driver, incident: str, aware: datetime, now: datetime) -> dict[str, float]:
    rows = await db.fetch("SELECT * FROM contacts WHERE incident_id = $1", incident)
    found: dict[str, float] = {
        "contacts": len(rows),
        "unplaced": sum(row["case_id"] is None for row in rows),
        "answered": sum(row["answered_at"] is not None for row in rows),
        "answers.late": sum((row["answered_at"] or aware) > (row["answer_by"] or now) for row in rows),
        "answers.overdue": sum(row["answered_at"] is None and (row["answer_by"] or now) < now for row in rows),
    }
    for row in rows:
        found[f"contacts.{row['channel']}"] = found.get(f"contacts.{row['channel']}", 0) + 1
    took = sorted((row["resolved_at"] - row["received_at"]).total_seconds() for row in rows if row["resolved_at"])
    for name, share in (("median", 0.5), ("p95", 0.95)) if took else ():
        place = share * (len(took) - 1)
        low, high = took[math.floor(place)], took[math.ceil(place)]
        found[f"to_case.{name}"] = low + (high - low) * (place - math.floor(place))
    minutes = [(row["received_at"] - aware).total_seconds() / 60 for row in rows]
    step = next(one for one in (5, 60, 1440) if max(minutes, default=0) / one <= 300)
    found["bar_minutes"] = step
    for minute in minutes:
        bar = math.floor(minute / step) * step
        found |= {f"bar.{bar}": bar, f"bar.{bar}.contacts": found.get(f"bar.{bar}.contacts", 0) + 1}
    return found


async def _cases(db: Driver, incident: str) -> dict[str, float]:
    rows = await db.fetch(
        "SELECT s.id, s.state, count(k.id) AS held FROM cases s LEFT JOIN contacts k ON k.case_id = s.id"
        " WHERE s.incident_id = $1 AND s.merged_into IS NULL GROUP BY s.id",
        incident,
    )
    found: dict[str, float] = {"cases": len(rows), "cases.open": sum(row["state"] == "open" for row in rows)}
    for row in rows:
        key = f"held.{row['held']}"
        found |= {key: row["held"], f"{key}.cases": found.get(f"{key}.cases", 0) + 1}
    placed = await db.fetchval("SELECT count(case_id) FROM contacts WHERE incident_id = $1", incident)
    if rows:
        found["collapse"] = placed / len(rows)
    live = "(SELECT id FROM cases WHERE incident_id = $1 AND merged_into IS NULL)"
    found["cases.merged"] = await db.fetchval(f"SELECT count(*) FROM cases WHERE merged_into IN {live}", incident)
    parted = f"SELECT count(*) FROM case_journal WHERE event = 'parted' AND case_id IN {live}"
    found["undone"] = await db.fetchval(parted, incident)
    pairs = await db.fetch(
        "SELECT l.one_id, a.case_id AS one, b.case_id AS other FROM contact_links l JOIN contacts a ON a.id = l.one_id"
        " JOIN contacts b ON b.id = l.other_id WHERE a.incident_id = $1",
        incident,
    )
    # Nobody has said in these stories that two are different, so every pair in two cases waits.
    assert not await db.fetchval("SELECT count(*) FROM identity_decisions WHERE kind <> 'merged'")
    apart = [{p["one"], p["other"]} for p in pairs if p["one"] and p["other"] and p["one"] != p["other"]]
    found["grey"] = len(set(map(frozenset, apart)))
    return found


async def _claims(db: Driver, incident: str, now: datetime) -> dict[str, float]:
    rows = await db.fetch(
        """
        SELECT m.kind, m.state, m.decide_by, m.ended_at, d.outcome, d.decided_at,
               (SELECT count(*) FROM appeals a JOIN decisions e ON e.id = a.decision_id
                 WHERE e.claim_id = m.id) AS appeals
          FROM claims m LEFT JOIN contacts k ON k.id = m.contact_id LEFT JOIN cases o ON o.id = m.case_id
          LEFT JOIN decisions d ON d.id = (SELECT max(id) FROM decisions WHERE claim_id = m.id)
         WHERE coalesce(k.incident_id, o.incident_id) = $1
        """,
        incident,
    )
    found: dict[str, float] = {
        "claims.late": sum(
            (row["ended_at"] or row["decided_at"] or row["decide_by"]) > row["decide_by"] for row in rows
        ),
        "claims.overdue": sum(row["state"] == "open" and row["decide_by"] < now for row in rows),
        "appeals": sum(row["appeals"] for row in rows),
    }
    for row in rows:
        key = f"asked.{row['kind']}.{row['outcome'] or row['state']}"
        found[key] = found.get(key, 0) + 1
    return found


async def _compensated(db: Driver, incident: str) -> dict[str, float]:
    owed = await db.fetch("SELECT currency, minor, state FROM entitlements WHERE incident_id = $1", incident)
    paid = await db.fetch(
        "SELECT p.currency, p.minor FROM payments p JOIN entitlements e ON e.id = p.entitlement_id"
        " WHERE e.incident_id = $1 AND e.state = 'granted' AND p.state = 'paid'",
        incident,
    )
    found: dict[str, float] = {}
    for currency in {row["currency"] for row in owed}:
        due = [row["minor"] for row in owed if row["currency"] == currency and row["state"] == "granted"]
        sent = [row["minor"] for row in paid if row["currency"] == currency]
        found |= {f"computed.{currency}": len(due), f"entitled.{currency}": sum(due) / 100}
        found |= {f"payments.{currency}": len(sent), f"paid.{currency}": sum(sent) / 100}
    return found


async def _beside(db: Driver, incident: str, limit: float) -> dict[str, float]:
    people, cases = await _people(db, incident, limit), await _cases(db, incident)
    promises = await db.fetch("SELECT state FROM promises WHERE incident_id = $1 AND state <> 'standing'", incident)
    count = await db.fetchval("SELECT count(*) FROM contacts WHERE incident_id = $1", incident)
    found: dict[str, float] = {"kept": sum(row[0] == "kept" for row in promises), "promised": len(promises)}
    found |= {"first": people["first"], "in_time": people["share_in_time"]} if people["told"] else {}
    if people["people"]:
        found |= {"in_time": people["share_in_time"], "per_thousand": 1000 * count / people["people"]}
    if "collapse" in cases:
        found["collapse"] = cases["collapse"]
    for row in await db.fetch("SELECT * FROM sms_spend WHERE topic = 'incident:' || $1", incident):
        found[f"cost.{row['currency']}"] = row["spent"] / 1e6 / people["told"]
    return found


def differences(page: str, by_hand: dict[str, float]) -> list[str]:
    """What a page in English shows that is not so, one line each; every figure is compared, and every digit is one."""
    read = figures_shown(page)
    found = []
    for name, (value, text) in read.figures.items():
        if name not in by_hand:
            found.append(f"{name}: {text}, which nobody counted")
        elif not math.isclose(float(value), by_hand[name], rel_tol=1e-9, abs_tol=1e-6):
            found.append(f"{name}: {value}, counted {by_hand[name]}")
        elif not math.isclose(read_aloud(text), by_hand[name], rel_tol=6e-3, abs_tol=0.51 if " s" in text else 0.051):
            found.append(f"{name}: reads {text}, counted {by_hand[name]}")
    if stray := re.findall(r".{0,20}\d.{0,20}", read.text):
        found.append(f"numbers that are no figures: {stray}")
    return found
