"""One project: its origin, the rules that apply to it, and every release with its files."""

from typing import Any

from packaging.utils import NormalizedName
from quart import Response, redirect, request, url_for
from quart.typing import ResponseReturnValue

from koschey.admin.confirmation import Confirmation, confirmation_for
from koschey.admin.decisions import DecisionDraft, carry_out, may_decide, may_see, read_draft
from koschey.admin.panel import blueprint, render
from koschey.admin.show import without_login
from koschey.auth.permissions import Action
from koschey.errors import NotKnown, Unconfirmed, UsageError
from koschey.quarantine.project_review import review_project
from koschey.standards.names import parse_name
from koschey.standards.upstream_page import CAUSES
from koschey.web.access import needs
from koschey.web.context import resources
from koschey.web.errors import status_of
from koschey.web.redirects import moved_here

PER_PAGE = 50
"""Releases on one page."""


@blueprint.get("/projects/<project>", merge_slashes=False)
@needs(Action.AUDIT)
async def project(project: str) -> ResponseReturnValue:
    """Show a project."""
    name = parse_name(project)
    if name != project:
        return moved_here(url_for("admin.project", project=name))
    return await _page(name)


@blueprint.post("/projects/<project>", merge_slashes=False)
@needs(Action.DECIDE)
async def decide_on_project(project: str) -> ResponseReturnValue:
    """Decide on the project or on one of its releases."""
    name = parse_name(project)
    draft = await read_draft(name)
    try:
        await carry_out(name, draft)
    except UsageError as error:
        return await _page(name, status_of(error)[0], str(error), draft, unconfirmed=error)
    return redirect(url_for("admin.project", project=name, **_place()), 303)


async def _page(
    name: NormalizedName,
    status: int = 200,
    error: str | None = None,
    draft: DecisionDraft | None = None,
    *,
    unconfirmed: UsageError | None = None,
) -> Response:
    review = await review_project(resources().pool, name, resources().feed)
    if review is None:
        raise NotKnown(error or f"{name} is not known here; request the project's page from the index first")
    number = int(_place().get("page", 1))
    return await render(
        "project.html",
        status,
        error=error,
        draft=draft,
        confirmation=_confirmation(name, draft, unconfirmed),
        name=name,
        project=review.project,
        upstream=without_login(resources().settings.upstream_url),
        rules=review.rules,
        releases=review.releases[(number - 1) * PER_PAGE : number * PER_PAGE],
        total=len(review.releases),
        files=sum(len(release.files) for release in review.releases),
        number=number,
        last=number * PER_PAGE >= len(review.releases),
        origins=review.origins,
        attestations=review.attestations,
        left_out=review.left_out,
        causes=CAUSES,
        entries=review.entries,
        choices=review.choices if may_decide(name) else [],
        may_decide=may_decide(name),
        may_see=may_see(name),
    )


def _confirmation(name: NormalizedName, draft: DecisionDraft | None, error: UsageError | None) -> Confirmation | None:
    if draft is None or not isinstance(error, Unconfirmed):
        return None
    return confirmation_for(error, url_for("admin.decide_on_project", project=name, **_place()), draft.fields, name)


def _place() -> dict[str, Any]:
    number = request.args.get("page", "")[:6]
    return {"page": number} if number.isascii() and number.isdigit() and int(number) > 1 else {}
