"""Makes the report of an incident: figures in one snapshot, the page in a thread, a PDF by Chromium."""

import asyncio
import base64
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from app.templates import render
from app.wiring import Parts
from foundation.errors import Conflict
from metrics.report import incident_report

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE = 120.0  # seconds


async def drawn_report(parts: Parts, incident: str, language: str) -> str:
    """The report of `incident` as HTML that needs nothing else. Raises `NotFound`."""
    settings = parts.settings
    async with parts.database.snapshot() as tx:
        report = await incident_report(tx, incident, now=parts.clock(), limit=settings.notice_limit)
    from metrics.report_page import report_page  # noqa: PLC0415 (what draws is large, loaded when it is needed)

    return await asyncio.to_thread(
        report_page, render, report, language, page_name=settings.page_name, zone=settings.page_time_zone
    )


def style_source(page: str) -> str:
    """What lets a Content-Security-Policy allow the page's own style sheet and no other."""
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()}'"


def print_page(page: str, output: Path) -> None:
    """Print `page` to the PDF file `output`, by the Chromium of this machine. Raises `Conflict`."""
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise Conflict(
            "Chromium prints the PDF, and is not installed here. On Debian: apt-get install chromium",
            code="no_chromium",
        )
    with tempfile.TemporaryDirectory() as folder:
        source, paper = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_text(page, encoding="utf-8")
        command = [
            browser,
            # The page is ours, has no script and loads nothing; as root, Chromium has no sandbox to put it in.
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"),
            *(f"--user-data-dir={folder}/profile", f"--print-to-pdf={paper}", source.as_uri()),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE)
            shutil.copyfile(paper, output)
        except (subprocess.SubprocessError, FileNotFoundError) as error:
            raise Conflict(
                f"Chromium did not print: {error}. Print the HTML page instead.", code="not_printed"
            ) from None
