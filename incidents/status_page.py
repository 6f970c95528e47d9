"""The public status page: everything it shows, from one snapshot of the database, as plain files in STATUS_DIR.

It is made again when something public changed and every half minute, so that "as of" stays true. Serving the files is
somebody else's, and works without it.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import metrics
from foundation.clock import Clock, system_clock
from foundation.database import Database
from incidents.page_contents import PageContents, Told
from incidents.page_files import Manifest, is_intact, only_writer, read_manifest, sha256, write_edition
from incidents.snapshot import PastIncident, fingerprint, past_incidents, read_snapshot, status_changes
from incidents.statuspage_v2 import MOST_INCIDENTS, Publisher
from incidents.uptime import DAYS

REFRESH_SECONDS = 30

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
        publisher = Publisher(page_name, public_url)
        self._contents = PageContents(render=render, publisher=publisher, zone=time_zone, assets=assets)
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
                    latest = [one.id for one in past[:MOST_INCIDENTS]]
                    snapshot = await read_snapshot(tx, at=now, closed={*redrawn, *latest})
                    changes = await status_changes(tx, since=now - timedelta(days=DAYS + 1))
                await asyncio.to_thread(self._write, before, known, Told(snapshot, past, changes), redrawn)
                metrics.record_status_page_seconds(time.perf_counter() - started)

    async def step(self, database: Database) -> bool:
        """Refresh when the page lags behind the database or has grown old; for a worker's loop, every second or so.

        A process that died between commit and rendering is made good here. True when it did something.
        """
        before = await asyncio.to_thread(read_manifest, self._folder)
        if before is not None and before.look == self._contents.look():
            young = self._clock().timestamp() - before.as_of < REFRESH_SECONDS
            async with database.snapshot() as tx:
                if young and await fingerprint(tx) == before.fingerprint:
                    return False
        await self.refresh(database)
        return True

    def _to_redraw(self, before: Manifest | None, past: list[PastIncident]) -> list[str]:
        drawn = before.stamps if before is not None and before.look == self._contents.look() else {}
        return [one.id for one in past if drawn.get(one.id) != one.stamp]

    def _write(self, before: Manifest | None, known: str, told: Told, redrawn: Collection[str]) -> None:
        contents = self._contents.files(told, redrawn)
        digests = {name: sha256(content) for name, content in contents.items()}
        kept = {} if before is None else before.files
        changed = {
            name: content
            for name, content in contents.items()
            if kept.get(name) != digests[name] or not is_intact(self._folder, name, digests[name])
        }
        manifest = Manifest(
            as_of=told.snapshot.at.timestamp(),
            fingerprint=known,
            look=self._contents.look(),
            files={**kept, **digests},
            stamps={one.id: one.stamp for one in told.past},
        )
        write_edition(self._folder, manifest, changed)
