"""Checks every request to the panel, so that no route can forget it: same origin, CSRF token, a session."""

from typing import cast
from urllib.parse import urlsplit

from quart import Quart, current_app, redirect, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.datastructures import Headers
from werkzeug.exceptions import Forbidden

from koschey.admin.visit import find_person, visit
from koschey.auth.authorization import authorize_somewhere
from koschey.auth.permissions import Action
from koschey.auth.sessions import is_csrf_token
from koschey.web.access import Access, declared
from koschey.web.context import resources

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
STATIC = "admin.static"
FORM = "application/x-www-form-urlencoded"
FORM_TIMEOUT = 15
"""Seconds within which a whole form must arrive."""


async def guard() -> ResponseReturnValue | None:
    """Let a request pass, or answer it.

    Raises `NotAllowed` if the account may not do what the view needs, for any project. The function that makes a change
    checks the permission for its project.
    """
    if request.endpoint == STATIC:  # needs no visit either
        return None
    if request.method not in SAFE:
        await _check_form()
    await find_person()
    found, session = declared(cast(Quart, current_app), request.endpoint), visit().session
    if found is not None and found.needs is Access.OPEN:
        return None
    if session is None:
        return redirect(url_for("admin.login"), 303)
    if found is not None and isinstance(found.needs, Action):
        authorize_somewhere(session.account, found.needs)
    return None


async def _check_form() -> None:
    """Raise `Forbidden` unless one of our own pages sent this request."""
    if not is_same_origin(request.headers, resources().settings.public_url):
        raise Forbidden("This request came from another site, so nothing was done.")
    request.body_timeout = FORM_TIMEOUT
    sent = (await request.form).get("csrf", "") if request.mimetype == FORM else ""
    if not visit().known or not is_csrf_token(visit().id, sent):
        raise Forbidden(
            "This form is not from your current session, so nothing was done. "
            "Allow cookies, go back, reload the page and send the form again."
        )


def is_same_origin(headers: Headers, public_url: str) -> bool:
    """Return whether the browser says that one of our own pages sent this request.

    `Host` is only compared with `Origin`: another site's page cannot choose the `Host` that the browser sends. A
    request without `Sec-Fetch-Site` and `Origin` is not from a current browser, so the token alone decides.
    """
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("Origin")
    if origin is None:
        return True
    try:
        sender, public = urlsplit(origin.lower()), urlsplit(public_url.lower())
    except ValueError:
        return False
    if not sender.netloc:
        return False
    return (sender.scheme, sender.netloc) == (public.scheme, public.netloc) or (
        sender.netloc == headers.get("Host", "").lower()
    )
