"""Login and logout."""

import structlog
from quart import Response, redirect, request, url_for

from koschey.admin.panel import blueprint, render
from koschey.admin.visit import drop_cookie, may_enter, set_cookie, visit
from koschey.auth.permissions import Action
from koschey.auth.sessions import close_session, open_session
from koschey.errors import Busy, KoscheyError, TooManyGuesses
from koschey.web.access import Access, needs
from koschey.web.context import resources
from koschey.web.errors import RETRY_AFTER, status_of

log = structlog.get_logger()

WRONG = "User name or password is wrong."


@blueprint.get("/login", merge_slashes=False)
@needs(Access.OPEN)
async def login() -> Response:
    """Show the form, and give the browser an id, so that this form has a CSRF token like every other."""
    if visit().session is not None:
        return _see("admin.quarantine")
    return await _form(200)


@blueprint.post("/login", merge_slashes=False)
@needs(Access.OPEN)
async def log_in() -> Response:
    """Verify the password and open a session.

    A token is not accepted: build servers keep tokens in their configuration, and a session may do more than a token.
    """
    form = await request.form
    user, password = form.get("user", "").strip(), form.get("password", "")
    try:
        person = await resources().logins.prove_password(user, password, request.remote_addr)
    except TooManyGuesses as error:
        return await _later(error, error.retry_after)
    except Busy as error:
        return await _later(error, RETRY_AFTER)
    if person is None:
        # The log omits the name, because people type passwords into the wrong field.
        log.warning("a login failed", address=request.remote_addr)
        return await _form(401, WRONG, user)
    if not may_enter(person):
        return await _form(403, f"The account {person.name} may not use this panel; an admin can make it a reviewer.")
    log.info("a login", account=person.name, address=request.remote_addr)
    response = _see("admin.quarantine")
    set_cookie(response, await open_session(resources().pool, person.name, visit().id))
    return response


@blueprint.post("/logout", merge_slashes=False)
@needs(Action.AUDIT)
async def logout() -> Response:
    """Delete the session and the browser's cookie."""
    await close_session(resources().pool, visit().id)
    response = _see("admin.login")
    drop_cookie(response)
    return response


async def _later(error: KoscheyError, seconds: int) -> Response:
    response = await _form(status_of(error)[0], str(error))
    response.headers["Retry-After"] = str(seconds)
    return response


async def _form(status: int, error: str | None = None, user: str = "") -> Response:
    response = await render("login.html", status, error=error, user=user)
    if not visit().known:
        set_cookie(response, visit().id)
    return response


def _see(endpoint: str) -> Response:
    response = redirect(url_for(endpoint), 303)
    assert isinstance(response, Response)
    return response
