"""The desk's calls about who is whom, under /api/v1: joining cases, taking one apart, and pairs that need a person."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from claims import regrouping, review
from claims.cases import live_version
from claims.desk_api import actor, number_in
from claims.desk_bodies import MergeBody, PairBody, SplitBody, UndoBody
from claims.drawing import json_answer
from claims.regrouping import Regrouped
from claims.settling import settle
from foundation.access import needs
from foundation.calls import call, read_body
from foundation.database import Database, Tx
from foundation.errors import Conflict, Invalid, NotFound

_NOT_ONE = ("two_incidents", "one_case")


class RegroupedShown(msgspec.Struct, frozen=True):
    """What it did. `decision`: what can be undone; `numbers`: the live cases of all concerned, the oldest first."""

    decision: int
    numbers: list[str]


class PairShown(msgspec.Struct, frozen=True):
    """Two contacts in two cases, and how they compare. `weight`: in bits; `explanation`: field by field."""

    one: int
    other: int
    one_number: str
    other_number: str
    incident_id: str
    weight: float
    explanation: dict[str, Any]


class DecisionAboutShown(msgspec.Struct, frozen=True):
    """What somebody said about who is whom. `numbers`: the live cases on either side."""

    id: int
    kind: str
    actor: str
    reason: str
    made_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    numbers: tuple[list[str], list[str]]


def routes(database: Database) -> list[BaseRoute]:
    """The routes."""
    persons = _Persons(database)
    one = "/api/v1/cases/{number}"
    return [
        Route(f"{one}/merge", persons.merge, methods=["POST"]),
        Route(f"{one}/split", persons.split, methods=["POST"]),
        Route(f"{one}/different", persons.different, methods=["POST"]),
        Route(f"{one}/persons", persons.decisions, methods=["GET"]),
        Route("/api/v1/persons/{id}/undo", persons.undo, methods=["POST"]),
        Route("/api/v1/review", persons.pairs, methods=["GET"]),
        Route("/api/v1/review", persons.answer, methods=["POST"]),
    ]


class _Persons:
    def __init__(self, database: Database) -> None:
        self._database = database

    @needs("cases.work")
    @call(
        takes=MergeBody,
        gives=RegroupedShown,
        refuses={NotFound: ("no_such_case",), Conflict: _NOT_ONE, Invalid: ("no_reason",)},
    )
    async def merge(self, request: Request) -> Response:
        """Join two cases: they are one person's. Old numbers and links lead to the one that lives. It can be undone."""
        body = read_body(await request.body(), MergeBody)
        async with self._database.transaction() as tx:
            done = await regrouping.merge(tx, actor(request), request.path_params["number"], body.other, body.reason)
            return await _shown(tx, done)

    @needs("cases.work")
    @call(
        takes=SplitBody,
        gives=RegroupedShown,
        refuses={NotFound: ("no_such_case",), Invalid: ("cannot_split", "no_reason")},
    )
    async def split(self, request: Request) -> Response:
        """Take a case apart: these contacts are another person's. Each sees only their own from then on."""
        body = read_body(await request.body(), SplitBody)
        async with self._database.transaction() as tx:
            number = request.path_params["number"]
            return await _shown(tx, await regrouping.split(tx, actor(request), number, body.contacts, body.reason))

    @needs("cases.work")
    @call(takes=MergeBody, gives=RegroupedShown, refuses={NotFound: ("no_such_case",), Conflict: ("conflict",)})
    async def different(self, request: Request) -> Response:
        """Say that two cases are two persons', whatever else comes in."""
        body = read_body(await request.body(), MergeBody)
        async with self._database.transaction() as tx:
            number = request.path_params["number"]
            return await _shown(tx, await regrouping.cannot_link(tx, actor(request), number, body.other, body.reason))

    @needs("cases.read")
    @call(gives=list[DecisionAboutShown], refuses={NotFound: ("no_such_case",)})
    async def decisions(self, request: Request) -> Response:
        """What people decided about who is whom in this case, undone or not."""
        number = request.path_params["number"]
        async with self._database.snapshot() as tx:
            await live_version(tx, number)  # a case that is not there is not one about which nothing was decided
            return json_answer([asdict(one) for one in await regrouping.decisions_about(tx, number)])

    @needs("cases.work")
    @call(
        takes=UndoBody,
        gives=RegroupedShown,
        path={"id": int},
        refuses={NotFound: ("not_found", "no_such_decision"), Conflict: ("already_undone",), Invalid: ("no_reason",)},
    )
    async def undo(self, request: Request) -> Response:
        """Take such a decision back; everything goes to where the other evidence puts it."""
        body = read_body(await request.body(), UndoBody)
        async with self._database.transaction() as tx:
            done = await regrouping.undo(tx, actor(request), number_in(request, "id"), body.reason)
            return await _shown(tx, done)

    @needs("cases.read")
    @call(gives=list[PairShown])
    async def pairs(self, _: Request) -> Response:
        """Pairs of contacts that resemble each other too much to be strangers for sure, and too little to be joined."""
        async with self._database.snapshot() as tx:
            waiting = await review.grey_pairs(tx)
        return json_answer(
            [
                PairShown(
                    pair.one_id,
                    pair.other_id,
                    pair.one_number,
                    pair.other_number,
                    pair.incident_id,
                    pair.weight,
                    asdict(pair.explanation),
                )
                for pair in waiting
            ]
        )

    @needs("cases.work")
    @call(
        takes=PairBody,
        gives=RegroupedShown,
        refuses={NotFound: ("no_such_contact",), Conflict: _NOT_ONE, Invalid: ("no_reason",)},
    )
    async def answer(self, request: Request) -> Response:
        """Say of such a pair whether it is one person or two."""
        body = read_body(await request.body(), PairBody)
        async with self._database.transaction() as tx:
            done = await review.answer(tx, actor(request), body.one, body.other, same=body.same, reason=body.reason)
            return await _shown(tx, done)


async def _shown(tx: Tx, done: Regrouped) -> Response:
    """What was done, once everything that hung on the old order is put right."""
    await settle(tx, [move.contact_id for move in done.moves])
    return json_answer(RegroupedShown(done.decision_id, list(done.numbers)))
