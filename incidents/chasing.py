"""Chases promises: warns those who lead an incident before the next update is due, and calls them when it did not come.

Each once, whatever happens: that somebody was told is written in the transaction that plans the message, and what
another worker has in hand is passed over. Nobody's sending is done here; that is notify's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from sqlalchemy import text, update

import notify
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.languages import SPOKEN, in_language
from incidents.leading import roles_of
from incidents.records import Incident, find_incident, find_update
from incidents.tables import promises

_log = structlog.get_logger()

Render = Callable[..., str]
Call = Literal["warning", "alarm"]
# What of a promise's time is left when people are warned, where that is less than they asked for.
LATEST_SHARE = 3
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Chaser:
    """`render(template, language, **context)`; `zone`: IANA name that times are told in; `warn_before`: how long before
    a promise is due its keepers are warned, at most a third of its time; `texts`: whether SMS can be sent."""

    database: Database
    render: Render
    page_name: str
    desk_url: str
    zone: str
    clock: Clock
    warn_before: timedelta = timedelta(minutes=5)
    texts: bool = False

    async def step(self) -> bool:
        """Settle what ran out, call those who must act, warn those who should. True: there may be more to do."""
        now = self.clock()
        async with self.database.transaction() as tx:
            missed = await lapse(tx, now=now, most=_AT_ONCE)
        async with self.database.transaction() as tx:
            alarms = await self._call(tx, "alarm", now)
        async with self.database.transaction() as tx:
            warnings = await self._call(tx, "warning", now)
        return _AT_ONCE in (missed, alarms, warnings)

    async def _call(self, tx: Tx, call: Call, now: datetime) -> int:
        values = {"now": now, "before": self.warn_before, "share": LATEST_SHARE, "most": _AT_ONCE}
        rows = (await tx.execute(_TO_CALL[call], values)).all()
        for row in rows:
            await self._one(tx, call, row.update_id, row.incident_id, row.due_at)
        if rows:
            done = {"warned_at": now} if call == "warning" else {"alarmed_at": now}
            mine = promises.c.update_id.in_([row.update_id for row in rows])
            await tx.execute(update(promises).where(mine).values(**done))
        return len(rows)

    async def _one(self, tx: Tx, call: Call, update_id: str, incident_id: str, due_at: datetime) -> None:
        incident = await find_incident(tx, incident_id)
        names = await keepers(tx, incident, update_id)
        await notify.enqueue(
            tx,
            key=f"promise:{update_id}:{call}",
            # The incident's id is in it, so that a drill calls nobody but seeds.
            topic=f"promise:{incident_id}:{update_id}",
            number=1 if call == "warning" else 2,  # who has not been warned yet is only called
            messages=self._texts(call, incident, due_at),
            audience=notify.colleagues_named(names),
            urgency=0,
            fallback_after=timedelta(minutes=1) if self.texts else None,
        )
        _log.warning("promise chased", call=call, incident=incident_id, update=update_id, people=len(names))

    def _texts(self, call: Call, incident: Incident, due_at: datetime) -> Sequence[notify.MessageText]:
        found: list[notify.MessageText] = []
        # Who is called is called on their phone first; who is warned sits at a desk.
        channels: tuple[notify.Channel, ...] = ("sms", "mail") if call == "alarm" else ("mail", "sms")
        for channel in channels:
            if channel == "sms" and not self.texts:
                continue
            found += [self._text(call, channel, language, incident, due_at) for language in SPOKEN]
        return found

    def _text(
        self, call: Call, channel: notify.Channel, language: str, incident: Incident, due_at: datetime
    ) -> notify.MessageText:
        said = self.render(
            f"incidents/promise.{channel}.txt",
            language,
            call=call,
            title=notify.one_line(in_language(incident.title, language)[1]),
            due_at=due_at,
            zone=self.zone,
            page_name=self.page_name,
            url=f"{self.desk_url}/desk/incidents/{incident.id}",
        ).strip()
        if channel == "sms":
            body = notify.escape_slots(notify.write_text(said, language).text)
            return notify.MessageText(channel, language, "", body)
        subject, _, body = said.partition("\n")
        return notify.MessageText(channel, language, subject, notify.escape_slots(body.strip()))


async def keepers(tx: Tx, incident: Incident, update_id: str) -> list[str]:
    """Who must keep a promise, by the names they sign in with: commander and writer, or who published it and who
    declared the incident while nobody leads."""
    named = [one.holder for one in (await roles_of(tx, incident.id)).values()]
    if not named:
        said = await find_update(tx, update_id)
        actors = [said.published_by or "", said.created_by, incident.created_by]
        named = [actor.removeprefix("staff:") for actor in actors if actor.startswith("staff:")]
    return sorted(set(named))


async def lapse(tx: Tx, *, now: datetime, most: int) -> int:
    """Note up to `most` promises whose time ran out as missed; how many. What is being published now is passed over:
    that update settles it."""
    return int((await tx.execute(_LAPSE, {"now": now, "most": most})).rowcount)


# The incident's row is what a publication holds, from before it settles promises until it commits.
_LAPSE = text("""
WITH late AS MATERIALIZED (
    SELECT p.update_id
      FROM incidents i JOIN promises p ON p.incident_id = i.id
     WHERE p.state = 'standing' AND p.due_at < :now
     ORDER BY p.due_at
     LIMIT :most
       FOR NO KEY UPDATE OF i, p SKIP LOCKED
)
UPDATE promises p SET state = 'missed', settled_at = :now
  FROM late WHERE p.update_id = late.update_id AND p.state = 'standing'
""")
_LATE = text("""
SELECT update_id, incident_id, due_at FROM promises
 WHERE state = 'missed' AND alarmed_at IS NULL AND followed_at IS NULL
 ORDER BY due_at
 LIMIT :most
   FOR NO KEY UPDATE SKIP LOCKED
""")
_SOON = text("""
SELECT p.update_id, p.incident_id, p.due_at
  FROM promises p JOIN updates u ON u.id = p.update_id
 WHERE p.state = 'standing' AND p.warned_at IS NULL AND p.due_at > :now
   AND p.due_at - least(CAST(:before AS interval), (p.due_at - u.published_at) / CAST(:share AS integer)) <= :now
 ORDER BY p.due_at
 LIMIT :most
   FOR NO KEY UPDATE OF p SKIP LOCKED
""")
_TO_CALL: dict[Call, Any] = {"warning": _SOON, "alarm": _LATE}
