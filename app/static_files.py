"""The style sheets, script and icon of every page, under names that carry their content's hash: good for ever.

It knows nothing of pages or requests; whoever serves or copies the files asks here.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "static"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@lru_cache
def static_files() -> Mapping[str, bytes]:
    """Published name (`site.3f2a9c81d0.css`) → content, for every file in `app/static/`."""
    return {
        _published_name(path): path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in CONTENT_TYPES
    }


@lru_cache
def asset(name: str) -> str:
    """The address of a file in `app/static/`: `site.css` → `/static/site.3f2a9c81d0.css`. KeyError: no such file."""
    path = _FOLDER / name
    if path.suffix not in CONTENT_TYPES or not path.is_file():
        raise KeyError(name)
    return f"/static/{_published_name(path)}"


def _published_name(path: Path) -> str:
    return f"{path.stem}.{hashlib.sha256(path.read_bytes()).hexdigest()[:10]}{path.suffix}"
