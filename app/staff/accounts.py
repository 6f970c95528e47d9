"""Accounts of the people who work here: made, given roles, let in by a one-time link, and closed.

Use cases: they take a transaction and never commit. Every change of what somebody may do ends their sessions.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.rights import ROLES, rights_of
from app.sessions import end_all
from app.staff.telling import tell_owner
from app.tables import users
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid, NotFound

LINK_LASTS = timedelta(hours=24)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_LONGEST_SHOWN = 100
# Held while it is decided whether the last administrator may go: two who remove each other at once would leave none.
_LAST_ADMIN = "SELECT pg_advisory_xact_lock(hashtextextended('stormdesk last admin', 0))"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who works here, as those see them who manage accounts."""

    id: int
    name: str
    shown_name: str
    roles: tuple[str, ...]
    way_in: str  # "password", "provider" or "none" (yet)
    has_second_factor: bool
    link_open: bool
    created_at: datetime
    signed_in_at: datetime | None
    disabled: bool


def fold_name(name: str) -> str:
    """A sign-in name as it is kept: people type it with capitals and spaces."""
    return name.strip().lower()


async def add_user(tx: Tx, name: str, roles: Sequence[str], *, shown_name: str = "") -> int:
    """Make an account that nobody can enter yet (`open_link` lets its owner in). Raises Invalid, Conflict."""
    name, faults = fold_name(name), []
    if not _NAME.fullmatch(name):
        faults.append(Fault("name", "Use letters, digits and . _ @ + - only, such as a mail address."))
    if len(shown_name) > _LONGEST_SHOWN or not shown_name.isprintable():
        faults.append(Fault("shown_name", "Use 100 characters at most, on one line."))
    faults += _role_faults(roles)
    if faults:
        raise Invalid("This account cannot be made as it is.", faults, code="invalid_account")
    new = upsert(users).values(name=name, shown_name=shown_name.strip() or name, roles=_in_order(roles))
    made = (await tx.execute(new.on_conflict_do_nothing(index_elements=["name"]).returning(users.c.id))).scalar()
    if made is None:
        raise Conflict(f"There is already an account called {name}.", code="account_exists")
    return int(made)


async def open_link(tx: Tx, user_id: int, *, now: datetime) -> str:
    """A one-time token with which the owner of an account chooses a password; an earlier one stops working."""
    token = secrets.token_urlsafe(32)
    ours = users.c.subject.is_(None)  # whoever comes through a provider has no password here
    opened = update(users).where(users.c.id == user_id, users.c.disabled_at.is_(None), ours)
    opened = opened.values(link_hash=_hash(token), link_expires_at=now + LINK_LASTS)
    if (await tx.execute(opened)).rowcount == 0:
        raise NotFound(
            "There is no such account, it is closed, or its owner signs in through your provider.",
            code="no_such_account",
        )
    return token


async def whose_link(tx: Tx, token: str, *, now: datetime) -> User | None:
    """Whom a one-time link lets in; None when it was used, is too old, or never was. Looking does not use it up."""
    found = select(users).where(
        users.c.link_hash == _hash(token), users.c.link_expires_at > now, users.c.disabled_at.is_(None)
    )
    row = (await tx.execute(found)).one_or_none()
    return None if row is None else _user(row, now)


async def use_link(
    tx: Tx, token: str, *, password_hash: str, second_factor: bytes | None, step: int, now: datetime
) -> int | None:
    """Set password and second factor by a one-time link, and use it up; None when another was faster."""
    used = (
        update(users)
        .where(users.c.link_hash == _hash(token), users.c.link_expires_at > now, users.c.disabled_at.is_(None))
        .values(
            password_hash=password_hash,
            second_factor=second_factor,
            second_factor_step=step,
            link_hash=None,
            link_expires_at=None,
        )
        .returning(users.c.id)
    )
    user_id: int | None = (await tx.execute(used)).scalar_one_or_none()
    if user_id is not None:
        await end_all(tx, user_id, "password changed", now=now)
        await tell_owner(tx, user_id, "link")
    return user_id


async def set_roles(tx: Tx, user_id: int, roles: Sequence[str], *, now: datetime) -> None:
    """Give somebody these roles and no others; their sessions end. Raises Conflict for the last administrator."""
    if faults := _role_faults(roles):
        raise Invalid("These roles cannot be given.", faults, code="invalid_account")
    await _keep_an_admin(tx, user_id, still="admin" in roles)
    changed = update(users).where(users.c.id == user_id).values(roles=_in_order(roles))
    if (await tx.execute(changed)).rowcount == 0:
        raise NotFound("There is no such account.", code="no_such_account")
    await end_all(tx, user_id, "roles changed", now=now)
    await tell_owner(tx, user_id, "roles")


async def close_account(tx: Tx, user_id: int, *, now: datetime) -> None:
    """Nobody enters by this account any more. It is kept: what was done with it is recorded under its name."""
    await _keep_an_admin(tx, user_id, still=False)
    closed = update(users).where(users.c.id == user_id).values(disabled_at=now, link_hash=None, link_expires_at=None)
    if (await tx.execute(closed)).rowcount == 0:
        raise NotFound("There is no such account.", code="no_such_account")
    await end_all(tx, user_id, "account closed", now=now)
    await tell_owner(tx, user_id, "closed")


async def reopen_account(tx: Tx, user_id: int) -> None:
    """Undo `close_account`."""
    if (await tx.execute(update(users).where(users.c.id == user_id).values(disabled_at=None))).rowcount == 0:
        raise NotFound("There is no such account.", code="no_such_account")


