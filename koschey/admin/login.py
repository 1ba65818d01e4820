"""Logging in and out."""

import math

import structlog
from quart import Response, redirect, request, url_for

from koschey.admin.attempts import Attempts
from koschey.admin.panel import blueprint, render
from koschey.admin.visit import drop_cookie, may_enter, set_cookie, visit
from koschey.auth.identity import TOKEN_USER, authenticate
from koschey.auth.passwords import check_password
from koschey.auth.sessions import close_session, open_session
from koschey.db.accounts import Account
from koschey.web.context import resources

log = structlog.get_logger()

WRONG = "User name or password is wrong."
attempts = Attempts()


@blueprint.get("/login", merge_slashes=False)
async def login() -> Response:
    """Show the form. The browser gets an id here, so that the form has a token like every other."""
    if visit().session is not None:
        return _see("admin.quarantine")
    return await _form(200)


@blueprint.post("/login", merge_slashes=False)
async def log_in() -> Response:
    """Compare the password and open a session."""
    form = await request.form
    user, password = form.get("user", "").strip(), form.get("password", "")
    keys = (("account", user[:200]), ("address", request.remote_addr or ""))
    if wait := attempts.begin(*keys):
        return await _too_often(wait)
    person = await _prove(user, password)
    if person is None:
        # Without the name: people type passwords into the wrong field.
        log.warning("a login failed", address=request.remote_addr)
        return await _form(401, WRONG, user)
    attempts.succeed(*keys)
    if not may_enter(person):
        return await _form(403, f"The account {person.name} may not use this panel; an admin can make it a reviewer.")
    log.info("a login", account=person.name, address=request.remote_addr)
    response = _see("admin.quarantine")
    set_cookie(response, await open_session(resources().pool, person.name, visit().id))
    return response


@blueprint.post("/logout", merge_slashes=False)
async def logout() -> Response:
    """End the session, here and in the browser."""
    await close_session(resources().pool, visit().id)
    response = _see("admin.login")
    drop_cookie(response)
    return response


async def _prove(user: str, password: str) -> Account | None:
    """Return the account. Takes as long for an unknown one, and for a name that none can have.

    A token is no way in: tokens lie in the configuration of build servers, and a session may do more than they.
    """
    if user == TOKEN_USER or "\0" in user:
        await check_password(password, None)
        return None
    return await authenticate(resources().pool, user, password)


async def _too_often(wait: float) -> Response:
    minutes = math.ceil(wait / 60)
    text = f"Too many failed logins. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
    response = await _form(429, text)
    response.headers["Retry-After"] = str(math.ceil(wait))
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
