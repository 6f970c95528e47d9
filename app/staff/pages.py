"""Pages of the way in: signing in and out, the one-time link, one's own account."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import sessions
from app.audit import Deed, record
from app.auth import StaffUser
from app.desk import Desk, local_path
from app.forms import ForeignForm, check_sender, read_form
from app.proof import LASTS, proof
from app.staff.accounts import User, find_user, use_link, whose_link
from app.staff.passwords import Passwords, fault_of
from app.staff.seal import Seal
from app.staff.second_factor import matching_step, new_secret, picture
from app.staff.sign_in import Attempt, NotSignedIn, SignIn
from foundation.access import for_anybody, needs
from foundation.errors import NotFound
from foundation.tokens import BadToken, Tokens

_ENROL = "enrol"


@dataclass(frozen=True, slots=True)
class Staff:
    """What the pages of the way in work with."""

    desk: Desk
    sign_in: SignIn
    passwords: Passwords
    seal: Seal
    provider: bool  # whether people may come through an identity provider

    @property
    def code_needed(self) -> bool:
        """Whether a local account must have a second factor: always, but where only this machine can open the desk."""
        return self.desk.cookies.secure


def routes(staff: Staff) -> list[BaseRoute]:
    """The routes of the way in."""
    entry, link, account = _SignInPages(staff), _LinkPages(staff), _AccountPages(staff)
    return [
        Route("/desk", account.home, methods=["GET"]),
        Route("/desk/", account.home, methods=["GET"]),
        Route("/desk/sign-in", entry.show, methods=["GET"]),
        Route("/desk/sign-in", entry.send, methods=["POST"]),
        Route("/desk/sign-out", account.sign_out, methods=["POST"]),
        Route("/desk/welcome/{token}", link.show, methods=["GET"]),
        Route("/desk/welcome/{token}", link.send, methods=["POST"]),
        Route("/desk/account", account.show, methods=["GET"]),
        Route("/desk/again", account.ask_again, methods=["GET"]),
        Route("/desk/again", account.prove, methods=["POST"]),
        Route("/desk/account/sign-out-everywhere", account.sign_out_everywhere, methods=["POST"]),
        Route("/desk/account/password", account.change_password, methods=["POST"]),
    ]


class _SignInPages:
    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._desk = staff.desk

    @for_anybody
    async def show(self, request: Request) -> Response:
        onward = local_path(request.query_params.get("next", ""))
        if isinstance(request.user, StaffUser):
            return self._desk.to(onward)
        return self._page(request, onward, failed=request.query_params.get("failed", "")[:20])

    @for_anybody
    async def send(self, request: Request) -> Response:
        typed = await read_form(request)
        onward = local_path(typed.get("next", ""))
        try:
            check_sender(request, self._desk.parts.tokens, self._desk.cookies.visitor(request.cookies), typed)
        except ForeignForm:
            return self._page(request, onward, 403, name=typed.get("name", ""), failed="foreign")
        tried = Attempt(
            name=typed.get("name", ""),
            password=typed.get("password", ""),
            code=typed.get("code", ""),
            address=address_of(request),
            agent=agent_of(request),
            device=self._desk.cookies.device(request.cookies),
        )
        done = await self._staff.sign_in.attempt(tried)
        if isinstance(done, NotSignedIn):
            return self._refused(request, onward, tried.name, done.wait)
        answer = self._desk.to(onward)
        self._desk.cookies.begin_session(answer, done.token, done.device)
        proven(self._desk, answer, done.token)
        return answer

    def _refused(self, request: Request, onward: str, name: str, wait: timedelta | None) -> Response:
        if wait is None:
            return self._page(request, onward, 422, name=name, failed="wrong")
        minutes = ceil(wait.total_seconds() / 60)
        answer = self._page(request, onward, 429, name=name, failed="wait", minutes=minutes)
        answer.headers["Retry-After"] = str(ceil(wait.total_seconds()))
        return answer

    def _page(
        self, request: Request, onward: str, status: int = 200, *, name: str = "", failed: str = "", minutes: int = 0
    ) -> Response:
        shown = {"name": name[:200], "failed": failed, "minutes": minutes, "onward": onward}
        return self._desk.page(request, "app/sign-in.html", status, provider=self._staff.provider, **shown)


class _LinkPages:
    """The one-time link: choose a password, and set up the second factor."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._desk = staff.desk

    @for_anybody
    async def show(self, request: Request) -> Response:
        owner = await self._owner(request)
        return self._page(request, owner, new_secret()) if owner else self._used_up(request)

    @for_anybody
    async def send(self, request: Request) -> Response:
        typed, owner = await read_form(request), await self._owner(request)
        if owner is None:
            return self._used_up(request)
        secret = _read_enrolment(self._desk.parts.tokens, typed.get("enrolment", ""))
        try:
            check_sender(request, self._desk.parts.tokens, self._desk.binding(request), typed)
        except ForeignForm as refused:
            raise HTTPException(403, str(refused)) from None
        fault = fault_of(typed.get("password", ""), [owner.name, owner.shown_name])
        step, code = None, typed.get("code", "").strip()
        if secret and code:
            step = matching_step(secret, code, now=self._desk.parts.clock(), after=0)
        code_wrong = bool(code and step is None) or (not code and self._staff.code_needed)
        if fault or code_wrong or secret is None:
            return self._page(request, owner, secret or new_secret(), 422, fault=fault or "", code_wrong=code_wrong)
        sealed = None if step is None else self._staff.seal.close(secret)
        return await self._enter(request, owner, typed["password"], sealed, step or 0)

    async def _enter(
        self, request: Request, owner: User, password: str, second_factor: bytes | None, step: int
    ) -> Response:
        kept = await self._staff.passwords.hash(password)
        parts, address = self._desk.parts, address_of(request)
        async with parts.database.transaction() as tx:
            now = parts.clock()
            token = request.path_params["token"]
            user_id = await use_link(tx, token, password_hash=kept, second_factor=second_factor, step=step, now=now)
            if user_id is None:
                return self._used_up(request)
            session = await sessions.begin(tx, user_id, "link", address=address, agent=agent_of(request), now=now)
            await record(tx, Deed(f"staff:{owner.name}", "one-time link used", "desk", "done", address), now=now)
        answer = self._desk.to("/desk/")
        self._desk.cookies.begin_session(answer, session, self._staff.sign_in.device_for(owner.name))
        proven(self._desk, answer, session)
        return answer

    async def _owner(self, request: Request) -> User | None:
        async with self._desk.parts.database.transaction() as tx:
            return await whose_link(tx, request.path_params["token"], now=self._desk.parts.clock())

    def _page(
        self,
        request: Request,
        owner: User,
        secret: str,
        status: int = 200,
        *,
        fault: str = "",
        code_wrong: bool = False,
    ) -> Response:
        return self._desk.page(
            request,
            "app/welcome.html",
            status,
            owner=owner,
            secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
            picture=picture(secret, account=owner.name, issuer=f"{self._desk.parts.settings.page_name} desk"),
            enrolment=self._desk.parts.tokens.sign(_ENROL, secret.encode()),
            code_needed=self._staff.code_needed,
            fault=fault,
            code_wrong=code_wrong,
        )

    def _used_up(self, request: Request) -> Response:
        return self._desk.page(request, "app/link-used.html", 404)


