"""OpenID Connect providers as processes of their own: one in Python for every run, an independent one in Node."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from app.setting_values import ProviderSettings
from tests.support.ports import free_port, until_open

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "var/tests/node"
SECRET = "a secret that only a test uses"
Maker = Literal["python", "node"]

has_node = shutil.which("node") is not None and (NODE / "node_modules/oidc-provider").exists()
needs_node = pytest.mark.skipif(not has_node, reason="needs node, and oidc-provider from bin/node-packages")
USERS = (
    {"sub": "noor", "name": "noor from the provider", "preferred_username": "noor", "groups": ["storm-desk"]},
    {"sub": "stranger", "preferred_username": "stranger", "groups": ["cleaning"]},
)


@asynccontextmanager
async def provider(maker: Maker, back: str) -> AsyncIterator[ProviderSettings]:
    """A provider that knows noor (of the group storm-desk) and a stranger; `back`: where it may send people."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(*_command(maker, port, back), stdout=asyncio.subprocess.DEVNULL)
    try:
        await until_open(port)
        yield ProviderSettings(
            issuer=f"http://127.0.0.1:{port}",
            client_id="stormdesk",
            client_secret=SECRET,
            groups_claim="groups",
            roles={"storm-desk": ("agent",), "storm-admin": ("admin",)},
        )
    finally:
        process.terminate()
        await process.wait()


def _command(maker: Maker, port: int, back: str) -> list[str]:
    if maker == "node":
        script = NODE / f"provider-{os.getpid()}.mjs"  # modules are found from where the script lies
        script.write_bytes((Path(__file__).parent / "oidc-provider.mjs").read_bytes())
        return ["node", str(script), str(port), back]
    users = [argument for user in USERS for argument in ("--user-claims", json.dumps(user))]
    return [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *users]
