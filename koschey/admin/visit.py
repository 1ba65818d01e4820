"""The visitor: the cookie of a request and the session behind it."""

from dataclasses import dataclass, field
from typing import cast

from quart import Response, g, request

from koschey.accounts import Account
from koschey.addresses import ADMIN
from koschey.auth.permissions import Action, permits_somewhere
from koschey.auth.sessions import Session, SessionId, csrf_token, find_session, new_id, parse_id
from koschey.web.context import resources


@dataclass(slots=True)
class Visit:
    """What one request says about the browser that sent it."""

    id: SessionId = field(default_factory=new_id)
    known: bool = False
    """Whether the browser already has the id."""
    session: Session | None = None

    @property
    def csrf(self) -> str:
        """The token for the forms of this page."""
        return csrf_token(self.id)


def visit() -> Visit:
    """Return the visit of the current request."""
    if "visit" not in g:
        g.visit = read_visit()
    return cast(Visit, g.visit)


def account() -> Account:
    """Return the account that is logged in; only for handlers behind the guard."""
    session = visit().session
    assert session is not None
    return session.account


def read_visit() -> Visit:
    """Read the cookie; the session is not looked up yet."""
    found = parse_id(request.cookies.get(cookie_name()))
    return Visit(found, known=True) if found else Visit()


async def find_person() -> None:
    """Look up the session. It is valid only while its account may enter: a revoked role has an effect at once."""
    seen = visit()
    if seen.known:
        session = await find_session(resources().pool, seen.id)
        seen.session = session if session and may_enter(session.account) else None


def may_enter(person: Account) -> bool:
    """Return whether any role of the account, for any project, lets it see the quarantine."""
    return permits_somewhere(person, Action.AUDIT)


def is_secure() -> bool:
    """Return whether people reach this index by https."""
    return resources().settings.public_url.startswith("https:")


def cookie_name() -> str:
    """Return the cookie's name.

    `__Host-` would require Path=/, so browsers would send the cookie with every request for an uploaded file.
    `__Secure-` allows any path, and still prevents plain http from setting the cookie. It does not prevent another host
    of the same domain from setting it. Such an id is worthless: a login creates a new one, and the guard checks the
    origin of forms.
    """
    return "__Secure-koschey_admin" if is_secure() else "koschey_admin"


def cookie_path() -> str:
    """Return the path below which browsers send the cookie: not to the index's pages, nor to files of strangers."""
    return resources().addresses.here(ADMIN).removesuffix("/")


def set_cookie(response: Response, session_id: SessionId) -> None:
    """Give the browser an id, which it keeps until it is closed."""
    response.set_cookie(
        cookie_name(), session_id, path=cookie_path(), secure=is_secure(), httponly=True, samesite="Lax"
    )


def drop_cookie(response: Response) -> None:
    """Make the browser delete its id."""
    response.delete_cookie(cookie_name(), path=cookie_path(), secure=is_secure(), httponly=True, samesite="Lax")
