"""A folder that cannot be written stops the page alone, and only until it can be."""

import asyncio
from pathlib import Path

from app.asgi import status_page
from app.worker import keep_page
from tests.support.web import parts_for


async def test_an_unwritable_status_folder_is_tried_again(database_url: str, tmp_path: Path) -> None:
    parts = parts_for(database_url, tmp_path)
    folder = parts.settings.status_dir
    folder.write_text("A file stands where the folder should be.")
    stop = asyncio.Event()
    loop = asyncio.create_task(keep_page(status_page(parts), parts.database, stop, patience=0.05))
    assert (await asyncio.wait({loop}, timeout=1.0))[0] == set(), "the loop goes on"
    folder.unlink()
    async with asyncio.timeout(30):
        while not (folder / "manifest.json").exists():  # noqa: ASYNC110 (what is waited for happens in a thread)
            await asyncio.sleep(0.01)
    stop.set()
    await loop
    await parts.database.close()
