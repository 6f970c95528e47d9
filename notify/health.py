"""The health of addresses: what bounces, complaints and successes make of them, and how staff take one into use again.

A hard bounce or a complaint suppresses at once. A soft bounce (full, busy, refused for reasons that may pass) is
counted: a row of them without a success between suppresses when it is long in number and in days, since ten updates in
one afternoon to a mailbox that is full say no more than one. What is said of a mailbox holds for everybody who has
it. The rule is `judge`, which is pure; each change stands in the address journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation.actors import SYSTEM, Actor
from foundation.database import Driver, Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound

SOFT_BOUNCES = 5
SOFT_BOUNCE_DAYS = timedelta(days=3)
# A relay tells of no successes, so a mailbox that works between two bounces leaves no trace but silence.
_SILENCE = timedelta(days=30)

# Why an address is suppressed, where it is because of what came back. Staff may lift these.
BY_REPORT = ("hard_bounce", "soft_bounces", "complaint")


@dataclass(frozen=True, slots=True)
class Sign:
    """What an event says of an address: a kind of `notify.reports`, at the moment it came."""

    address_id: int
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """Soft bounces in a row: how many, since when, and the last bounce of any kind."""

    bounces: int
    since: datetime | None
    last: datetime | None


def judge(row: Row, signs: Sequence[Sign]) -> tuple[Row, str | None]:
    """The row after `signs` (in any order), and why the address is to be given up, if it is. Pure."""
    because = None
    for sign in sorted(signs, key=lambda one: one.at):
        if sign.kind in ("delivered", "auto_reply"):
            if row.last is None or sign.at > row.last:
                row = Row(0, None, row.last)
            continue
        if sign.kind == "soft_bounce":
            afresh = row.since is None or (row.last is not None and sign.at > row.last + _SILENCE)
            since = sign.at if afresh or row.since is None else row.since
            row = Row(1 if afresh else min(row.bounces + 1, _MOST_COUNTED), since, row.last)
            if row.bounces >= SOFT_BOUNCES and sign.at - since >= SOFT_BOUNCE_DAYS:
                because = because or "soft_bounces"
        elif sign.kind == "hard_bounce" and because != "complaint":
            because = "hard_bounce"
        elif sign.kind == "complaint":
            because = "complaint"
        if sign.kind in ("soft_bounce", "hard_bounce"):
            row = Row(row.bounces, row.since, sign.at if row.last is None else max(row.last, sign.at))
    return row, because


_MOST_COUNTED = 30_000  # what the column holds, and nobody needs to know more

# What is said of a mailbox holds for all who have it: every row with the same address. Locked in the order of id, so
# that two who meet on one mailbox wait for each other.
_MAILBOXES = """
SELECT a.id, a.channel, a.value, a.suppressed_because, a.soft_bounces, a.soft_bounces_since, a.last_bounce_at
  FROM addresses a
  JOIN (SELECT DISTINCT channel, value FROM addresses WHERE id = ANY ($1::bigint[])) AS said USING (channel, value)
 ORDER BY a.id
   FOR UPDATE OF a
"""

# An address that a newer file replaced is given up too: else it would come back usable with the next file that has it.
_CHANGE = """
UPDATE addresses a
   SET soft_bounces = n.bounces, soft_bounces_since = n.since, last_bounce_at = n.last,
       health = CASE WHEN n.because IS NULL THEN a.health ELSE 'suppressed' END,
       suppressed_because = CASE WHEN n.because IS NULL
           OR (a.health = 'suppressed' AND a.suppressed_because <> 'replaced') THEN a.suppressed_because
           ELSE n.because END
  FROM unnest($1::bigint[], $2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::text[])
    AS n (id, bounces, since, last, because)
 WHERE a.id = n.id
