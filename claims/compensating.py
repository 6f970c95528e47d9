"""Grants what the rules give somebody in a case, keeps how it was worked out, and where it may be paid to.

An entitlement hangs on the contact that asked and moves with it. For one booking, flight and passenger there is one,
in whatever case it is asked: the database refuses a second. Paying is `claims.payment_runs`' work. Use cases take `tx`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

import asyncpg
import msgspec
from stdnum import iban as iban_rules
from stdnum.exceptions import ValidationError

from claims.cases import Held, journal, plain
from claims.entitlement import Assessment, Line, assess
from claims.schemes import FACTS, Fact, Scheme, check_fact
from foundation.actors import Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound
from notify import fold_name, fold_reference

# Facts that are the same for everybody on a component, and so are kept for the next case.
SHARED = frozenset(
    {
        *("delay_minutes", "distance_km", "within_eu", "international", "cancelled", "flight_minutes"),
        *("outage_minutes", "fault_level", "days_past_repair", "cause"),
    }
)
LONGEST_NAME = 70  # of a party in a payment file (ISO 20022, SEPA)
_NUMBERED = re.compile(r"\((\d{1,2})\)\s*$")


@dataclass(frozen=True, slots=True)
class Unit:
    """What is paid for once. `component`: a key; `passenger`: a name, empty where a connection is paid for."""

    component: str
    reference: str
    passenger: str = ""

    @property
    def reference_key(self) -> str:
        """The reference as it is compared."""
        return fold_reference(self.reference)

    @property
    def passenger_key(self) -> str:
        """Initial and surname: names are written in many ways, and nobody is paid twice for spelling theirs anew.

        Two who share both are numbered by whoever grants: `Anna Jansen (2)`.
        """
        number = _NUMBERED.search(self.passenger)
        words = fold_name(_NUMBERED.sub("", self.passenger)).split()
        key = f"{words[0][0]} {words[-1]}" if words else ""
        return f"{key} {number[1]}" if key and number else key


@dataclass(frozen=True, slots=True)
class Entitlement:
    """Something granted, as desk and customer see it. `state`: granted, void, planned, paid."""

    id: int
    scheme: str
    since: date
    kind: str
    pays: str
    component: str
    reference: str
    passenger: str
    currency: str
    minor: int
    state: str
    working: tuple[Line, ...]
    made_by: str
    made_at: datetime
    void_because: str
    account_name: str
    iban: str
    paid_at: datetime | None
    contact_id: int | None


async def grant(
    tx: Tx,
    actor: Actor,
    case: Held,
    scheme: Scheme,
    *,
    unit: Unit,
    known: Mapping[str, Fact],
    on: date,
    contact_id: int | None,
    now: datetime,
) -> tuple[int, Assessment]:
    """Grant what `scheme` gives for what happened `on` a day, by the version then in force; its id, and the working.

    Raises Invalid with what is missing, Conflict when there is nothing to grant or it was granted before. The caller
    has taken the incident's lock (`casebook.lock_incident`) before it held the case, as whoever joins cases does.
    """
    if faults := faults_in(scheme, unit):
        raise Invalid("This cannot be granted yet.", faults, code="unit_incomplete")
    found = assess(scheme, on, known)
    if found.outcome == "unknown":
        said = [Fault(fact, f"Say this first: {fact.replace('_', ' ')}.") for fact in found.missing]
        raise Invalid("Something is still to be found out before this can be worked out.", said, code="facts_missing")
    if found.outcome != "entitled":
        raise Conflict(
            "The rules give nothing here. Look at the working, and tell the customer why.", code="nothing_due"
        )
    connection = await driver(tx)
    await _refuse_twice(connection, case, scheme, unit)
    made: int | None = await connection.fetchval(
        """
        INSERT INTO entitlements (contact_id, case_id, incident_id, scheme, since, kind, pays, component_key, reference,
                                  reference_key, passenger, passenger_key, facts, working, currency, minor, made_by,
                                  made_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::jsonb, $14::text::jsonb,
                $15, $16, $17, $18)
            ON CONFLICT (incident_id, scheme, component_key, reference_key, passenger_key) WHERE state = 'granted'
            DO NOTHING
        RETURNING id
        """,
        contact_id,
        case.id if contact_id is None else None,
        case.incident_id,
        scheme.code,
        found.since,
        scheme.kind,
        scheme.pays,
        unit.component,
        plain(unit.reference).strip(),
        unit.reference_key,
        plain(unit.passenger).strip(),
        unit.passenger_key,
        msgspec.json.encode(known).decode(),
        msgspec.json.encode([asdict(one) for one in found.working]).decode(),
        found.currency,
        found.minor,
        str(actor),
        now,
    )
    if made is None:  # somebody was quicker
        await _refuse_twice(connection, case, scheme, unit)
        raise Conflict("This was granted before. Nobody is paid twice.", code="granted_before")
    await journal(
        tx, actor, case.id, "granted", entitlement=made, scheme=scheme.code, currency=found.currency, minor=found.minor
    )
    return made, found


def faults_in(scheme: Scheme, unit: Unit) -> list[Fault]:
    """What is missing to tell what is paid for from everything else."""
    faults = []
    if not unit.reference_key:
        faults.append(
            Fault("reference", "Give the booking or contract reference: it keeps anybody from being paid twice.")
        )
    if scheme.unit == "passenger" and not unit.passenger_key:
        faults.append(
            Fault("passenger", "Give the passenger's name: each passenger of a booking has a right of their own.")
        )
    return faults


# The same booking in any case; the same passenger on the same component in this case, under another booking.
_TWICE = """
SELECT coalesce(s.number, '') FROM entitlements e
  LEFT JOIN contacts k ON k.id = e.contact_id
  LEFT JOIN cases o ON o.id = coalesce(e.case_id, k.case_id) LEFT JOIN cases s ON s.id = coalesce(o.merged_into, o.id)
 WHERE e.incident_id = $1 AND e.scheme = $2 AND e.component_key = $3 AND e.state = 'granted' AND e.passenger_key = $5
   AND (e.reference_key = $4 OR ($5 <> '' AND s.id = $6))
 LIMIT 1
