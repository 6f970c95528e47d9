"""The queues of destinations that have a pace of their own: SQL around the rules of `pacing.py`.

A row of `paces` is the lock, so that workers share one bucket. Only domains that are slow, stopped or limited have one;
while there are none, a claim asks one short question here and nothing more.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from foundation.database import Driver
from notify.pacing import (
    EASE_EVERY,
    FIRST_CONCURRENCY,
    FIRST_RATE,
    STOP_FOR,
    Pace,
    faster,
    first_pace,
    slower,
    tokens_at,
)

# Small, so that a bucket that drips can be used and a bound of few under way is kept.
_BATCH = 10

_PACE = "domain, rate, concurrency, tokens, counted_at, ceiling_rate, ceiling_concurrency, throttled_at"


async def domains(connection: Driver, channel: str) -> frozenset[str]:
    """The domains that have a pace of their own."""
    rows = await connection.fetch("SELECT domain FROM paces WHERE channel = $1", channel)
    return frozenset(row[0] for row in rows)


async def queue(connection: Driver, slow: Sequence[tuple[int, int, str]]) -> None:
    """Move deliveries out of batches just leased into their domains' queues. `slow`: (delivery, batch, domain)."""
    ids = [one for one, _, _ in slow]
    await connection.execute(
        """
        WITH cut AS MATERIALIZED (
            SELECT b.id, ARRAY (SELECT x FROM unnest(b.delivery_ids) x WHERE x <> ALL ($1::bigint[])) AS rest
              FROM batches b WHERE b.id = ANY ($2::bigint[])
        ), gone AS (
            DELETE FROM batches b USING cut WHERE b.id = cut.id AND cardinality(cut.rest) = 0
        )
        UPDATE batches b SET delivery_ids = cut.rest FROM cut WHERE b.id = cut.id AND cardinality(cut.rest) > 0
        """,
        ids,
        sorted({batch_id for _, batch_id, _ in slow}),
    )
    await connection.execute(
        f"""
        INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids, domain)
        SELECT dispatch_id, channel, urgency, min(needed_at), array_agg(id ORDER BY id), domain
          FROM (SELECT d.*, s.domain,
                       (row_number() OVER (PARTITION BY d.dispatch_id, s.domain ORDER BY d.id) - 1) / {_BATCH:d} AS part
                  FROM unnest($1::bigint[], $2::text[]) AS s (id, domain) JOIN deliveries d ON d.id = s.id) parted
         GROUP BY dispatch_id, channel, urgency, domain, part
        """,  # noqa: S608 (a number of ours)
        ids,
        [domain for _, _, domain in slow],
    )


async def claim(connection: Driver, channel: str, most: int, lease: timedelta) -> list[tuple[int, Sequence[int]]]:
    """Lease from the domains' queues what their paces permit now, up to `most` deliveries: (batch, deliveries)."""
    rows = await connection.fetch(
        f"""
        SELECT {_PACE}, now() FROM paces
         WHERE channel = $1 AND coalesce(stopped_until <= now(), true)
         ORDER BY domain FOR UPDATE SKIP LOCKED
        """,  # noqa: S608 (names of ours)
        channel,
    )
    leased: list[tuple[int, Sequence[int]]] = []
    for row in rows:
        domain, pace, now = row[0], Pace(*row[1:8]), row[8]
        tokens = tokens_at(pace, now)
        free = pace.concurrency - await _under_way(connection, channel, domain)
        room = most - sum(len(members) for _, members in leased)
        granted = await _take(connection, channel, domain, min(int(tokens), free, room), lease)
        if granted:
            leased += granted
            tokens -= sum(len(members) for _, members in granted)
            await connection.execute(
                "UPDATE paces SET tokens = $3, counted_at = $4 WHERE channel = $1 AND domain = $2",
                channel, domain, tokens, now,
            )  # fmt: skip
    return leased


async def _under_way(connection: Driver, channel: str, domain: str) -> int:
    count: int = await connection.fetchval(
        """
        SELECT coalesce(sum(cardinality(delivery_ids)), 0)::integer FROM batches
         WHERE channel = $1 AND domain = $2 AND lease_until IS NOT NULL
        """,
        channel,
        domain,
    )
    return count


