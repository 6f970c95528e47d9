"""What the commands `user`, `token` and `audit` do: one transaction each, on record under whoever ran them.

The commands that take long (`import`, `export`, `report`) are on record from before they begin (`on_record`).
Parsing stands in `app.cli`; what is decided stands in the modules named here.
"""

import getpass
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from app.audit import Deed, Verdict, record, verify
from app.auth import create_token, list_tokens, revoke_token
from app.staff.accounts import User, add_user, close_account, find_user, first_admin_link, list_users, open_link
from app.staff.accounts import set_roles as give_roles
from app.wiring import Parts
from foundation.database import Tx
from foundation.errors import Refusal


async def make_token(parts: Parts, name: str, roles: Sequence[str], days: int) -> str:
    """`stormdesk token create`: the token's text."""
    async with parts.database.transaction() as tx:
        made = await create_token(tx, name, now=parts.clock(), roles=roles, valid=timedelta(days=days))
        await _note(tx, parts, "token create", f"{name}: {', '.join(roles)}")
    return made


async def withdraw_token(parts: Parts, name: str) -> None:
    """`stormdesk token revoke`."""
    async with parts.database.transaction() as tx:
        await revoke_token(tx, name, now=parts.clock())
        await _note(tx, parts, "token revoke", name)


async def every_token(parts: Parts) -> list[dict[str, object]]:
    """`stormdesk token list`."""
    async with parts.database.transaction() as tx:
        await _note(tx, parts, "token list", "")
        return await list_tokens(tx)


async def make_user(parts: Parts, name: str, roles: Sequence[str], shown_name: str) -> str:
    """`stormdesk user add`: the address of the one-time link."""
    async with parts.database.transaction() as tx:
        user_id = await add_user(tx, name, roles, shown_name=shown_name)
        token = await open_link(tx, user_id, now=parts.clock())
        await _note(tx, parts, "user add", f"{name}: {', '.join(roles)}")
    return link_address(parts, token)


async def new_link(parts: Parts, name: str) -> str:
    """`stormdesk user link`: the address of a new one-time link."""
    async with parts.database.transaction() as tx:
        user = await find_user(tx, name, now=parts.clock())
        token = await open_link(tx, user.id, now=parts.clock())
        await _note(tx, parts, "user link", user.name)
    return link_address(parts, token)


async def change_roles(parts: Parts, name: str, roles: Sequence[str]) -> None:
    """`stormdesk user roles`."""
    async with parts.database.transaction() as tx:
        user = await find_user(tx, name, now=parts.clock())
        await give_roles(tx, user.id, roles, now=parts.clock())
        await _note(tx, parts, "user roles", f"{user.name}: {', '.join(roles)}")


async def close_user(parts: Parts, name: str) -> None:
    """`stormdesk user close`."""
    async with parts.database.transaction() as tx:
        user = await find_user(tx, name, now=parts.clock())
        await close_account(tx, user.id, now=parts.clock())
        await _note(tx, parts, "user close", user.name)


async def every_user(parts: Parts) -> list[User]:
    """`stormdesk user list`."""
    async with parts.database.transaction() as tx:
        await _note(tx, parts, "user list", "")
        return await list_users(tx, now=parts.clock())


async def verify_audit(parts: Parts, head: str) -> Verdict:
    """`stormdesk audit verify`."""
    async with parts.database.snapshot() as tx:
        return await verify(tx, head=head)


async def first_link(parts: Parts) -> str | None:
    """The address of the one-time link for the first administrator; None once there is one."""
    async with parts.database.transaction() as tx:
        token = await first_admin_link(tx, now=parts.clock())
        if token is not None:
            await _note(tx, parts, "first one-time link", "admin")
    return None if token is None else link_address(parts, token)


def link_address(parts: Parts, token: str) -> str:
    """Where a one-time link leads."""
    return f"{parts.settings.desk_url}/desk/welcome/{token}"


@asynccontextmanager
async def on_record(parts: Parts, action: str, what: str) -> AsyncIterator[None]:
    """Put on record that a command begins, before the block does or shows anything, and afterwards how it ended."""

    async def note(outcome: str) -> None:
        async with parts.database.transaction() as tx:
            await _note(tx, parts, action, what, outcome)

    await note("begun")
    try:
        yield
    except Refusal as refused:
        await note(f"refused: {refused.code}")
        raise
    except OSError as error:
        await note(f"failed: {error.strerror}")
        raise
    await note("done")


async def _note(tx: Tx, parts: Parts, action: str, what: str, outcome: str = "done") -> None:
    await record(tx, Deed(f"system:{_runner()}", action, what, outcome, "command line"), now=parts.clock())


def _runner() -> str:
    """The account of this machine that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in many containers
        return "unknown"