async def list_users(tx: Tx, *, now: datetime) -> list[User]:
    """Everybody, by name; closed accounts last."""
    rows = await tx.execute(select(users).order_by(users.c.disabled_at.is_not(None), users.c.name))
    return [_user(row, now) for row in rows]


async def find_user(tx: Tx, name: str, *, now: datetime) -> User:
    """The account called `name`. Raises NotFound."""
    row = (await tx.execute(select(users).where(users.c.name == fold_name(name)))).one_or_none()
    if row is None:
        raise NotFound(f"There is no account called {name}.", code="no_such_account")
    return _user(row, now)


async def take_in(
    tx: Tx, *, issuer: str, subject: str, name: str, shown_name: str, roles: Sequence[str], now: datetime
) -> User | None:
    """The account of somebody a provider vouches for, made at their first visit; None when they may not enter.

    Their roles are the provider's word each time. Never an account of the same name that came in another way: whoever
    can choose a name at the provider would have it.
    """
    found = select(users).where(users.c.issuer == issuer, users.c.subject == subject).with_for_update()
    row = (await tx.execute(found)).one_or_none()
    if row is None:
        if not roles:
            return None
        await _make_vouched(tx, issuer, subject, name, shown_name)
        row = (await tx.execute(found)).one()
    ordered = _in_order(roles)
    if list(row.roles) != ordered:
        await tx.execute(update(users).where(users.c.id == row.id).values(roles=ordered))
        await end_all(tx, row.id, "roles changed", now=now)
        await tell_owner(tx, row.id, "roles")
    if row.disabled_at is not None or not ordered:
        return None
    return _user((await tx.execute(found)).one(), now)


async def _make_vouched(tx: Tx, issuer: str, subject: str, name: str, shown_name: str) -> None:
    folded = re.sub(r"[^a-z0-9._@+-]", "-", fold_name(name))[:100].lstrip(".-_@+") or "somebody"
    mark = hashlib.sha256(f"{issuer} {subject}".encode()).hexdigest()[:12]
    shown = "".join(one for one in shown_name if one.isprintable()) or folded
    for free in (folded, f"{folded}+{mark}"):
        new = upsert(users).values(name=free, shown_name=shown, issuer=issuer, subject=subject)
        if (await tx.execute(new.on_conflict_do_nothing())).rowcount:
            return


async def first_admin_link(tx: Tx, *, now: datetime) -> str | None:
    """A one-time token for the first administrator; None once somebody can enter as one.

    A new one at each call: what was printed at an earlier start may have been read by others.
    """
    await tx.exec_driver_sql(_LAST_ADMIN)
    admins = users.c.roles.contains(["admin"]) & users.c.disabled_at.is_(None)
    entered = admins & (users.c.password_hash.is_not(None) | users.c.subject.is_not(None))
    if (await tx.execute(select(func.count()).where(entered))).scalar_one():
        return None
    user_id = (await tx.execute(select(users.c.id).where(users.c.name == "admin"))).scalar()
    if user_id is None:
        new = insert(users).values(name="admin", shown_name="admin", roles=list(ROLES)).returning(users.c.id)
        user_id = (await tx.execute(new)).scalar_one()
    return await open_link(tx, user_id, now=now)


async def _keep_an_admin(tx: Tx, user_id: int, *, still: bool) -> None:
    if still:
        return
    await tx.exec_driver_sql(_LAST_ADMIN)
    others = select(func.count()).where(
        users.c.roles.contains(["admin"]),
        users.c.disabled_at.is_(None),
        users.c.id != user_id,
        users.c.password_hash.is_not(None) | users.c.subject.is_not(None),
    )
    is_one = select(users.c.id).where(
        users.c.id == user_id, users.c.roles.contains(["admin"]), users.c.disabled_at.is_(None)
    )
    if (await tx.execute(is_one)).scalar() is not None and not (await tx.execute(others)).scalar_one():
        raise Conflict(
            "This is the last administrator. Make somebody else one first, who has signed in at least once.",
            code="last_admin",
        )


def _role_faults(roles: Sequence[str]) -> list[Fault]:
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        return [Fault("roles", f"There is no role {unknown[0][:40]}. Choose from: {', '.join(ROLES)}.")]
    return [] if roles else [Fault("roles", "Choose at least one role.")]


def _in_order(roles: Sequence[str]) -> list[str]:
    return [role for role in ROLES if role in set(roles)]


def _user(row: Row[tuple[object, ...]], now: datetime) -> User:
    way_in = "provider" if row.subject is not None else "password" if row.password_hash is not None else "none"
    return User(
        id=row.id,
        name=row.name,
        shown_name=row.shown_name,
        roles=tuple(row.roles),
        way_in=way_in,
        has_second_factor=row.second_factor is not None,
        link_open=row.link_expires_at is not None and row.link_expires_at > now,
        created_at=row.created_at,
        signed_in_at=row.signed_in_at,
        disabled=row.disabled_at is not None,
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


async def case_worker(tx: Tx, name: str) -> str | None:
    """The shown name of an open account that may work cases; None when there is none. As `claims.ports.StaffName`."""
    row = (
        await tx.execute(
            select(users.c.shown_name, users.c.roles).where(
                users.c.name == fold_name(name), users.c.disabled_at.is_(None)
            )
        )
    ).one_or_none()
    return row.shown_name if row is not None and "cases.work" in rights_of(row.roles) else None
