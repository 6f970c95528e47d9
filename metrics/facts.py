"""The views that packages publish for analysts, as names and columns. Nothing else in `metrics` names a relation.

A view's owner may add a column freely; renaming or dropping one breaks whoever reads the exports. A guard test compares
this page with the migrated database.
"""

from typing import Any

from sqlalchemy import BigInteger, DateTime, String, TableClause, Text, column, table
from sqlalchemy.types import TypeEngine

_NUMBER = BigInteger()
_MOMENT = DateTime(timezone=True)
# Words of ours, from a closed set or made by us.
_CODE = String()
# Words of somebody else, which may hold anything.
_WORDS = Text()


def _view(name: str, **columns: TypeEngine[Any]) -> TableClause:
    return table(name, *(column(one, kind) for one, kind in columns.items()))


delivery_facts = _view(
    "delivery_facts",
    delivery_id=_NUMBER,
    incident_id=_CODE,
    dispatch=_CODE,
    topic=_CODE,
    update_number=_NUMBER,
    customer_number=_WORDS,
    channel=_CODE,
    language=_CODE,
    state=_CODE,
    reason=_WORDS,
    attempts=_NUMBER,
    doubtful_attempts=_NUMBER,
    reply_code=_NUMBER,
    needed_at=_MOMENT,
    planned_at=_MOMENT,
    final_at=_MOMENT,
    instead_of=_NUMBER,
    domain=_WORDS,
    recipient_kind=_CODE,
)
contact_facts = _view(
    "contact_facts",
    contact_id=_NUMBER,
    incident_id=_CODE,
    channel=_CODE,
    language=_CODE,
    state=_CODE,
    case_number=_CODE,
    matched_by=_CODE,
    received_at=_MOMENT,
    resolved_at=_MOMENT,
    answer_by=_MOMENT,
    answered_at=_MOMENT,
)
case_facts = _view(
    "case_facts",
    case_id=_NUMBER,
    case_number=_CODE,
    incident_id=_CODE,
    customer_number=_WORDS,
    state=_CODE,
    opened_at=_MOMENT,
    closed_at=_MOMENT,
    contacts=_NUMBER,
    cases_merged_in=_NUMBER,
    joins_undone=_NUMBER,
)
incident_facts = _view(
    "incident_facts",
    incident_id=_CODE,
    title=_WORDS,
    phase=_CODE,
    impact=_CODE,
    started_at=_MOMENT,
    aware_at=_MOMENT,
    monitoring_at=_MOMENT,
    resolved_at=_MOMENT,
    created_at=_MOMENT,
    updates_published=_NUMBER,
    first_published_at=_MOMENT,
    kind=_CODE,
    state=_CODE,
    exercise=_CODE,
    severity=_NUMBER,
    title_nl=_WORDS,
    notice_limit_seconds=_NUMBER,
)
update_facts = _view(
    "update_facts",
    update_id=_CODE,
    incident_id=_CODE,
    number=_NUMBER,
    phase=_CODE,
    cause_certainty=_CODE,
    cause_party_key=_WORDS,
    next_update_at=_MOMENT,
    corrects_id=_CODE,
    created_at=_MOMENT,
    approved_at=_MOMENT,
    published_at=_MOMENT,
    audience=_CODE,
    approvals=_NUMBER,
    bypassed=_CODE,
    title=_WORDS,
    title_nl=_WORDS,
)
promise_facts = _view(
    "promise_facts",
    update_id=_CODE,
    incident_id=_CODE,
    state=_CODE,
    due_at=_MOMENT,
    settled_at=_MOMENT,
    followed_at=_MOMENT,
    warned_at=_MOMENT,
    alarmed_at=_MOMENT,
    exercise=_CODE,
)

affected_facts = _view(
    "affected_facts",
    incident_id=_CODE,
    component_key=_WORDS,
    component_name=_WORDS,
    component_group=_WORDS,
    party_key=_WORDS,
    named=_CODE,
)
claim_facts = _view(
    "claim_facts",
    claim_id=_NUMBER,
    incident_id=_CODE,
    case_number=_CODE,
    customer_number=_WORDS,
    kind=_CODE,
    state=_CODE,
    made_at=_MOMENT,
    decide_by=_MOMENT,
    ended_at=_MOMENT,
    outcome=_CODE,
    reason=_CODE,
    decided_at=_MOMENT,
    decisions=_NUMBER,
    appeals=_NUMBER,
)
payment_facts = _view(
    "payment_facts",
    entitlement_id=_NUMBER,
    incident_id=_CODE,
    case_number=_CODE,
    customer_number=_WORDS,
    scheme=_CODE,
    kind=_CODE,
    pays=_CODE,
    state=_CODE,
    currency=_CODE,
    entitled_minor=_NUMBER,
    paid_minor=_NUMBER,
    computed_at=_MOMENT,
    paid_at=_MOMENT,
)
pair_facts = _view("pair_facts", incident_id=_CODE, one_case=_CODE, other_case=_CODE)
cost_facts = _view("cost_facts", incident_id=_CODE, currency=_CODE, segments=_NUMBER, spent_millionths=_NUMBER)
queue_facts = _view("queue_facts", channel=_CODE, waits=_CODE, deliveries=_NUMBER, planned_at=_MOMENT)

FACTS = (
    delivery_facts,
    contact_facts,
    case_facts,
    incident_facts,
    update_facts,
    promise_facts,
    affected_facts,
    claim_facts,
    payment_facts,
    pair_facts,
    cost_facts,
    queue_facts,
)