async def _take(
    connection: Driver, channel: str, domain: str, most: int, lease: timedelta
) -> list[tuple[int, Sequence[int]]]:
    if most < 1:
        return []
    rows = await connection.fetch(
        """
        SELECT id, delivery_ids FROM batches w
         WHERE channel = $1 AND domain = $2 AND lease_until IS NULL AND waits IS NULL
           AND EXISTS (SELECT FROM dispatches p
                    WHERE p.id = w.dispatch_id AND p.status = 'running' AND p.not_after > now())
         ORDER BY urgency, needed_at, id LIMIT $3 FOR UPDATE OF w SKIP LOCKED
        """,
        channel,
        domain,
        most,
    )
    taken: list[tuple[int, Sequence[int]]] = []
    for batch_id, members in rows:
        room = most - sum(len(one) for _, one in taken)
        if room < 1:
            break
        taken.append((await _lease_part(connection, batch_id, members, room, lease), members[:room]))
    return taken


async def _lease_part(connection: Driver, batch_id: int, members: Sequence[int], room: int, lease: timedelta) -> int:
    """Lease a batch, or as much of it as there is room for; the id of what is leased."""
    if len(members) <= room:
        await connection.execute("UPDATE batches SET lease_until = now() + $2::interval WHERE id = $1", batch_id, lease)
        return batch_id
    await connection.execute("UPDATE batches SET delivery_ids = $2 WHERE id = $1", batch_id, members[room:])
    part: int = await connection.fetchval(
        """
        INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids, domain, lease_until)
        SELECT dispatch_id, channel, urgency, needed_at, $2, domain, now() + $3::interval FROM batches WHERE id = $1
        RETURNING id
        """,
        batch_id,
        members[:room],
        lease,
    )
    return part


async def slow_down(connection: Driver, channel: str, slow: Sequence[str], reason: str) -> None:
    """These domains asked us to send more slowly."""
    for domain in sorted(set(slow)):
        row = await connection.fetchrow(
            f"SELECT {_PACE}, now() FROM paces WHERE channel = $1 AND domain = $2 FOR UPDATE",  # noqa: S608 (ours)
            channel,
            domain,
        )
        if row is None:
            now = await connection.fetchval("SELECT now()")
            await _store(connection, channel, domain, first_pace(now), reason)
        else:
            await _store(connection, channel, domain, slower(Pace(*row[1:8]), row[8]), reason)


async def begin_gently(connection: Driver, dispatch_id: int) -> None:
    """Give each host to which a dispatch has more webhooks than may be under way at once the pace of a slow domain.

    Anybody can have thousands of messages sent to a host by following with as many of its URLs, and unlike a mail
    server it never asked for any. So its burst begins slowly, for all workers together, and `ease` raises it.
    """
    await connection.execute(
        """
        INSERT INTO paces (channel, domain, rate, concurrency, tokens, reason)
        SELECT 'webhook', split_part(split_part(a.value, '/', 3), ':', 1), $2::double precision, $3::integer, 0,
               'first burst'
          FROM deliveries d JOIN addresses a ON a.id = d.address_id
         WHERE d.dispatch_id = $1 AND d.channel = 'webhook' AND d.final_at IS NULL
         GROUP BY 2 HAVING count(*) > $3
         ORDER BY 2
            ON CONFLICT (channel, domain) DO NOTHING
        """,
        dispatch_id, FIRST_RATE, FIRST_CONCURRENCY,
    )  # fmt: skip


async def stop(connection: Driver, channel: str, domain: str, reason: str) -> None:
    """Pull the brake: nothing more to this domain for a while; the rest goes on."""
    await slow_down(connection, channel, [domain], reason)
    await connection.execute(
        "UPDATE paces SET stopped_until = now() + $3::interval, reason = $4 WHERE channel = $1 AND domain = $2",
        channel, domain, STOP_FOR, reason,
    )  # fmt: skip


