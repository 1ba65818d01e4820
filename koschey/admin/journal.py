"""The journal: every change, the newest first."""

from quart import Response, request

from koschey.admin.panel import blueprint, render
from koschey.auth.permissions import Action
from koschey.errors import UsageError
from koschey.governance.journal import read_journal_before
from koschey.model import Serial
from koschey.web.access import needs
from koschey.web.context import resources

PER_PAGE = 100
MAX_DIGITS = 18
"""Serials are 64-bit integers in PostgreSQL."""


@blueprint.get("/journal", merge_slashes=False)
@needs(Action.AUDIT)
async def journal() -> Response:
    """Show the last changes before a serial, or the last ones in total."""
    before = _parse_serial(request.args.get("before"))
    entries = await read_journal_before(resources().pool, before, limit=PER_PAGE + 1)
    return await render("journal.html", entries=entries[:PER_PAGE], before=before, more=len(entries) > PER_PAGE)


def _parse_serial(text: str | None) -> Serial | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise UsageError("`before` must be the serial of an entry: a number")
    return Serial(int(text))
