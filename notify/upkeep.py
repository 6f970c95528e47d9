"""Keeps the outbox moving: deferred deliveries whose pause is over, leases that ended, messages that lost their use.

Any number of processes may run it at once; rows somebody else holds are passed over. It sends nothing.
"""

from datetime import timedelta

from foundation.database import Database
from notify import outbox

# One transaction's worth: short enough that nobody waits for its locks.
_MOST = 2000


async def upkeep_step(database: Database, *, lease: timedelta) -> bool:
    """One round of upkeep, one short transaction each. `lease`: that of the senders. True: there may be more to do."""
    async with database.transaction() as tx:
        promoted = await outbox.promote(tx, _MOST)
    async with database.transaction() as tx:
        rescued = await outbox.rescue(tx, _MOST, lease)
    async with database.transaction() as tx:
        expired = await outbox.expire(tx, _MOST)
    return _MOST in (promoted, rescued, expired)
