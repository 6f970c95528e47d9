"""Builders of subscribers, and machines for them: a web server that answers as asked and keeps what it got."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.database import Database, Tx, driver
from foundation.tokens import Tokens
from notify.channels import Outgoing
from notify.channels.webhook import Reach
from notify.confirmations import Confirmations
from notify.messages import Message
from tests.support.incidents import NOW

# What a test calls the public network: of the addresses of this machine, those that end in .2.
OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"
NEAR = Reach(schemes=("https", "http"), may_connect=lambda address: str(address) == OUTSIDE)


async def a_subscriber(tx: Tx, number: str, address: str, *incidents: str | None, channel: str = "mail") -> int:
    """Put a confirmed subscriber into the directory, who follows `incidents` (None: the page); their id."""
    connection = await driver(tx)
    customer: int = await connection.fetchval(
        "INSERT INTO customers (number, name, name_key, language, time_zone, kind) "
        "VALUES ($1, $2, '', 'en', 'Etc/UTC', 'subscriber') RETURNING id",
        number,
        address,
    )
    await connection.execute(
        "INSERT INTO addresses (customer_id, channel, value) VALUES ($1, $2, $3)", customer, channel, address
    )
    await connection.executemany(
        "INSERT INTO followers (customer_id, incident_id) VALUES ($1, $2)", [(customer, one) for one in incidents]
    )
    return customer


def a_confirmer(
    database: Database, tokens: Tokens, *, render: Callable[..., str], clock: Callable[[], datetime] = lambda: NOW
) -> Confirmations:
    """What asks, on a clock of the test's own."""

    async def titles(_: Tx, ids: Any) -> Mapping[str, Mapping[str, str]]:
        return {one: {"en": f"Incident {one}", "nl": f"Storing {one}"} for one in ids}

    return Confirmations(
        database=database,
        tokens=tokens,
        titles=titles,
        render=render,
        page_name="Northwind Air",
        public_url="https://status.example.com",
        time_zone="Etc/UTC",
        clock=clock,
    )


def outgoing(url: str, body: Mapping[str, Any] | None = None, *, id: int = 7, topic: str = "webhook:x") -> Outgoing:  # noqa: A002 (its name)
    """A claimed webhook delivery."""
    text = json.dumps(body or {"page": {}, "incident": {"name": "Ærø {x}"}}).replace("{", "{{").replace("}", "}}")
    message = Message(1, topic, "en", "", text)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    return Outgoing(id, 1, message, url, {"name": "x", "customer_number": "S-ABC"}, later)


@dataclass
class Call:
    """One request as it came in."""

    head: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Machine:
    """A web server: `answer(call)` gives the raw bytes to answer with; None keeps silent until we leave."""

    answer: Callable[[Call], bytes | None] = lambda _: b"HTTP/1.1 204 No Content\r\n\r\n"
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @asynccontextmanager
    async def running(
        self, host: str = OUTSIDE, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for one in self._tasks:
                one.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.append(asyncio.create_task(self._hold(reader, writer)))

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            call = Call(head.rstrip("\r\n"), b"")
            call.body = await reader.readexactly(int(call.headers.get("content-length", 0)))
            self.calls.append(call)
            answer = self.answer(call)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def reply(status: str, body: str = "", **headers: str) -> bytes:
    """An HTTP answer in bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def resolver(*answers: list[str]) -> Callable[[str, int], Any]:
    """A name server's stub: one answer a question, the last one for ever; `asked` counts."""
    waiting = list(answers)
    asked: list[str] = []

    async def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    resolve.asked = asked  # type: ignore[attr-defined]  # for the test to look at
    return resolve


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's, client's) contexts around a certificate for `name` that only this client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "machine.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context()
    client.load_verify_locations(pem)
    return server, client
