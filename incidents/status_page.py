"""The public status page: everything it shows, from one snapshot of the database, as plain files in STATUS_DIR.

It is made again when something public changed and every half minute, so that "as of" stays true. Serving the files is
somebody else's, and works without it.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import astuple
from datetime import datetime
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

import metrics
from foundation.clock import Clock, system_clock
from foundation.database import Database
from foundation.languages import SPOKEN
from incidents import statuspage_v2
from incidents.feed import feed_of, feed_of_all
from incidents.lifecycle import PHASES
from incidents.page_files import Manifest, is_intact, only_writer, read_manifest, sha256, write_edition
from incidents.page_view import lay_out
from incidents.roll_up import roll_up
from incidents.snapshot import PastIncident, ShownIncident, Snapshot, fingerprint, past_incidents, read_snapshot
from incidents.statuspage_v2 import Publisher

REFRESH_SECONDS = 30
# Of the disruptions that are over, the feed of everything holds the updates of the last few.
PAST_IN_FEED = 5
# Placed where the page may have to say that it is old. Whoever serves the file puts the sentence there: without the
# application the file cannot know. It holds characters that no text on the page can contain unescaped.
AGE_PLACE = "<!--stormdesk:age-->"

Render = Callable[..., str]


class StatusPage:
    """Renders the page to `status_dir`.

    `public_url`: where people open it; `time_zone`: IANA name its times are in; `assets`: published name → content of
    the style sheet and its like, so that the folder stands alone; `render(template, language, **context)`.
    """

    def __init__(
        self,
        status_dir: Path,
        *,
        render: Render,
        page_name: str,
        public_url: str,
        time_zone: str,
        assets: Mapping[str, bytes],
        clock: Clock = system_clock,
    ) -> None:
        self._folder = status_dir
        self._render = render
        self._publisher = Publisher(page_name, public_url)
        self._zone = time_zone
        self._assets = {f"static/{name}": content for name, content in assets.items()}
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def refresh(self, database: Database) -> None:
        """Make the page from what the database holds now. When this returns, the files are on disk and read back.

        Raises PageNotWritten or OSError when the folder cannot be written.
        """
        async with self._one_at_a_time:
            with ExitStack() as writing:
                # The snapshot is taken only once nobody else writes: a later edition never shows an earlier state.
                await asyncio.to_thread(writing.enter_context, only_writer(self._folder))
                started = time.perf_counter()
                before = await asyncio.to_thread(read_manifest, self._folder)
                now = self._clock()
                async with database.snapshot() as tx:
                    known = await fingerprint(tx)
                    past = await past_incidents(tx)
                    redrawn = self._to_redraw(before, past)
                    latest = [one.id for one in past[:PAST_IN_FEED]]
                    snapshot = await read_snapshot(tx, at=now, closed={*redrawn, *latest})
                await asyncio.to_thread(self._write, before, known, snapshot, past, redrawn)
                metrics.record_status_page_seconds(time.perf_counter() - started)

    async def step(self, database: Database) -> bool:
        """Refresh when the page lags behind the database or has grown old; for a worker's loop, every second or so.

        A process that died between commit and rendering is made good here. True when it did something.
        """
        before = await asyncio.to_thread(read_manifest, self._folder)
        if before is not None and before.look == self._look():
            young = self._clock().timestamp() - before.as_of < REFRESH_SECONDS
            async with database.snapshot() as tx:
                if young and await fingerprint(tx) == before.fingerprint:
                    return False
        await self.refresh(database)
        return True

    def _to_redraw(self, before: Manifest | None, past: list[PastIncident]) -> list[str]:
        drawn = before.stamps if before is not None and before.look == self._look() else {}
        return [one.id for one in past if drawn.get(one.id) != one.stamp]

    def _write(
        self,
        before: Manifest | None,
        known: str,
        snapshot: Snapshot,
        past: list[PastIncident],
        redrawn: Collection[str],
    ) -> None:
        contents = self._files(snapshot, past, redrawn)
        digests = {name: sha256(content) for name, content in contents.items()}
        kept = {} if before is None else before.files
        changed = {
            name: content
            for name, content in contents.items()
            if kept.get(name) != digests[name] or not is_intact(self._folder, name, digests[name])
        }
        manifest = Manifest(
            as_of=snapshot.at.timestamp(),
            fingerprint=known,
            look=self._look(),
            files={**kept, **digests},
            stamps={one.id: one.stamp for one in past},
        )
        write_edition(self._folder, manifest, changed)

    def _files(self, snapshot: Snapshot, past: list[PastIncident], redrawn: Collection[str]) -> dict[str, bytes]:
        files = {**self._assets, **statuspage_v2.documents(snapshot, self._publisher)}
        files |= feed_of_all((*snapshot.open, *snapshot.closed), self._publisher)
        shown = (*snapshot.open, *(one for one in snapshot.closed if one.id in redrawn))
        for incident in shown:
            files |= feed_of(incident, self._publisher)
        groups = lay_out(snapshot.components)
        headline = roll_up((one.status for one in snapshot.components), (one.impact for one in snapshot.open))
        for language in SPOKEN:
            files[f"index.{language}.html"] = self._page(
                "index", language, snapshot.at, incidents=snapshot.open, groups=groups, headline=headline,
                total=len(snapshot.components), past=past[:5],
            )  # fmt: skip
            files[f"history.{language}.html"] = self._page("history", language, snapshot.at, past=past)
            for incident in shown:
                files[f"incidents/{incident.id}.{language}.html"] = self._incident(incident, language, snapshot.at)
        return files

    def _incident(self, incident: ShownIncident, language: str, at: datetime) -> bytes:
        # All of it open here, whatever the length: a browser's search passes over what is folded away.
        groups = lay_out(incident.components, most_open=inf)
        return self._page("incident", language, at, incident=incident, groups=groups)

    def _page(self, name: str, language: str, at: datetime, **context: Any) -> bytes:
        return self._render(
            f"incidents/{name}.html",
            language,
            page_name=self._publisher.name,
            zone=self._zone,
            at=at,
            phases=PHASES,
            age_place=AGE_PLACE,
            **context,
        ).encode()

    def _look(self) -> str:
        """Differs when the same data would be drawn differently, so that pages of old incidents are made again."""
        return sha256("\n".join([*sorted(self._assets), *_drawings(), *astuple(self._publisher), self._zone]).encode())


@lru_cache
def _drawings() -> list[str]:
    here = Path(__file__).resolve().parent
    return [
        sha256(path.read_bytes()) for folder in ("templates", "locale") for path in sorted((here / folder).iterdir())
    ]
