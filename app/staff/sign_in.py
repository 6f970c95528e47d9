"""Signing in with a name, a password and a code: one attempt, and what it leads to.

One form, one answer: whatever was wrong (name, password, code, closed account) is said in the same words after the same
work, so nobody finds out which accounts exist or which half they have guessed.
"""

from dataclasses import dataclass
from datetime import timedelta
from secrets import token_bytes

from sqlalchemy import Row, select, update

from app import sessions
from app.audit import Deed, record
from app.client_address import network_of
from app.staff import throttle
from app.staff.accounts import fold_name
from app.staff.passwords import Passwords
from app.staff.seal import Seal
from app.staff.second_factor import matching_step
from app.staff.telling import tell_owner
from app.tables import users
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.tokens import BadToken, Tokens

_DEVICE = "device"
_NONCE = 9  # bytes
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody typed, and from where. `device`: the cookie of a browser that signed in before."""

    name: str
    password: str
    code: str
    address: str
    agent: str
    device: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The cookie of the new session, and the one by which this browser is known from now on."""

    token: str
    device: str


@dataclass(frozen=True, slots=True)
class NotSignedIn:
    """`wait`: how long this browser or network has to wait; None: something that was typed is wrong."""

    wait: timedelta | None = None


class SignIn:
    """The way in for accounts of our own."""

    def __init__(self, database: Database, tokens: Tokens, seal: Seal, passwords: Passwords, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._seal = seal
        self._passwords = passwords
        self._clock = clock

    async def attempt(self, tried: Attempt, *, new_password: str | None = None) -> SignedIn | NotSignedIn:
        """Let somebody in, or not. No connection is held while the password is hashed.

        `new_password` (hashed) replaces the one that was typed, when that was right; every other session ends.
        """
        name, now = fold_name(tried.name)[:_LONGEST_NAME].replace("\0", ""), self._clock()
        network = network_of(tried.address)
        device = self._device(tried.device, name)
        async with self._database.transaction() as tx:
            wait = await throttle.take_turn(tx, name, network, device, now=now)
            if wait is not None:
                return NotSignedIn(wait)
            row = (await tx.execute(select(users).where(users.c.name == name))).one_or_none()
        right = await self._passwords.fits(None if row is None else row.password_hash, tried.password)
        async with self._database.transaction() as tx:
            if row is not None and right and await self._may_enter(tx, row, tried.code):
                await throttle.forgive(tx, name, network, device)
                if new_password is not None:
                    await self._replace(tx, row.id, new_password)
                token = await sessions.begin(
                    tx, row.id, "password", address=tried.address, agent=tried.agent, now=self._clock()
                )
                await self._note(tx, name, "done", tried.address)
                return SignedIn(token, self.device_for(name))
            await self._note(tx, name if row is not None else "somebody unknown", "refused", tried.address)
        return NotSignedIn()

    async def _replace(self, tx: Tx, user_id: int, password_hash: str) -> None:
        await tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
        await sessions.end_all(tx, user_id, "password changed", now=self._clock())
        await tell_owner(tx, user_id, "password")

    def device_for(self, name: str) -> str:
        """The cookie of a browser on which `name` signed in; each has its own."""
        return self._tokens.sign(_DEVICE, token_bytes(_NONCE) + name.encode())

    def _device(self, cookie: str, name: str) -> str | None:
        try:
            return cookie if self._tokens.read(_DEVICE, cookie)[_NONCE:] == name.encode() else None
        except BadToken:
            return None

    async def _may_enter(self, tx: Tx, row: Row[tuple[object, ...]], code: str) -> bool:
        """Use the code up, if one is asked of this account; false when it is wrong or was used before."""
        open_account = update(users).where(
            users.c.id == row.id, users.c.disabled_at.is_(None), users.c.password_hash == row.password_hash
        )
        if not row.roles:
            return False
        if row.second_factor is None:
            still = open_account.values(signed_in_at=self._clock())
        else:
            secret = self._seal.open(row.second_factor)
            step = secret and matching_step(secret, code, now=self._clock(), after=row.second_factor_step)
            if not secret or step is None:
                return False
            # Guarded: of two that send the same code at once, one is too late. Sealed anew, with the newest key.
            still = open_account.where(users.c.second_factor_step < step)
            still = still.values(second_factor_step=step, second_factor=self._seal.close(secret))
        return (await tx.execute(still)).rowcount == 1

    async def _note(self, tx: Tx, name: str, outcome: str, address: str) -> None:
        await record(tx, Deed(f"staff:{name}", "sign in", "desk", outcome, address), now=self._clock())