"""


async def _refuse_twice(connection: Driver, case: Held, scheme: Scheme, unit: Unit) -> None:
    number = await connection.fetchval(
        _TWICE, case.incident_id, scheme.code, unit.component, unit.reference_key, unit.passenger_key, case.id
    )
    if number is not None:
        raise Conflict(
            f"This was granted before, in case {number}. Nobody is paid twice. If they are two people who share a name,"
            " number them: Anna Jansen (2).",
            code="granted_before",
        )


async def void(tx: Tx, actor: Actor, case: Held, entitlement_id: int, because: str) -> None:
    """Take back what was worked out wrongly, before it is paid. Raises Conflict when it is in a payment run."""
    if not because.strip():
        raise Invalid("Say why.", [Fault("why", "Say why: the next person must understand it.")], code="no_reason")
    connection = await driver(tx)
    await _own(connection, case.id, entitlement_id)
    done = await connection.fetchval(
        """
        UPDATE entitlements e SET state = 'void', void_because = $2
         WHERE id = $1 AND state = 'granted'
           AND NOT EXISTS (SELECT FROM payments p WHERE p.entitlement_id = e.id AND p.state <> 'returned')
        RETURNING id
        """,
        entitlement_id,
        plain(because)[:2000],
    )
    if done is None:
        raise Conflict("This is in a payment run, or was taken back before.", code="in_a_run")
    await journal(tx, actor, case.id, "grant_voided", entitlement=entitlement_id)


async def set_account(
    tx: Tx, actor: Actor, case: Held, entitlement_ids: Collection[int], *, name: str, iban: str
) -> None:
    """Say where these are to be paid to. Raises Invalid, and Conflict for one that is in a payment run."""
    faults = []
    holder = " ".join(plain(name).split())
    if not 0 < len(holder) <= LONGEST_NAME:
        faults.append(Fault("account_name", "Give the name of whoever has the account, as the bank has it."))
    try:
        account = iban_rules.validate(iban)
    except ValidationError:
        fault = "We cannot read this account number (IBAN). It begins with two letters, like NL91 ABNA 0417 1643 00."
        faults.append(Fault("iban", fault))
    if faults:
        raise Invalid(faults[-1].message, faults, code="account_unreadable")
    connection = await driver(tx)
    for one in entitlement_ids:
        await _own(connection, case.id, one)
    done = await connection.fetch(
        """
        UPDATE entitlements e SET account_name = $2, iban = $3, account_by = $4
         WHERE id = ANY ($1::bigint[]) AND state = 'granted'
           AND NOT EXISTS (SELECT FROM payments p WHERE p.entitlement_id = e.id AND p.state <> 'returned')
        RETURNING id
        """,
        list(entitlement_ids),
        holder,
        account,
        str(actor),
    )
    if len(done) < len(set(entitlement_ids)):
        raise Conflict("This is being paid already, so the account cannot be changed.", code="in_a_run")
    # Whole account numbers are shown to nobody who need not see them; not in the journal either.
    await journal(tx, actor, case.id, "account_set", entitlements=sorted(entitlement_ids), ends_in=account[-4:])


async def entitlements_in(tx: Tx, case_id: int, contact_ids: Collection[int] | None = None) -> list[Entitlement]:
    """What was granted in the live case `case_id`, the oldest first; only what hangs on `contact_ids`, when given."""
    rows = await (await driver(tx)).fetch(_SHOWN, case_id)
    return [_shown(row) for row in rows if contact_ids is None or row["contact_id"] in contact_ids]


@dataclass(frozen=True, slots=True)
class Happened:
    """What is known before anybody types anything: of a component, and where the customer's exposure says which.

    `on`: the day it happened; `facts`: what somebody kept of this component, and how long the incident lasted.
    """

    component: str
    name: str
    reference: str
    on: date
    facts: Mapping[str, Fact]


async def happened_in(tx: Tx, case: int, *, now: datetime) -> list[Happened]:
    """What the directory, the incident and earlier cases tell about what the customer of a live case relies on."""
    rows = await (await driver(tx)).fetch(_HAPPENED, case)
    return [
        Happened(
            row["component_key"],
            row["name"],
            row["reference"],
            (row["needed_at"] or row["started_at"]).date(),
            _facts(row, now),
        )
        for row in rows
    ]


async def keep_circumstances(
    tx: Tx, actor: Actor, incident_id: str, component: str, known: Mapping[str, Fact], *, now: datetime
) -> None:
    """Keep of `known` what is the same for everybody on a component, for the next case."""
    shared = {fact: value for fact, value in known.items() if fact in SHARED}
    await (await driver(tx)).execute(
        """
        INSERT INTO circumstances (incident_id, component_key, facts, noted_by, noted_at)
        VALUES ($1, $2, $3::text::jsonb, $4, $5)
            ON CONFLICT (incident_id, component_key)
            DO UPDATE SET facts = circumstances.facts || excluded.facts, noted_by = $4, noted_at = $5
        """,
        incident_id,
        component,
        msgspec.json.encode(shared).decode(),
        str(actor),
        now,
    )


def read_facts(typed: Mapping[str, str]) -> dict[str, Fact]:
    """Facts from the fields of a form; empty ones are unknown. Money as people write it: 46.50. Raises Invalid."""
    known: dict[str, Fact] = {}
    faults = []
    for fact, kind in FACTS.items():
        text = typed.get(fact, "").strip()
        if not text:
            continue
        try:
            value = _read(kind, text)
            check_fact(fact, value)
            known[fact] = value
        except (ValueError, ArithmeticError):
            faults.append(Fault(fact, f"We cannot read {text[:40]!r} as {fact.replace('_', ' ')}."))
    if faults:
        raise Invalid("Please look at what you typed.", faults, code="facts_unreadable")
    return known


def _read(kind: str, text: str) -> Fact:
    if kind == "yes_no":
        return {"yes": True, "no": False}[text] if text in ("yes", "no") else _unreadable(text)
    if kind == "choice":
        return text
    if kind == "money":
        amount = Decimal(text.replace(",", ".")) * 100
        return int(amount) if amount == int(amount) else _unreadable(text)
    return int(text)


def _unreadable(text: str) -> Fact:
    raise ValueError(text)


def _facts(row: asyncpg.Record, now: datetime) -> dict[str, Fact]:
    known: dict[str, Fact] = {}
    if row["started_at"] is not None:
        known["outage_minutes"] = max(0, int(((row["resolved_at"] or now) - row["started_at"]).total_seconds() // 60))
    return known | (msgspec.json.decode(row["facts"]) if row["facts"] else {})


async def _own(connection: Driver, case_id: int, entitlement_id: int) -> None:
    if await connection.fetchval(_IN_CASE, case_id, entitlement_id) is None:
        raise NotFound("There is no such grant in this case.", code="no_such_grant")


def _shown(row: asyncpg.Record) -> Entitlement:
    working = msgspec.json.decode(row["working"], type=tuple[Line, ...])
    plain_columns = {name: row[name] for name in row.keys() if name != "working"}  # noqa: SIM118 (a record has no items)
    return Entitlement(**plain_columns, working=working)


# Wherever joining and parting have taken the contact that asked, or the case that nobody wrote in.
_LIVE = """
SELECT e.* FROM entitlements e JOIN contacts k ON k.id = e.contact_id WHERE k.case_id = $1
 UNION ALL
