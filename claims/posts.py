"""Public posts: kept as contacts, answered in public with a link and nothing else, within a quarter of an hour.

A name on a network is nobody's identity: it joins nobody to anything. Whoever opens the link tells us who they are.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from claims.intake import FIRST_ANSWER, Arrival, Intake
from claims.post_links import post_token
from claims.submissions import language_tag, stored_submission
from foundation.database import Database, Tx, driver
from foundation.errors import Conflict, Invalid
from foundation.languages import choose_language
from foundation.tokens import Tokens

ANSWER_WITHIN = timedelta(minutes=15)
_CLOCKS_APART = 300  # seconds
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of networks tells us: somebody posted, changed or deleted something that is about us.

    `network` and `id` name the post for good; `author` as the network shows them.
    """

    event: Literal["posted", "edited", "deleted"] = "posted"
    network: _Short
    id: _Short
    author: Annotated[str, msgspec.Meta(max_length=200)] = ""
    text: Annotated[str, msgspec.Meta(max_length=10_000)] = ""
    url: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    language: Annotated[str, msgspec.Meta(max_length=35)] = ""
    incident: Annotated[str, msgspec.Meta(max_length=60)] = ""


class PostTaken(msgspec.Struct, frozen=True):
    """The post is on disk. `answer`: what may be posted beneath it, none where nothing is to be said."""

    answer: str


def check_signature(key: bytes, header: str, body: bytes, now: datetime) -> None:
    """Raises `Invalid` unless `header` (`t=SECONDS,v1=HEX`) signs `body`: HMAC-SHA-256 of `SECONDS.body`, just now."""
    parts = dict(part.partition("=")[::2] for part in header[:500].split(","))
    at, given = parts.get("t", ""), parts.get("v1", "")
    made = hmac.digest(key, at.encode("utf-8", "replace") + b"." + body, hashlib.sha256).hex()
    fresh = at.isascii() and at.isdigit() and len(at) < 12 and abs(now.timestamp() - int(at)) <= _CLOCKS_APART
    if not (fresh and hmac.compare_digest(made.encode(), given.encode("utf-8", "replace"))):
        raise Invalid("The signature of this call is missing, wrong or old.", code="bad_signature")


async def take_post(database: Database, intake: Intake, post: Post) -> str | None:
    """Store what happened to a post; the receipt of its contact, while it waits for an answer. Repeats change nothing.

    Raises `Busy`: nothing is promised then.
    """
    first = f"post:{hashlib.blake2b(f'{post.network} {post.id}'.encode(), digest_size=16).hexdigest()}"
    async with database.transaction() as tx:
        known = await (await driver(tx)).fetchval("SELECT receipt FROM contacts WHERE idempotency_key = $1", first)
    if post.event == "deleted":
        await _deleted(database, post)
        return None
    said = {"message": post.text, "author": post.author, "network": post.network, "url": post.url}
    raw = msgspec.json.encode({**said, "language": post.language, "incident": post.incident})
    arrival = Arrival("post", language_tag(post.language), raw, first, answer_within=ANSWER_WITHIN)
    if known is not None:  # other words under the same name: kept as one more contact, that continues the first
        changed = hashlib.blake2b(raw, digest_size=16).hexdigest()
        edit = Arrival("post", arrival.language, raw, f"{first}:{changed}", answer_within=FIRST_ANSWER, continues=known)
        if await _words_of(database, known) != raw:
            await intake.accept(edit)
        receipt: str = known
    else:
        receipt = await intake.accept(arrival)
    async with database.transaction() as tx:
        await (await driver(tx)).execute(
            """
            INSERT INTO posts (network, post_id, contact_id, author, url)
            SELECT $1, $2, id, $3, $4 FROM contacts WHERE receipt = $5 ON CONFLICT DO NOTHING
            """,
            post.network,
            post.id,
            post.author,
            post.url if post.url.startswith(("https://", "http://")) else "",
            receipt,
        )
    return receipt


async def _words_of(database: Database, receipt: str) -> bytes | None:
    async with database.transaction() as tx:
        found: bytes | None = await (await driver(tx)).fetchval("SELECT raw FROM contacts WHERE receipt = $1", receipt)
    return found


async def _deleted(database: Database, post: Post) -> None:
    async with database.transaction() as tx:
        await (await driver(tx)).execute(
            """
            UPDATE posts SET state = 'deleted', ended_at = now(), ended_by = 'network'
             WHERE network = $1 AND post_id = $2 AND state = 'waiting'
            """,
            post.network,
            post.id,
        )


@dataclass(frozen=True, slots=True)
class WaitingPost:
    """A post that nobody has answered yet. `link`: what its answer leads to."""

    contact_id: int
    network: str
    author: str
    url: str
    text: str
    language: str
    received_at: datetime
    answer_by: datetime
    link: str


async def waiting_posts(tx: Tx, tokens: Tokens, public_url: str) -> Sequence[WaitingPost]:
    """Posts to answer, the most urgent first."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT p.contact_id, p.network, p.author, p.url, k.raw, k.language, k.received_at, k.answer_by, k.receipt
          FROM posts p JOIN contacts k ON k.id = p.contact_id
         WHERE p.state = 'waiting' ORDER BY k.answer_by, k.id LIMIT 200
        """
    )
    return [
        WaitingPost(
            row["contact_id"],
            row["network"],
            row["author"],
            row["url"],
            (said.message or "") if (said := stored_submission("post", row["raw"])) else "",
            choose_language(row["language"]),
            row["received_at"],
            row["answer_by"],
            post_link(tokens, public_url, row["receipt"]),
        )
        for row in rows
    ]


def post_link(tokens: Tokens, public_url: str, receipt: str) -> str:
    """Where the author of a post can tell us who they are, and what they need."""
    return f"{public_url}/claim?post={post_token(tokens, receipt)}"


async def end_post(tx: Tx, contact_id: int, state: Literal["answered", "nothing_to_say"], agent: str) -> None:
    """The post was answered in public, or is not one to answer. Raises `Conflict` when a colleague was first."""
    connection = await driver(tx)
    ended = await connection.execute(
        """
        UPDATE posts SET state = $2, ended_at = now(), ended_by = $3 WHERE contact_id = $1 AND state = 'waiting'
        """,
        contact_id,
        state,
        agent,
    )
    if ended == "UPDATE 0":
        raise Conflict("Somebody has dealt with this post already, or it is gone.", code="post_ended")
    await connection.execute(
        "UPDATE contacts SET answered_at = now() WHERE id = $1 AND answered_at IS NULL", contact_id
    )
