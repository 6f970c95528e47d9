"""Public posts: the signed webhook by which they come in, and the desk's queue in which they are answered."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.templates import render
from claims.intake import Intake
from claims.posts import Post, PostTaken, check_signature, end_post, post_link, take_post, waiting_posts
from foundation.access import for_anybody, needs
from foundation.calls import call, read_body
from foundation.errors import Busy, Conflict, Invalid, NotFound
from foundation.languages import choose_language

_ENDS: dict[str, Literal["answered", "nothing_to_say"]] = {"answered": "answered", "nothing_to_say": "nothing_to_say"}


def routes(desk: Desk, intake: Intake) -> list[BaseRoute]:
    """The webhook, and the queue."""
    return [
        Route("/api/v1/posts", _webhook(desk, intake), methods=["POST"]),
        Route("/desk/posts", _queue(desk), methods=["GET"]),
        Route("/desk/posts/{contact}/{end}", _ended(desk), methods=["POST"]),
    ]


def _answer(language: str, link: str) -> str:
    return render("claims/post-answer.txt", language, link=link).strip()


def _webhook(desk: Desk, intake: Intake) -> Callable[..., Any]:
    parts = desk.parts

    @for_anybody
    @call(
        takes=Post,
        gives=PostTaken,
        status=202,
        headers={"Stormdesk-Signature": "t=SECONDS,v1=HEX: HMAC-SHA-256 of `SECONDS.body` with STORMDESK_POSTS_KEY."},
        refuses={Invalid: ("bad_signature",), NotFound: ("no_posts_here",), Busy: ("busy",)},
    )
    async def webhook(request: Request) -> Response:
        """A public post that is about us, or what became of it. The answer may be posted beneath it."""
        if parts.settings.posts_key is None:
            raise NotFound("Nobody has set up public posts here (STORMDESK_POSTS_KEY).", code="no_posts_here")
        body = await request.body()
        signature = request.headers.get("stormdesk-signature", "")
        check_signature(parts.settings.posts_key, signature, body, parts.clock())
        post = read_body(body, Post)
        receipt = await take_post(parts.database, intake, post)
        answer = ""
        if receipt is not None:
            link = post_link(parts.tokens, parts.settings.public_url, receipt)
            answer = _answer(choose_language(post.language), link)
        content = msgspec.json.encode(PostTaken(answer))
        return Response(content, 202, media_type="application/json", headers={"Cache-Control": "no-store"})

    return webhook


def _queue(desk: Desk) -> Callable[..., Any]:
    parts = desk.parts

    @needs("cases.work")
    async def queue(request: Request) -> Response:
        async with parts.database.snapshot() as tx:
            posts = await waiting_posts(tx, parts.tokens, parts.settings.public_url)
        now = parts.clock()
        shown = [(one, _answer(one.language, one.link), (one.answer_by - now).total_seconds()) for one in posts]
        return desk.page(request, "app/posts.html", posts=shown)

    return queue


def _ended(desk: Desk) -> Callable[..., Any]:
    @needs("cases.work")
    async def ended(request: Request) -> Response:
        contact, end = request.path_params["contact"], request.path_params["end"]
        if end not in _ENDS or not (contact.isascii() and contact.isdigit()):
            raise NotFound("There is no such post.", code="no_such_post")
        # Where a colleague was first, what was wanted is so.
        with suppress(Conflict):
            async with desk.parts.database.transaction() as tx:
                await end_post(tx, int(contact[:18]), _ENDS[end], str(request.user.actor))
        return desk.to("/desk/posts")

    return ended