class _AccountPages:
    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._desk = staff.desk

    @needs("account.own")
    async def home(self, request: Request) -> Response:
        return self._desk.to("/desk/account")

    @needs("account.own")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("account.own")
    async def sign_out(self, request: Request) -> Response:
        user = _signed_in(request)
        async with self._desk.parts.database.transaction() as tx:
            await sessions.end(tx, user.binding, now=self._desk.parts.clock())
        return self._out()

    @needs("account.own")
    async def sign_out_everywhere(self, request: Request) -> Response:
        user = _signed_in(request)
        async with self._desk.parts.database.transaction() as tx:
            now = self._desk.parts.clock()
            await sessions.end_all(tx, user.session.user_id, "signed out everywhere", now=now)
        return self._out()

    @needs("account.own")
    async def change_password(self, request: Request) -> Response:
        user, typed = _signed_in(request), await read_form(request)
        new = typed.get("new", "")
        if fault := fault_of(new, [user.session.name, user.session.shown_name]):
            return await self._page(request, 422, fault=fault)
        # By the same door as signing in: guessing here counts there.
        tried = Attempt(
            name=user.session.name,
            password=typed.get("old", ""),
            code=typed.get("code", ""),
            address=address_of(request),
            agent=agent_of(request),
            device=self._desk.cookies.device(request.cookies),
        )
        kept = await self._staff.passwords.hash(new)
        done = await self._staff.sign_in.attempt(tried, new_password=kept)
        if isinstance(done, NotSignedIn):
            return await self._page(request, 422, wrong=True)
        answer = self._desk.to("/desk/account")
        self._desk.cookies.begin_session(answer, done.token, done.device)
        return answer

    @needs("account.own")
    async def ask_again(self, request: Request) -> Response:
        return await self._again(request, local_path(request.query_params.get("next", "")))

    @needs("account.own")
    async def prove(self, request: Request) -> Response:
        """By the same door as signing in: guessing here counts there. The session begins anew."""
        user, typed = _signed_in(request), await read_form(request)
        onward = local_path(typed.get("next", ""))
        tried = Attempt(
            name=user.session.name,
            password=typed.get("password", ""),
            code=typed.get("code", ""),
            address=address_of(request),
            agent=agent_of(request),
            device=self._desk.cookies.device(request.cookies),
        )
        done = await self._staff.sign_in.attempt(tried)
        if isinstance(done, NotSignedIn):
            return await self._again(request, onward, 422 if done.wait is None else 429, wrong=True)
        async with self._desk.parts.database.transaction() as tx:
            await sessions.end(tx, user.binding, now=self._desk.parts.clock())
        answer = self._desk.to(onward)
        self._desk.cookies.begin_session(answer, done.token, done.device)
        proven(self._desk, answer, done.token)
        return answer

    async def _again(self, request: Request, onward: str, status: int = 200, *, wrong: bool = False) -> Response:
        user, parts = _signed_in(request), self._desk.parts
        async with parts.database.transaction() as tx:
            own = await find_user(tx, user.session.name, now=parts.clock())
        return self._desk.page(request, "app/again.html", status, own=own, onward=onward, wrong=wrong)

    async def _page(self, request: Request, status: int = 200, *, fault: str = "", wrong: bool = False) -> Response:
        user, parts = _signed_in(request), self._desk.parts
        async with parts.database.transaction() as tx:
            own = await find_user(tx, user.session.name, now=parts.clock())
            live = await sessions.live_sessions(tx, own.id, now=parts.clock())
        shown = {"own": own, "live": live, "fault": fault, "wrong": wrong, "session_id": user.session.id}
        return self._desk.page(request, "app/account.html", status, **shown)

    def _out(self) -> Response:
        answer = self._desk.to("/desk/sign-in")
        self._desk.cookies.end_session(answer)
        # Whatever the browser kept of the desk's pages goes too.
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer


def proven(desk: Desk, answer: Response, binding: str) -> None:
    """Whoever gets `answer` has just shown who they are, for the session whose cookie is `binding`."""
    desk.cookies.set_proof(
        answer, proof(desk.parts.tokens, binding, now=desk.parts.clock()), int(LASTS.total_seconds())
    )


def address_of(request: Request) -> str:
    """Where a request comes from, as far as we know."""
    return request.client.host if request.client else ""


def agent_of(request: Request) -> str:
    """What the browser calls itself, on one line."""
    return "".join(one for one in request.headers.get("user-agent", "") if one.isprintable())


def _signed_in(request: Request) -> StaffUser:
    if not isinstance(request.user, StaffUser):
        raise NotFound("A token has no account. Sign in with a browser.", code="no_account")
    return request.user


def _read_enrolment(tokens: Tokens, text: str) -> str | None:
    try:
        return tokens.read(_ENROL, text).decode()
    except BadToken:
        return None
