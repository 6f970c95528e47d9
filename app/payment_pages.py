"""Payments at the desk: what waits, a run prepared by one person and let go by another, its files, what came back."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.answers import GUARDS
from app.desk import PRIVATE, Desk
from app.forms import read_form
from app.outages import Outages
from claims import payment_runs
from claims.desk_api import actor
from claims.payment_files import as_csv, as_pain001
from foundation.access import needs
from foundation.database import Tx
from foundation.errors import Conflict, Invalid, NotFound, Refusal


def routes(desk: Desk) -> list[BaseRoute]:
    """The pages of payments."""
    pages = _PaymentPages(desk)
    one = "/desk/payments/{run}"
    return [
        Route("/desk/payments", pages.overview, methods=["GET"]),
        Route("/desk/payments", pages.prepare, methods=["POST"]),
        Route(one, pages.run, methods=["GET"]),
        Route(f"{one}/file.csv", pages.csv_file, methods=["GET"]),
        Route(f"{one}/file.xml", pages.bank_file, methods=["GET"]),
        Route(f"{one}/approve", pages.approve, methods=["POST"]),
        *(Route(f"{one}/{what}", pages.ending(what), methods=["POST"]) for what in ("paid", "cancel", "returned")),
    ]


class _PaymentPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._outages = Outages(desk.parts.clock)

    @needs("payments.read")
    async def overview(self, request: Request) -> Response:
        return await self._overview(request)

    @needs("payments.prepare")
    async def prepare(self, request: Request) -> Response:
        typed = await read_form(request)
        try:
            async with self._database.transaction() as tx:
                run = await payment_runs.prepare(
                    tx,
                    actor(request),
                    typed.get("incident", ""),
                    typed.get("pays", ""),
                    typed.get("currency", ""),
                    now=self._clock(),
                )
        except Conflict as refused:
            return await self._overview(request, 409, refused=refused)
        request.state.about = f"run {run}"
        return self._desk.to(f"/desk/payments/{run}")

    @needs("payments.read")
    async def run(self, request: Request) -> Response:
        return await self._run(request)

    @needs("payments.read")
    async def csv_file(self, request: Request) -> Response:
        async with self._database.snapshot() as tx:
            run, payments = await payment_runs.run_of(tx, _number(request))
        return _file(as_csv(run, payments), "text/csv; charset=utf-8", f"payments-{run.id}.csv")

    @needs("payments.read")
    async def bank_file(self, request: Request) -> Response:
        payer = self._desk.parts.settings.payer
        async with self._database.snapshot() as tx:
            run, payments = await payment_runs.run_of(tx, _number(request))
        if payer is None:
            raise NotFound("Nobody said yet who pays: set STORMDESK_PAYER to a name and an account.", code="no_payer")
        if run.state not in ("approved", "paid"):
            raise Conflict("Nobody let this run go yet, so there is no file for the bank.", code="not_approved")
        content = as_pain001(run, payments, payer, on=self._clock().date())
        return _file(content, "application/xml", f"payments-{run.id}.xml")

    @needs("payments.approve")
    async def approve(self, request: Request) -> Response:
        return await self._change(
            request, lambda tx: payment_runs.approve(tx, actor(request), _number(request), now=self._clock())
        )

    def ending(self, what: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler of: it was paid, it is called off, or one of its payments came back."""

        @needs("payments.prepare")
        async def end(request: Request) -> Response:
            typed, now, who, run = await read_form(request), self._clock(), actor(request), _number(request)

            async def change(tx: Tx) -> None:
                if what == "paid":
                    await payment_runs.note_paid(tx, who, run, now=now)
                elif what == "cancel":
                    await payment_runs.cancel(tx, who, run, now=now)
                else:
                    payment = natural(typed.get("payment", ""))
                    await payment_runs.note_returned(tx, who, payment, typed.get("why", ""), now=now)

            return await self._change(request, change)

        return end

    async def _change(self, request: Request, change: Callable[[Tx], Awaitable[None]]) -> Response:
        try:
            async with self._database.transaction() as tx:
                await change(tx)
        except (Conflict, Invalid) as refused:
            return await self._run(request, 409, refused=refused)
        return self._desk.to(f"/desk/payments/{_number(request)}")

    async def _overview(self, request: Request, status: int = 200, *, refused: Refusal | None = None) -> Response:
        async with self._database.snapshot() as tx:
            waiting, runs = await payment_runs.due(tx), await payment_runs.runs(tx)
            concerned = {one.incident_id for one in waiting} | {one.incident_id for one in runs}
            titles = await self._outages.outages(tx, concerned)
        return self._desk.page(
            request, "app/payments.html", status, waiting=waiting, runs=runs, titles=titles, refused=refused
        )

    async def _run(self, request: Request, status: int = 200, *, refused: Refusal | None = None) -> Response:
        async with self._database.snapshot() as tx:
            run, payments = await payment_runs.run_of(tx, _number(request))
            titles = await self._outages.outages(tx, {run.incident_id})
        return self._desk.page(
            request,
            "app/payment-run.html",
            status,
            run=run,
            payments=payments,
            titles=titles,
            me=str(actor(request)),
            to_bank=run.pays == "account" and self._desk.parts.settings.payer is not None,
            refused=refused,
        )


def _number(request: Request) -> int:
    return natural(request.path_params["run"])


def natural(text: str) -> int:
    """A number as an address or a field has it; 0, which nothing has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {**GUARDS, **PRIVATE, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
