"""Incidents that are over, written straight into the tables as real ones leave them: for reports and figures.

Everything is a function of a row's number, so that the same story comes out every time.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from foundation.database import Database

AWARE = datetime(2026, 2, 8, 14, 10, tzinfo=UTC)
STORM = "storm0000001"
_TITLES = '{"en": "Check-in has stopped at all airports", "nl": "Inchecken ligt stil op alle luchthavens"}'


async def a_story(
    database: Database,
    incident: str = STORM,
    *,
    people: int = 600,
    aware_at: datetime = AWARE,
    slowness: float = 1.0,
    exercise: bool = False,
) -> None:
    """An incident with a correction, a missed promise, every outcome of deliveries, contacts, cases and claims.

    `slowness`: 2 tells people in twice the time. The people are new ones each time.
    """
    values = {
        "id": incident,
        "people": people,
        "aware": aware_at,
        "slow": slowness,
        "exercise": exercise,
        "title": _TITLES,
        "topic": f"incident:{incident}",
        "until": aware_at + timedelta(days=1),
    }
    async with database.transaction() as tx:
        for statement in _STATEMENTS:
            wanted = {name: value for name, value in values.items() if f":{name}" in statement}
            await tx.execute(text(statement), wanted)


def _update(number: int, minute: int, phase: str, *, corrects: bool = False, promised: int | None, heading: str) -> str:
    name = f"substr(md5(CAST(:id AS text) || '{number}'), 1, 12)"
    before = f"substr(md5(CAST(:id AS text) || '{number - 1}'), 1, 12)" if corrects else "NULL"
    certainty, evidence = ("unknown", "suspected", "confirmed")[min(number, 3) - 1], "The vendor" if number > 1 else ""
    due = f"CAST(:aware AS timestamptz) + interval '{promised} minutes'" if promised else "NULL"
    return f"""
    INSERT INTO updates (id, incident_id, number, state, phase, texts, cause_certainty, cause_evidence, next_update_at,
                         corrects_id, created_by, written_by, written_at, published_by, published_at)
    VALUES ({name}, :id, {number}, 'published', '{phase}', '{{"en": {{"title": "{heading}"}}}}',
            '{certainty}', '{evidence}', {due},
            {before}, 'staff:a', 'staff:a', :aware, 'staff:b',
            CAST(:aware AS timestamptz) + interval '{minute} minutes')
    """


def _dispatch(number: int, minute: int) -> str:
    return f"""
    INSERT INTO dispatches (key, topic, number, not_after, created_at)
    VALUES ('update:' || CAST(:topic AS text) || '{number}', :topic, {number}, :until,
            CAST(:aware AS timestamptz) + interval '{minute} minutes')
    """


def _deliveries(number: int, channel: str, minute: int, *, spread: int, where: str = "true") -> str:
    """Everybody of the story is written to, and hears within `spread` minutes times the slowness, most of them soon."""
    return f"""
    INSERT INTO deliveries (dispatch_id, message_id, customer_id, address_id, channel, state, reason, urgency, attempt,
                            doubtful, created_at, final_at)
    SELECT d.id, 0, c.id, a.id, '{channel}', s.state, s.reason, 1, 1, CASE WHEN c.place % 211 = 3 THEN 1 ELSE 0 END,
           d.created_at,
           d.created_at + (10 + c.place * 7919 % 1000 * power((c.place * 7919 % 1000) / 1000.0, 2) * {spread} * 0.06
                           * CAST(:slow AS float8)) * interval '1 second'
      FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM customers WHERE number LIKE :id || '-%') c
      JOIN dispatches d ON d.topic = :topic AND d.number = {number}
      LEFT JOIN addresses a ON a.customer_id = c.id AND a.channel = '{channel}'
     CROSS JOIN LATERAL (SELECT * FROM (VALUES
         (a.id IS NULL, 'suppressed', 'no_address'), (c.place % 97 = 1, 'bounced', 'no_such_address'),
         (c.place % 89 = 2, 'rejected', 'mailbox_full'), (c.place % 211 = 3, 'unknown', 'worker_lost'),
         (c.place % 301 = 4, 'expired', 'too_late'), ({number} = 1 AND c.place % 5 = 0, 'superseded', 'overtaken'),
         ('{channel}' = 'sms' AND c.place % 3 = 0, 'delivered', NULL), (true, 'accepted', NULL)
     ) v (fits, state, reason) WHERE fits LIMIT 1) s
     WHERE {where}
    """


_STATEMENTS = (
    """
    INSERT INTO incidents (id, title, phase, impact, severity, started_at, aware_at, resolved_at, created_by, exercise)
    VALUES (:id, CAST(:title AS jsonb), 'resolved', 'major', 2, CAST(:aware AS timestamptz) - interval '9 minutes',
            :aware, CAST(:aware AS timestamptz) + interval '140 minutes', 'staff:a', :exercise)
    """,
    _update(1, 6, "investigating", promised=40, heading="Check-in has stopped"),
    _update(2, 38, "identified", promised=70, heading="A power cut at the data centre"),
    _update(3, 52, "identified", corrects=True, promised=90, heading="It was not the power: a vendor’s change failed"),
    _update(4, 104, "monitoring", promised=150, heading="Check-in works again, we are watching it"),
    _update(5, 140, "resolved", promised=None, heading="Check-in works"),
    # The third promise was broken by 14 minutes.
    """
    INSERT INTO promises (update_id, incident_id, due_at, state, settled_at, followed_at)
    SELECT u.id, u.incident_id, u.next_update_at,
           CASE WHEN n.published_at <= u.next_update_at THEN 'kept' ELSE 'missed' END,
           least(n.published_at, u.next_update_at), n.published_at
      FROM updates u JOIN updates n ON n.incident_id = u.incident_id AND n.number = u.number + 1
     WHERE u.incident_id = :id
    """,
    """
    INSERT INTO customers (number, name, name_key, language, time_zone)
    SELECT CAST(:id AS text) || '-' || n, 'Anna Jansen ' || n, 'anna jansen', 'nl', 'Europe/Amsterdam'
      FROM generate_series(1, CAST(:people AS int)) n
    """,
    """
    INSERT INTO addresses (customer_id, channel, value)
    SELECT id, 'mail', number || '@example.com' FROM customers WHERE number LIKE :id || '-%' AND id % 29 <> 0
    """,
    """
    INSERT INTO addresses (customer_id, channel, value)
    SELECT id, 'sms', '+316' || lpad(id::text, 8, '0') FROM customers WHERE number LIKE :id || '-%' AND id % 4 = 1
    """,
    _dispatch(1, 6),
    _dispatch(2, 38),
    _dispatch(3, 52),
    _dispatch(4, 104),
    _dispatch(5, 140),
    _deliveries(1, "mail", 6, spread=70),
    _deliveries(1, "sms", 6, spread=30, where="a.id IS NOT NULL AND c.place % 3 > 0"),
    _deliveries(2, "mail", 38, spread=9),
    _deliveries(3, "mail", 52, spread=9),
    _deliveries(4, "mail", 104, spread=9),
    _deliveries(5, "mail", 140, spread=9),
    """
    INSERT INTO sms_spend (topic, currency, segments, spent)
    VALUES (:topic, 'EUR', CAST(:people AS int) / 4, 7012345)
    """,
    # A case for every third customer; every one of those writes once, half of them twice, some more often.
    """
    INSERT INTO cases (incident_id, customer_id, opened_at, state, closed_at)
    SELECT :id, id, :aware, CASE WHEN id % 2 = 0 THEN 'closed' ELSE 'open' END,
           CASE WHEN id % 2 = 0 THEN CAST(:until AS timestamptz) END
      FROM customers WHERE number LIKE :id || '-%' AND id % 3 = 0
    """,
    """
    INSERT INTO contacts (receipt, fingerprint, channel, incident_id, language, raw, state, case_id, customer_id,
                          received_at, resolved_at, answer_by, answered_at)
    SELECT :id || '/' || s.id || '/' || n, '',
           (ARRAY['web', 'mail', 'mail', 'phone', 'sms', 'post'])[(s.id + n) % 6 + 1],
           :id, 'nl', '', 'resolved', s.id, s.customer_id, w.at, w.at + (s.id % 50) * interval '100 milliseconds',
           w.at + interval '24 hours', CASE WHEN s.id % 3 <> 0 THEN w.at + (s.id % 31) * interval '1 hour' END
      FROM cases s CROSS JOIN LATERAL generate_series(1, 1 + (s.id % 2) + CASE WHEN s.id % 11 = 0 THEN 4 ELSE 0 END) n
     CROSS JOIN LATERAL (SELECT CAST(:aware AS timestamptz)
         + (2 + ((s.id * 7919 + n * 104729) % 1000) * power(((s.id * 104729 + n) % 1000) / 1000.0, 1.5) * 0.13)
         * interval '1 minute' AS at) w
     WHERE s.incident_id = :id
    """,
    """
    INSERT INTO contacts (receipt, fingerprint, channel, incident_id, language, raw, received_at)
    SELECT :id || '/new/' || n, '', 'api', :id, 'en', '', CAST(:aware AS timestamptz) + n * interval '17 minutes'
      FROM generate_series(1, 5) n
    """,
    """
    INSERT INTO case_journal (case_id, actor, event) SELECT id, 'system', 'parted' FROM cases
     WHERE incident_id = :id AND id % 40 = 1
    """,
    """
    INSERT INTO claims (contact_id, kind, state, made_at, decide_by, ended_at)
    SELECT min(k.id), (ARRAY['refund', 'compensation', 'rebooking'])[k.case_id % 3 + 1],
           CASE WHEN k.case_id % 4 = 0 THEN 'open' ELSE 'decided' END, :aware,
           CAST(:aware AS timestamptz) + interval '2 days',
           CASE WHEN k.case_id % 4 <> 0 THEN CAST(:aware AS timestamptz) + (k.case_id % 60) * interval '1 hour' END
      FROM contacts k WHERE k.incident_id = :id AND k.case_id IS NOT NULL GROUP BY k.case_id
    """,
    """
    INSERT INTO decisions (claim_id, outcome, reason, words, next_steps, decided_by, decided_at, case_id)
    SELECT m.id, CASE WHEN m.id % 5 = 0 THEN 'rejected' ELSE 'granted' END, 'rule', 'Because.', '{appeal}', 'staff:c',
           m.ended_at, k.case_id
      FROM claims m JOIN contacts k ON k.id = m.contact_id WHERE k.incident_id = :id AND m.state = 'decided'
    """,
    """
    INSERT INTO appeals (decision_id, words, decide_by)
    SELECT d.id, 'No.', :until FROM decisions d JOIN claims m ON m.id = d.claim_id
      JOIN contacts k ON k.id = m.contact_id
     WHERE k.incident_id = :id AND d.outcome = 'rejected' AND d.id % 2 = 0
    """,
    """
    INSERT INTO entitlements (case_id, incident_id, scheme, since, kind, pays, component_key, reference, reference_key,
                              passenger, passenger_key, facts, working, currency, minor, made_by, state, void_because)
    SELECT id, :id, 'air', DATE '2026-01-01', 'compensation', 'account', 'K', number, number, '', '', '{}', '{}', 'EUR',
           25000 + id % 3 * 15000, 'staff:c', CASE WHEN id % 8 = 0 THEN 'void' ELSE 'granted' END,
           CASE WHEN id % 8 = 0 THEN 'mistake' ELSE '' END
      FROM cases WHERE incident_id = :id AND id % 2 = 0
    """,
    """
    INSERT INTO payment_runs (incident_id, pays, currency, payments, minor, made_by)
    SELECT :id, 'account', 'EUR', count(*), sum(minor), 'staff:c' FROM entitlements
     WHERE incident_id = :id AND state = 'granted'
    """,
    """
    INSERT INTO payments (run_id, entitlement_id, minor, currency, payee, reference, state, paid_at, returned_at)
    SELECT r.id, e.id, e.minor, e.currency, 'Anna Jansen', e.reference,
           (ARRAY['paid', 'paid', 'planned', 'returned'])[e.id % 4 + 1],
           CASE WHEN e.id % 4 < 2 THEN CAST(:until AS timestamptz) END,
           CASE WHEN e.id % 4 = 3 THEN CAST(:until AS timestamptz) END
      FROM entitlements e JOIN payment_runs r ON r.incident_id = e.incident_id
     WHERE e.incident_id = :id AND e.state = 'granted'
    """,
)
