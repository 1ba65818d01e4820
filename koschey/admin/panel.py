"""The blueprint, and what all its answers share: headers, errors, and how a page is rendered."""

from pathlib import Path

import structlog
from quart import Blueprint, Response, render_template, request, send_from_directory
from werkzeug.exceptions import HTTPException, NotFound

from koschey.admin import show
from koschey.admin.guard import guard
from koschey.admin.visit import visit
from koschey.auth.permissions import Action
from koschey.auth.sessions import leave_notice
from koschey.errors import KoscheyError
from koschey.resources import POSTGRESQL_AWAY, POSTGRESQL_SLOW
from koschey.web.access import Access, needs
from koschey.web.context import resources
from koschey.web.errors import RETRY_AFTER, status_of

log = structlog.get_logger()

HEADERS = {
    # `form-action` prevents injected markup from sending a form with its token to another host.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not `no-referrer`: browsers would send `Origin: null`, and the guard could not distinguish our forms from others.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

STATIC_FOLDER = Path(__file__).parent / "static"
STATIC_FILES = frozenset(path.name for path in STATIC_FOLDER.iterdir())
"""Only these names are looked up in the file system, which raises an error for a name that is too long."""

blueprint = Blueprint("admin", "koschey.admin", url_prefix="/admin", template_folder="templates")
blueprint.before_request(guard)
for name, function in show.FILTERS.items():
    blueprint.add_app_template_filter(function, name)


async def render(template: str, status: int = 200, **context: object) -> Response:
    """Render a page for the visitor, with the notice that the previous request left for them."""
    session = visit().session
    notice = session.notice if session else None
    if notice and request.method == "GET":
        await leave_notice(resources().pool, visit().id, None)
    pulse = await resources().readiness.pulse()
    page = await render_template(
        f"admin/{template}", visit=visit(), session=session, notice=notice, now=pulse.now, pulse=pulse, **context
    )
    return Response(page, status, content_type="text/html; charset=utf-8")


async def render_error(status: int, title: str, detail: str) -> Response:
    """Render a page that says what went wrong. It reads no store, because a store may be what failed."""
    page = await render_template(
        "admin/error.html", visit=visit(), session=visit().session, status=status, title=title, detail=detail
    )
    response = Response(page, status, content_type="text/html; charset=utf-8")
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


@blueprint.get("/static/<path:filename>", merge_slashes=False)
@needs(Access.OPEN)
async def static(filename: str) -> Response:
    """Serve the style sheet and the icon.

    Every route of the panel turns `merge_slashes` off: Quart merges by a redirect to the host that the request names.
    """
    if filename not in STATIC_FILES:
        raise NotFound(f"There is no page {filename!r} in this panel.")
    return await send_from_directory(STATIC_FOLDER, filename)


@blueprint.route("/<path:rest>", methods=METHODS, merge_slashes=False)
@needs(Action.AUDIT)
async def nothing(rest: str) -> Response:
    """Answer every other path below `/admin/`, so that the guard and the headers cover it too."""
    raise NotFound(f"There is no page {rest!r} in this panel.")


@blueprint.after_request
async def add_headers(response: Response) -> Response:
    """Add the headers to every answer, including errors."""
    response.headers.update(HEADERS)
    return response


@blueprint.errorhandler(KoscheyError)
async def koschey_error(error: KoscheyError) -> Response:
    """Render the error's own message."""
    return await render_error(*status_of(error), str(error))


@blueprint.errorhandler(HTTPException)
async def http_error(error: HTTPException) -> Response:
    """Render an error of Quart or of a handler as a page."""
    return await render_error(error.code or 500, error.name, error.description or error.name)


async def _store_error(error: Exception) -> Response:
    log.warning("a store does not answer", error=repr(error))
    # A decision may have been committed just before; the reviewer has to check.
    advice = "Try again in a few seconds. If you sent a decision, first check whether it was made."
    return await render_error(503, "The database does not answer", advice)


for lost in POSTGRESQL_AWAY:
    blueprint.register_error_handler(lost, _store_error)


async def _slow_error(error: Exception) -> Response:
    log.warning("a statement took too long", error=repr(error))
    advice = "The same request would take as long again. If you sent a decision, first check whether it was made."
    return await render_error(503, "The database did not finish in time", advice)


for slow in POSTGRESQL_SLOW:
    blueprint.register_error_handler(slow, _slow_error)
