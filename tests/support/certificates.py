"""TLS for mail servers in tests, made on the spot: servers that prove who they are, and some that fail to."""

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class ServerTls:
    """What a server uses, and what a client may know of it. `ca`: the PEM file that vouches for its certificate."""

    context: ssl.SSLContext
    ca: Path
    fingerprint: str


def signed(folder: Path, *, host: str = "localhost", expired: bool = False) -> ServerTls:
    """A certificate for `host` by a CA of our own, whose PEM is `ca`."""
    authority = trustme.CA()
    expiry = datetime.now(UTC) - timedelta(days=1) if expired else None
    leaf = authority.issue_cert(host, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=expiry)
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return ServerTls(context, ca, _fingerprint(leaf.cert_chain_pems[0].bytes()))


def self_signed(folder: Path, host: str = "localhost") -> ServerTls:
    """A certificate for `host` that nobody vouches for but itself: `ca` is its own PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    ca, secret = folder / "self.pem", folder / "key.pem"
    ca.write_bytes(pem)
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, secret)
    return ServerTls(context, ca, _fingerprint(pem))


def _fingerprint(pem: bytes) -> str:
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    return "sha256:" + hashlib.sha256(der).hexdigest()
