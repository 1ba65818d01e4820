"""What needs attention: alerts, decisions that need a second person, and requests for releases."""

from collections.abc import Sequence

from packaging.utils import NormalizedName
from quart import Response, request, url_for

from koschey.admin.decisions import may_see
from koschey.admin.panel import blueprint, render
from koschey.auth.permissions import Action
from koschey.errors import NotAllowed, UsageError
from koschey.quarantine.attention import OpenProposal, OpenRequest, read_attention
from koschey.standards.names import parse_name
from koschey.web.access import needs
from koschey.web.context import resources

PER_PAGE = 50
MAX_DIGITS = 18


@blueprint.get("/attention", merge_slashes=False)
@needs(Action.AUDIT)
async def attention() -> Response:
    """Show alerts, proposals and requests of the projects that the visitor may see, and alerts about none."""
    before = _parse_before(request.args.get("before"))
    found = await read_attention(resources().pool, before=before, limit=PER_PAGE + 1)
    shown = found.alerts[:PER_PAGE]
    return await render(
        "attention.html",
        alerts=[alert for alert in shown if alert.project is None or may_see(NormalizedName(alert.project))],
        older=url_for("admin.attention", before=shown[-1].id) if len(found.alerts) > PER_PAGE else None,
        newest=before is None,
        proposals=_own(found.proposals),
        requests=_own(found.requests),
    )


@blueprint.get("/projects/<project>/downloads", merge_slashes=False)
@needs(Action.AUDIT)
async def downloads(project: str) -> Response:
    """Show who downloaded files of a project, or of one release: a recall needs to know that."""
    name, version = parse_name(project), request.args.get("version") or None
    if not may_see(name):
        raise NotAllowed(f"only reviewers of {name} may see who downloaded its files; an admin can grant it")
    if version is not None and (len(version) > 200 or not version.isprintable()):
        raise UsageError("the version is not valid; send at most 200 printable characters")
    downloaded = await resources().downloads.read_all(name, version)
    return await render("downloads.html", name=name, version=version, downloaded=downloaded)


def _own[T: (OpenProposal, OpenRequest)](items: Sequence[T]) -> list[T]:
    return [item for item in items if may_see(NormalizedName(item.project))]


def _parse_before(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise UsageError("`before` must be the number of an alert")
    return int(text)