async def leave_alone(connection: Driver, channel: str, domain: str, pause: timedelta) -> None:
    """This domain asked for quiet: nobody begins anything more to it for so long, whichever worker was told."""
    await slow_down(connection, channel, [domain], "throttled")
    await connection.execute(
        """
        UPDATE paces SET stopped_until = greatest(stopped_until, now() + $3::interval), reason = 'throttled'
         WHERE channel = $1 AND domain = $2
        """,
        channel, domain, pause,
    )  # fmt: skip


async def ease(connection: Driver) -> int:
    """Let domains that have not complained for a while go faster; those that need no pace lose it. How many moved."""
    rows = await connection.fetch(
        f"""
        SELECT {_PACE}, channel FROM paces
         WHERE eased_at <= now() - $1::interval AND coalesce(throttled_at <= now() - $1::interval, true)
           AND coalesce(stopped_until <= now(), true)
           AND (ceiling_rate IS NULL OR rate < ceiling_rate OR concurrency < ceiling_concurrency)
         ORDER BY channel, domain LIMIT 200 FOR UPDATE SKIP LOCKED
        """,  # noqa: S608 (names of ours)
        EASE_EVERY,
    )
    for row in rows:
        domain, pace, channel = row[0], faster(Pace(*row[1:8])), row[8]
        if pace is None:
            await connection.execute("DELETE FROM paces WHERE channel = $1 AND domain = $2", channel, domain)
            await connection.execute(
                """
                UPDATE batches SET domain = NULL WHERE id = ANY (ARRAY (
                    SELECT id FROM batches WHERE channel = $1 AND domain = $2 AND lease_until IS NULL
                       FOR UPDATE SKIP LOCKED))
                """,
                channel,
                domain,
            )
        else:
            await connection.execute(
                "UPDATE paces SET rate = $3, concurrency = $4, eased_at = now() WHERE channel = $1 AND domain = $2",
                channel, domain, pace.rate, pace.concurrency,
            )  # fmt: skip
    return len(rows)


async def free_orphans(connection: Driver) -> None:
    """Batches in the queue of a domain that has no pace any more go back to the others."""
    await connection.execute(
        """
        UPDATE batches SET domain = NULL WHERE id = ANY (ARRAY (
            SELECT b.id FROM batches b
             WHERE b.domain IS NOT NULL AND b.lease_until IS NULL
               AND NOT EXISTS (SELECT FROM paces p WHERE p.channel = b.channel AND p.domain = b.domain)
               FOR UPDATE OF b SKIP LOCKED))
        """
    )


async def set_ceilings(connection: Driver, channel: str, ceilings: Mapping[str, tuple[float, int]]) -> None:
    """Bind domains to the rates (a second) and concurrency that people set; forget earlier ceilings not among them."""
    await connection.execute(
        "DELETE FROM paces WHERE channel = $1 AND ceiling_rate IS NOT NULL AND domain <> ALL ($2::text[])",
        channel,
        sorted(ceilings),
    )
    await connection.executemany(
        """
        INSERT INTO paces AS p (channel, domain, rate, concurrency, ceiling_rate, ceiling_concurrency, reason)
        VALUES ($1, $2, $3, $4, $3, $4, 'set')
            ON CONFLICT (channel, domain) DO UPDATE
           SET ceiling_rate = excluded.ceiling_rate, ceiling_concurrency = excluded.ceiling_concurrency,
               rate = least(p.rate, excluded.rate), concurrency = least(p.concurrency, excluded.concurrency)
        """,
        [(channel, domain, rate, concurrency) for domain, (rate, concurrency) in sorted(ceilings.items())],
    )


async def _store(connection: Driver, channel: str, domain: str, pace: Pace, reason: str) -> None:
    await connection.execute(
        """
        INSERT INTO paces AS p (channel, domain, rate, concurrency, tokens, counted_at, throttled_at, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (channel, domain) DO UPDATE
           SET rate = excluded.rate, concurrency = excluded.concurrency, tokens = excluded.tokens,
               counted_at = excluded.counted_at, throttled_at = excluded.throttled_at, reason = excluded.reason
        """,
        channel,
        domain,
        pace.rate,
        pace.concurrency,
        pace.tokens,
        pace.counted_at,
        pace.throttled_at,
        reason[:200],
    )
