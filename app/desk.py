"""What every page of the desk shares: its frame, its forms' tokens, and where its links lead.

Pages of the desk extend `app/desk.html` and are drawn by `Desk.page`; what they show is their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.answers import GUARDS
from app.auth import StaffUser
from app.cookies import Cookies
from app.forms import form_token
from app.templates import render
from app.wiring import Parts
from foundation.languages import choose_language

# What the public reads exists in five languages, the desk in two.
SPOKEN_AT_THE_DESK = ("en", "nl")
# Nobody's business but its reader's.
PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow", "X-Content-Type-Options": "nosniff"}


class Tab(NamedTuple):
    """A page in the desk's navigation, shown to those who have `right`. `label` is a message id."""

    path: str
    label: str
    right: str


# Pages where work is done many times a day may load the desk's one script, from here, and ask this site who else looks.
# Everything on them works without it.
SCRIPTED = {
    **GUARDS,
    "content-security-policy": f"{GUARDS['content-security-policy']}; script-src 'self'; connect-src 'self'",
}

TABS = (
    Tab("/desk/incidents", "Incidents", "incidents.read"),
    Tab("/desk/cases", "Cases", "cases.read"),
    Tab("/desk/review", "Who is whom", "cases.read"),
    Tab("/desk/replies", "Replies", "cases.work"),
    Tab("/desk/calls", "Calls", "cases.work"),
    Tab("/desk/posts", "Public posts", "cases.work"),
    Tab("/desk/payments", "Payments", "payments.read"),
    Tab("/desk/customers", "Customers", "customers.read"),
    Tab("/desk/sending", "Sending", "deliveries.read"),
    Tab("/desk/reports", "Reports", "exports.read"),
    Tab("/desk/users", "People", "users.manage"),
    Tab("/desk/audit", "Who did what", "audit.read"),
    Tab("/desk/account", "Your account", "account.own"),
)


@dataclass(frozen=True, slots=True)
class Desk:
    """Draws the pages of the desk."""

    parts: Parts
    cookies: Cookies

    def page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """The page of `template`, for whoever asks. A visitor gets the cookie that their form is bound to."""
        return self._drawn(request, template, status, context, scripted=False)

    def scripted_page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """The same, of a page that may load the desk's script (`desk.js`)."""
        return self._drawn(request, template, status, context, scripted=True)

    def _drawn(
        self, request: Request, template: str, status: int, context: Mapping[str, Any], *, scripted: bool
    ) -> Response:
        user = request.user if isinstance(request.user, StaffUser) else None
        visitor = "" if user else self.cookies.visitor(request.cookies) or token_urlsafe(18)
        text = render(
            template,
            self.language(request),
            page_name=self.parts.settings.page_name,
            zone=self.parts.settings.page_time_zone,
            csrf=form_token(self.parts.tokens, user.binding if user else visitor),
            user=user,
            rights=frozenset(request.auth.scopes),
            tabs=[tab for tab in TABS if tab.right in request.auth.scopes],
            here=request.url.path,
            scripted=scripted,
            **context,
        )
        answer = HTMLResponse(text, status, headers={**(SCRIPTED if scripted else GUARDS), **PRIVATE})
        if visitor and visitor != self.cookies.visitor(request.cookies):
            self.cookies.set_visitor(answer, visitor)
        return answer

    def binding(self, request: Request) -> str:
        """The cookie a form of this request must be bound to."""
        return request.user.binding if isinstance(request.user, StaffUser) else self.cookies.visitor(request.cookies)

    def to(self, path: str) -> Response:
        """Go and see `path`, after a change."""
        return RedirectResponse(path, 303, headers={**GUARDS, **PRIVATE})

    @staticmethod
    def language(request: Request) -> str:
        """The language of the page: what its address says, else what the browser prefers."""
        return choose_language(
            request.query_params.get("lang"), request.headers.get("accept-language"), among=SPOKEN_AT_THE_DESK
        )


def local_path(wanted: str, otherwise: str = "/desk/") -> str:
    """Where to go after sign-in: a page of the desk, and nowhere else, whatever an address asks for."""
    plain = (
        wanted.isascii() and wanted.isprintable() and "\\" not in wanted and "//" not in wanted and ".." not in wanted
    )
    return wanted if plain and wanted.startswith("/desk/") and len(wanted) <= 500 else otherwise