SELECT e.* FROM entitlements e JOIN cases c ON c.id = e.case_id WHERE coalesce(c.merged_into, c.id) = $1
"""
_IN_CASE = f"SELECT e.id FROM ({_LIVE}) e WHERE e.id = $2"  # noqa: S608 (all of it is ours)
_SHOWN = f"""
SELECT e.id, e.scheme, e.since, e.kind, e.pays, e.component_key AS component, e.reference, e.passenger, e.currency,
       e.minor, CASE WHEN e.state = 'void' THEN 'void' ELSE coalesce(p.state, e.state) END AS state,
       e.working::text AS working, e.made_by, e.made_at, e.void_because, e.account_name, e.iban, p.paid_at, e.contact_id
  FROM ({_LIVE}) e LEFT JOIN payments p ON p.entitlement_id = e.id AND p.state <> 'returned'
 ORDER BY e.id
"""  # noqa: S608 (all of it is ours)
# Exposures of the customer that the incident affects; for whoever has none, the components the incident names.
_HAPPENED = """
WITH live AS (SELECT id, incident_id, customer_id FROM cases WHERE id = $1),
relied AS (
    SELECT e.component_key, e.reference, e.needed_at FROM live JOIN exposures e ON e.customer_id = live.customer_id
      JOIN affected_facts a ON a.incident_id = live.incident_id AND a.component_key = e.component_key
     UNION ALL
    SELECT a.component_key, '', NULL FROM live JOIN affected_facts a ON a.incident_id = live.incident_id
     WHERE NOT EXISTS (SELECT FROM exposures e JOIN affected_facts f ON f.component_key = e.component_key
                        WHERE e.customer_id = live.customer_id AND f.incident_id = live.incident_id)
)
SELECT r.component_key, n.component_name AS name, r.reference, r.needed_at, i.started_at, i.resolved_at,
       c.facts::text AS facts
  FROM relied r CROSS JOIN live JOIN incident_facts i ON i.incident_id = live.incident_id
  JOIN affected_facts n ON n.incident_id = live.incident_id AND n.component_key = r.component_key
  LEFT JOIN circumstances c ON c.incident_id = live.incident_id AND c.component_key = r.component_key
 ORDER BY r.reference = '', r.needed_at NULLS LAST, r.component_key LIMIT 50
"""
