"""DKIM signatures (RFC 6376; Ed25519 as in RFC 8463), for mail that is mostly the same for all who get it. Pure.

What can be done once per message and language is done once: canonical headers and body with places left open, and the
hash of the body up to the first of them. Each mail then costs the rest of that hash and one signature per key.
"""

import hashlib
import re
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

# Name and value of a header; open places are written %(name)b, a percent sign twice.
Field: TypeAlias = tuple[str, bytes]
Values: TypeAlias = Mapping[bytes, bytes]

# Signed once more than they are there, so that a second one cannot be slipped in (RFC 6376 section 8.15). Cc is never
# there. RFC 8058 section 4 asks for both List-Unsubscribe headers.
_SIGNED = (
    *("from", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "content-type", "content-transfer-encoding", "auto-submitted"),
    *("list-id", "list-unsubscribe", "list-unsubscribe-post"),
)
_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_FEWEST_RSA_BITS = 2048  # RFC 8301 section 3.2
_BLANKS = re.compile(rb"[ \t]+")
_OPEN_PLACE = re.compile(rb"(?<!%)(?:%%)*(%\()")


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A private key, and where its public half stands: at `selector`._domainkey.`domain`."""

    selector: str
    domain: str
    key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    @property
    def record(self) -> str:
        """The TXT record to publish, so that receivers can verify."""
        public = self.key.public_key()
        if isinstance(self.key, RSAPrivateKey):
            raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return f"v=DKIM1; k=rsa; p={b64encode(raw).decode()}"
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={b64encode(raw).decode()}"

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        # RFC 8463 section 3: Ed25519 over the SHA-256 of what is signed.
        return self.key.sign(hashlib.sha256(data).digest())


def dkim_keys(text: str) -> tuple[DkimKey, ...]:
    """The keys named in `selector:domain:/path/to/key.pem`, several separated by commas.

    Raises ValueError, a sentence that says what to mend.
    """
    return tuple(_key(one.strip()) for one in text.split(",") if one.strip())


def _key(text: str) -> DkimKey:
    selector, _, rest = text.partition(":")
    domain, _, path = rest.partition(":")
    selector, domain = selector.lower(), domain.lower()
    if not _SELECTOR.fullmatch(selector) or not _DOMAIN.fullmatch(domain) or not path:
        raise ValueError(f"{text!r} must look like selector:example.com:/path/to/key.pem (several: comma between)")
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{path} holds no private key in PEM without a passphrase") from None
    if isinstance(key, RSAPrivateKey) and key.key_size < _FEWEST_RSA_BITS:
        raise ValueError(f"{path} is an RSA key of {key.key_size} bits; {_FEWEST_RSA_BITS} are needed")
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError(f"{path} is neither an RSA nor an Ed25519 key; only these sign mail")  # noqa: TRY004 (a setting)
    return DkimKey(selector, domain, key)


class Signer:
    """Signs the mails of one message and language. `fields`: their headers; `body`: what follows, open places in it."""

    def __init__(self, keys: Sequence[DkimKey], fields: Sequence[Field], body: bytes) -> None:
        canonical = {name.lower(): _canonical_field(name, value) for name, value in fields}
        self._fields = b"".join(canonical[name] for name in _SIGNED if name in canonical)
        listed = [name for name in _SIGNED for _ in range(2 if name in canonical else 1)]
        self._keys = [_PreparedKey(key, listed) for key in keys]
        # Relaxed (RFC 6376 section 3.4.4): runs of blanks count as one. Ours has no blanks at line ends and no empty
        # lines at its end, and values of slots hold no runs, so what was prepared is mostly canonical already.
        first = _OPEN_PLACE.search(body)
        opening, tail = (body[: first.start(1)], body[first.start(1) :]) if first else (body, b"")
        self._opening_length = len(opening % {})
        self._state = hashlib.sha256(_BLANKS.sub(b" ", opening % {}))
        canonical_tail = _BLANKS.sub(b" ", tail)
        self._tail = None if canonical_tail == tail else canonical_tail

    def headers(self, values: Values, body: bytes) -> bytes:
        """The signature headers for the mail that `values` make, whose body is `body`. To stand before the others."""
        state = self._state.copy()
        state.update(body[self._opening_length :] if self._tail is None else self._tail % values)
        body_hash = b2a_base64(state.digest(), newline=False)
        fields = self._fields % values
        return b"".join([key.header(fields, body_hash) for key in self._keys])


class _PreparedKey:
    def __init__(self, key: DkimKey, listed: Sequence[str]) -> None:
        self._key = key
        names = ":".join(listed).replace(":list-id", ":\r\n list-id").replace(":mime-", ":\r\n mime-")
        value = (
            f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain}; s={key.selector};\r\n h={names};\r\n bh="
        ).encode("ascii")
        self._opening = b"DKIM-Signature: " + value
        self._canonical = _canonical_field("DKIM-Signature", value).removesuffix(b"\r\n")

    def header(self, fields: bytes, body_hash: bytes) -> bytes:
        signature = self._key.sign(fields + self._canonical + body_hash + b"; b=")
        text = b2a_base64(signature, newline=False)
        folded = b"\r\n ".join([text[place : place + 72] for place in range(0, len(text), 72)])
        return self._opening + body_hash + b";\r\n b=" + folded + b"\r\n"


def _canonical_field(name: str, value: bytes) -> bytes:
    """A header in relaxed form (RFC 6376 section 3.4.2)."""
    return name.lower().encode("ascii") + b":" + _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip() + b"\r\n"
