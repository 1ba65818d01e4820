"""Who asks: the cookie of a request and the session behind it."""

from dataclasses import dataclass, field
from typing import cast

from quart import Response, g, request

from koschey.accounts import Account
from koschey.addresses import ADMIN
from koschey.auth.permissions import Action, may_somewhere
from koschey.auth.sessions import Session, SessionId, csrf_token, find_session, new_id, parse_id
from koschey.web.context import resources


@dataclass(slots=True)
class Visit:
    """One request's view of the browser it came from."""

    id: SessionId = field(default_factory=new_id)
    known: bool = False
    """Whether the browser holds the id already."""
    session: Session | None = None

    @property
    def csrf(self) -> str:
        """The token for the forms of this page."""
        return csrf_token(self.id)


def visit() -> Visit:
    """Return the visit that the current request belongs to."""
    if "visit" not in g:
        g.visit = read_visit()
    return cast(Visit, g.visit)


def account() -> Account:
    """Return the account that is logged in; only for handlers behind the guard."""
    session = visit().session
    assert session is not None
    return session.account


def read_visit() -> Visit:
    """Read the cookie; nobody is logged in yet."""
    found = parse_id(request.cookies.get(cookie_name()))
    return Visit(found, known=True) if found else Visit()


async def find_person() -> None:
    """Look the session up. It counts only while its account may enter: a role taken away works at once."""
    seen = visit()
    if seen.known:
        session = await find_session(resources().pool, seen.id)
        seen.session = session if session and may_enter(session.account) else None


def may_enter(person: Account) -> bool:
    """Tell whether any role of the account, for whatever project, lets it decide something."""
    return may_somewhere(person.grants, Action.DECIDE)


def is_secure() -> bool:
    """Tell whether people reach this index by https."""
    return resources().settings.public_url.startswith("https:")


def cookie_name() -> str:
    """Return the cookie's name.

    `__Host-` would demand Path=/, and so send the cookie with every request for an uploaded file. `__Secure-` takes
    any path and still keeps plain http from planting a cookie. What it does not do is keep out a sibling host of the
    same domain; a planted id is worth nothing there, since a login takes a new one and the origin of forms is checked.
    """
    return "__Secure-koschey_admin" if is_secure() else "koschey_admin"


def cookie_path() -> str:
    """Return the only place that the cookie is sent to: not to the index's pages, nor to files of strangers."""
    return resources().addresses.here(ADMIN).removesuffix("/")


def set_cookie(response: Response, session_id: SessionId) -> None:
    """Hand an id to the browser, until it is closed."""
    response.set_cookie(
        cookie_name(), session_id, path=cookie_path(), secure=is_secure(), httponly=True, samesite="Lax"
    )


def drop_cookie(response: Response) -> None:
    """Let the browser forget its id."""
    response.delete_cookie(cookie_name(), path=cookie_path(), secure=is_secure(), httponly=True, samesite="Lax")
