"""The signing key an installation on one machine makes for itself. It knows nothing of what is signed."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from app.setting_values import SHORTEST_KEY
from app.settings import SettingsError

_NAME = "secret-key"


def own_secret(data_dir: Path) -> str:
    """The secret key kept in `data_dir/secret-key`, readable by the owner only; made on first use.

    Raises SettingsError when the file holds no key.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    if (kept := kept_secret(data_dir)) is None:
        _make(data_dir)
        kept = kept_secret(data_dir)
    assert kept is not None
    return kept


def kept_secret(data_dir: Path) -> str | None:
    """The key an installation in `data_dir` made; None when it made none. Raises SettingsError as `own_secret` does."""
    path = data_dir / _NAME
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return None
    if len(text) < SHORTEST_KEY:
        raise SettingsError(
            f"{path} holds no usable key. Put the file back from a backup. Without one, remove it and a new key "
            "is made at the next start; links that people were sent before then stop working."
        )
    return text


def _make(data_dir: Path) -> None:
    # Complete and on disk before it has its name. Of two processes that start together one makes the key: link, unlike
    # rename, does not replace what is there.
    handle, unfinished = tempfile.mkstemp(dir=data_dir, prefix=f".{_NAME}-")  # 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(unfinished, data_dir / _NAME)
    finally:
        Path(unfinished).unlink()
    folder = os.open(data_dir, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
