"""Which role may do what: the one table. Routes name the right they need (`foundation.access`); nothing else decides.

A right is `things.verb`. A person or token may have several roles and may do whatever any of them may.
"""

from collections.abc import Iterable
from typing import Literal, get_args

Role = Literal["operator", "approver", "commander", "agent", "analyst", "admin", "sensor"]
ROLES: tuple[Role, ...] = get_args(Role)

# What each right lets its holder do, for people who hand out roles.
RIGHTS = {
    "account.own": "see and change one's own account",
    "incidents.read": "read incidents, updates and their reach",
    "incidents.declare": "declare an incident and change what is known of it",
    "components.manage": "say what customers depend on, who is responsible, and what alerts mean",
    "alerts.send": "report that something looks wrong",
    "updates.write": "draft an update",
    "updates.approve": "approve an update",
    "updates.bypass": "do without an approval in an emergency, with a reason",
    "updates.publish": "publish an approved update",
    "deliveries.read": "see how an update arrives",
    "customers.read": "see what a customer was told",
    "customers.change": "note how a customer wants to be reached",
    "seeds.manage": "choose the colleagues who are told first",
    "cases.read": "read cases and what people wrote",
    "cases.work": "decide, reply, join and split cases",
    "payments.read": "see what is paid, and to whom",
    "payments.prepare": "prepare payments and note what became of them",
    "payments.approve": "let go a payment run that somebody else prepared",
    "exports.read": "export what happened, people under pseudonyms",
    "exports.personal": "export people by their numbers",
    "machines.read": "read how the processes run",
    "users.manage": "add people, give them roles, end their sessions",
    "audit.read": "read who did what",
}

_EVERYBODY = {"account.own", "incidents.read", "machines.read"}
_OPERATOR = _EVERYBODY | {
    *("incidents.declare", "components.manage", "updates.write", "updates.publish", "deliveries.read", "seeds.manage")
}
TABLE: dict[Role, frozenset[str]] = {
    # Declares, writes and publishes; nothing goes out that nobody else may approve.
    "operator": frozenset(_OPERATOR),
    "approver": frozenset(_EVERYBODY | {"updates.approve", "deliveries.read"}),
    # Runs the incident: writes or approves, in an emergency without a second person, and may look at a single customer.
    "commander": frozenset(
        _OPERATOR
        | {"updates.approve", "updates.bypass", "customers.read", "customers.change", "cases.read"}
        | {"exports.read", "exports.personal", "payments.read", "payments.prepare", "payments.approve"}
    ),
    "agent": frozenset(
        _EVERYBODY
        | {"customers.read", "customers.change", "cases.read", "cases.work", "payments.read", "payments.prepare"}
    ),
    "analyst": frozenset(_EVERYBODY | {"deliveries.read", "exports.read"}),
    # Looks after people and rights. Sees no customer: whoever gives themselves a role for that is in the audit log.
    "admin": frozenset(_EVERYBODY | {"users.manage", "audit.read"}),
    # A machine that watches others: it may read how ours run, say that something looks wrong, and sees nothing else.
    "sensor": frozenset({"alerts.send", "machines.read"}),
}
# Whoever uses one of these looks at people: every look is recorded (`app.entrance`).
PERSONAL = frozenset(
    {
        "deliveries.read",
        "customers.read",
        "cases.read",
        "payments.read",
        "exports.read",
        "exports.personal",
        "audit.read",
        "users.manage",
    }
)
# Whoever changes something with one of these shows again who they are, unless they have just done so (`app.proof`).
PROVEN = frozenset({"users.manage"})
# What a token is for when nobody says: everything but managing people.
FOR_SYSTEMS: tuple[Role, ...] = tuple(role for role in ROLES if role != "admin")


def rights_of(roles: Iterable[str]) -> frozenset[str]:
    """Everything somebody with `roles` may do. A role we do not know gives nothing."""
    return frozenset().union(*(TABLE[role] for role in ROLES if role in set(roles)))
