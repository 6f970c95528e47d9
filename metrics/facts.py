"""The views that packages publish for analysts, as names and columns. Nothing else in `metrics` names a relation.

A view's owner may add a column freely; renaming or dropping one breaks whoever reads the exports. A guard test compares
this page with the migrated database.
"""

from sqlalchemy import TableClause, column, table


def _view(name: str, *columns: str) -> TableClause:
    return table(name, *(column(one) for one in columns))


delivery_facts = _view(
    "delivery_facts",
    *("delivery_id", "incident_id", "dispatch", "topic", "update_number", "customer_number", "channel", "language"),
    *("state", "reason", "attempts", "doubtful_attempts", "reply_code", "needed_at", "planned_at", "final_at"),
)
contact_facts = _view(
    "contact_facts",
    *("contact_id", "incident_id", "channel", "language", "state", "case_number"),
    *("matched_by", "received_at", "resolved_at"),
)
case_facts = _view(
    "case_facts",
    *("case_id", "case_number", "incident_id", "customer_number", "state", "opened_at", "closed_at"),
    *("contacts", "cases_merged_in"),
)
incident_facts = _view(
    "incident_facts",
    *("incident_id", "title", "phase", "impact", "started_at", "aware_at", "monitoring_at", "resolved_at"),
    *("created_at", "updates_published", "first_published_at"),
)
update_facts = _view(
    "update_facts",
    *("update_id", "incident_id", "number", "phase", "cause_certainty", "cause_party_key"),
    *("next_update_at", "corrects_id", "created_at", "approved_at", "published_at"),
)

FACTS = (delivery_facts, contact_facts, case_facts, incident_facts, update_facts)