"""


async def note_signs(connection: Driver, signs: Sequence[Sign]) -> None:
    """Count what `signs` say, and suppress the addresses that are to be. Kinds that say nothing are passed over."""
    telling = [one for one in signs if one.kind in _TELLING]
    if not telling:
        return
    found = await connection.fetch(_MAILBOXES, list({one.address_id for one in telling}))
    mailbox = {row["id"]: (row["channel"], row["value"]) for row in found}
    said: dict[tuple[str, str], list[Sign]] = {}
    for one in telling:
        if one.address_id in mailbox:
            said.setdefault(mailbox[one.address_id], []).append(one)
    changed = []
    for row in found:
        before = Row(row["soft_bounces"], row["soft_bounces_since"], row["last_bounce_at"])
        after, because = judge(before, said[mailbox[row["id"]]])
        if after != before or because is not None:
            changed.append((row["id"], after, because, row["suppressed_because"]))
    await connection.execute(
        _CHANGE,
        [address for address, *_ in changed],
        [after.bounces for _, after, *_ in changed],
        [after.since for _, after, *_ in changed],
        [after.last for _, after, *_ in changed],
        [because for _, _, because, _ in changed],
    )
    given_up = [(address, because) for address, _, because, was in changed if because and was in (None, "replaced")]
    await _write_journal(connection, SYSTEM, "suppressed", given_up)


async def _write_journal(connection: Driver, actor: Actor, event: str, entries: Sequence[tuple[int, str]]) -> None:
    if entries:
        await connection.execute(
            "INSERT INTO address_journal (address_id, actor, event, reason)"
            " SELECT id, $2, $3, reason FROM unnest($1::bigint[], $4::text[]) AS new (id, reason)",
            [address for address, _ in entries],
            str(actor),
            event,
            [reason for _, reason in entries],
        )


_TELLING = frozenset({"delivered", "auto_reply", "soft_bounce", "hard_bounce", "complaint"})


async def note_rejections(connection: Driver, delivery_ids: Sequence[int]) -> None:
    """A refusal while sending is a bounce too: apply it to the addresses of these deliveries. Call it once for each.

    Of those that are rejected: `no_such_address` is a hard bounce, `mailbox_full` a soft one; other reasons say
    nothing of the address.
    """
    if not delivery_ids:
        return
    rows = await connection.fetch(
        """
        SELECT address_id, CASE reason WHEN 'no_such_address' THEN 'hard_bounce' ELSE 'soft_bounce' END AS kind,
               coalesce(final_at, now()) AS at
          FROM deliveries
         WHERE id = ANY ($1::bigint[]) AND state = 'rejected' AND address_id IS NOT NULL
           AND reason IN ('no_such_address', 'mailbox_full')
        """,
        list(delivery_ids),
    )
    await note_signs(connection, [Sign(row["address_id"], row["kind"], row["at"]) for row in rows])


async def lift_suppression(tx: Tx, *, channel: str, value: str, actor: Actor, reason: str) -> int:
    """Take an address into use again, for every customer who has it; returns how many have.

    For those that were given up because of what came back; `reason` is for the journal. Raises Invalid without one,
    NotFound for an address nobody has, Conflict for one that is suppressed for nothing of the kind.
    """
    if not reason.strip():
        raise Invalid("Say why the address can be used again.", [Fault("reason", "Write a reason.")])
    connection = await driver(tx)
    rows = await connection.fetch(
        """
        SELECT id, suppressed_because FROM addresses WHERE channel = $1 AND value = $2 ORDER BY id FOR UPDATE
        """,
        channel,
        value,
    )
    if not rows:
        raise NotFound("Nobody has this address.", code="no_such_address")
    lifted = [row["id"] for row in rows if row["suppressed_because"] in BY_REPORT]
    if not lifted:
        raise Conflict("This address was not given up because of what came back.", code="not_suppressed")
    await connection.execute(
        """
        UPDATE addresses
           SET health = 'usable', suppressed_because = NULL, soft_bounces = 0, soft_bounces_since = NULL
         WHERE id = ANY ($1::bigint[])
        """,
        lifted,
    )
    words = reason.strip()[:500].replace("\x00", "")
    await _write_journal(connection, actor, "lifted", [(address, words) for address in lifted])
    return len(lifted)
