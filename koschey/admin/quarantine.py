"""The quarantine: all pending releases, and the daily decisions about them."""

from typing import Any

from packaging.utils import canonicalize_name
from quart import Response, redirect, request, url_for
from quart.typing import ResponseReturnValue

from koschey.admin.confirmation import Confirmation, confirmation_for
from koschey.admin.decisions import DecisionDraft, carry_out, may_decide, read_draft
from koschey.admin.panel import blueprint, render
from koschey.auth.permissions import Action
from koschey.errors import Unconfirmed, UsageError
from koschey.model import State
from koschey.quarantine.waiting_releases import HeldReleases, find_projects
from koschey.standards.names import MAX_NAME, parse_name
from koschey.web.access import needs
from koschey.web.context import resources
from koschey.web.errors import status_of

PER_PAGE = 100
LAST_PAGE = 10_000
NAMES = 20
"""Maximum number of projects that a search lists beside the pending releases."""


@blueprint.get("", merge_slashes=False)
@needs(Action.AUDIT)
async def without_slash() -> ResponseReturnValue:
    """Redirect to the panel. Quart's own redirect would go to the host that the request names."""
    return redirect(url_for("admin.quarantine"), 308)


@blueprint.get("/", merge_slashes=False)
@needs(Action.AUDIT)
async def quarantine() -> Response:
    """List the pending releases."""
    return await _page()


@blueprint.post("/", merge_slashes=False)
@needs(Action.DECIDE)
async def decide_on_release() -> ResponseReturnValue:
    """Make a decision about one release."""
    draft = await read_draft()
    try:
        if not draft.version:
            raise UsageError("choose a release; decisions on a whole project are made on its own page")
        await carry_out(parse_name(draft.project), draft)
    except Unconfirmed as error:
        action = url_for("admin.decide_on_release", **_place())
        confirmation = confirmation_for(error, action, draft.fields, parse_name(draft.project))
        return await _page(status_of(error)[0], str(error), draft, confirmation)
    except UsageError as error:
        return await _page(status_of(error)[0], str(error), draft)
    return redirect(url_for("admin.quarantine", **_place()), 303)


async def _page(
    status: int = 200,
    error: str | None = None,
    draft: DecisionDraft | None = None,
    confirmation: Confirmation | None = None,
) -> Response:
    place = _place()
    found = await _read(place)
    if not found.releases and place.pop("page", None):
        # The decision removed the only release of the last page.
        found = await _read(place)
    number, part = int(place.get("page", 1)), place.get("q")
    names = await find_projects(resources().pool, part, limit=NAMES) if part else []
    return await render(
        "quarantine.html",
        status,
        error=error,
        draft=draft,
        confirmation=confirmation,
        waiting=found.releases,
        coded=[each for each in found.releases if each.state == State.HELD and may_decide(parse_name(each.project))],
        total=found.total,
        at_least=found.at_least,
        names=names,
        place=place,
        q=request.args.get("q", ""),
        number=number,
        last=(number - 1) * PER_PAGE + len(found.releases) >= found.total,
        may_decide=may_decide,
    )


async def _read(place: dict[str, Any]) -> HeldReleases:
    offset = (int(place.get("page", 1)) - 1) * PER_PAGE
    return await resources().quarantine.read(place.get("q"), limit=PER_PAGE, offset=offset)


def _place() -> dict[str, Any]:
    """Return the search and the page number of the request, cleaned, as arguments for a link back to this page."""
    part = canonicalize_name(request.args.get("q", "").strip().replace("\0", ""))[:MAX_NAME]
    number = request.args.get("page", "")
    place = {"q": part} if part else {}
    if number.isascii() and number.isdigit() and 1 < int(number[:6]) <= LAST_PAGE:
        place["page"] = number[:6]
    return place
