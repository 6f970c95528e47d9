"""TLS for a bench: smtp-source and smtp-sink speak none, so stunnel speaks it for both of them.

Ours speaks TLS itself, to the same tunnel in front of the same sink. One version and one kind of key for both sides.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.bench.ports import HOST, free_port, wait_until_open

_COMMON = """
foreground = yes
debug = crit
pid =
sslVersion = TLSv1.3
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
"""


@dataclass(frozen=True, slots=True)
class Tunnels:
    """Where a receiver can be reached: `secured` speaks TLS as the certificate in `fingerprint` (SHA-256, hex).

    `plain` takes mail in the clear and brings it through TLS to `secured`.
    """

    secured: int
    plain: int
    fingerprint: str


@contextmanager
def tunnels(stunnel: str, folder: Path, receiver: int) -> Iterator[Tunnels]:
    """Two tunnels for the block, to a `receiver` that listens on that port of this machine."""
    found = Tunnels(free_port(), free_port(), _certificate(folder / "tunnel.pem"))
    server = f"[bench]\naccept = {HOST}:{found.secured}\nconnect = {HOST}:{receiver}\ncert = {folder / 'tunnel.pem'}\n"
    client = f"[bench]\nclient = yes\naccept = {HOST}:{found.plain}\nconnect = {HOST}:{found.secured}\n"
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, what, port in (("server", server, found.secured), ("client", client, found.plain)):
            settings = folder / f"{name}.conf"
            settings.write_text(_COMMON + what)
            started.append(subprocess.Popen([stunnel, str(settings)], stdout=subprocess.DEVNULL))
            wait_until_open(port)
        yield found
    finally:
        for one in started:
            one.terminate()
            one.wait()


def _certificate(path: Path) -> str:
    """Write a key and a certificate that vouches for itself; its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
