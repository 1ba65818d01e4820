"""The Simple API: `/simple/` and `/simple/<project>/` (PEP 503, 691)."""

import asyncio

from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseReturnValue

from koschey.index.encoded import Page
from koschey.standards.names import parse_name
from koschey.web.answer import Asked, answer_page, encoded_content
from koschey.web.context import resources
from koschey.web.errors import problem

blueprint = Blueprint("simple", __name__)


@blueprint.get("/simple/")
async def project_list() -> ResponseReturnValue:
    """List all projects."""
    return await _respond(await resources().pages.project_list())


@blueprint.get("/simple")
async def project_list_without_slash() -> ResponseReturnValue:
    """PEP 503: URLs end with a slash."""
    return _moved("/simple/")


@blueprint.get("/simple/<project>/")
async def project_detail(project: str) -> ResponseReturnValue:
    """List a project's files."""
    name = parse_name(project)
    if name != project:
        return _moved(f"/simple/{name}/")
    page = await resources().pages.project(name)
    if page is None:
        upstream = resources().settings.upstream_url
        return problem(404, "No such project", f"neither this index nor its upstream {upstream} has a project {name}")
    return await _respond(page)


@blueprint.get("/legacy/+simple/<project>/")
async def uploaded_project(project: str) -> ResponseReturnValue:
    """Give the same page below the upload URL, where hatch looks before it uploads, to skip what is there."""
    return await project_detail(parse_name(project))


@blueprint.get("/simple/<project>")
async def project_detail_without_slash(project: str) -> ResponseReturnValue:
    """PEP 503: URLs end with a slash."""
    return _moved(f"/simple/{parse_name(project)}/")


async def _respond(page: Page) -> Response:
    asked = Asked(
        accept=request.headers.get("Accept", ""),
        format_=request.args.get("format", ""),
        accept_encoding=request.headers.get("Accept-Encoding", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
        head=request.method == "HEAD",
    )
    if missing := encoded_content(page, asked):
        content, coding = missing
        await asyncio.to_thread(content.get, coding)
    answer = answer_page(page, asked)
    response = Response(answer.body, answer.status, answer.headers)
    if length := answer.headers.get("Content-Length"):
        # Quart counts what is sent; for HEAD that is nothing (RFC 9110, 9.3.2).
        response.headers["Content-Length"] = length
    return response


def _moved(path: str) -> ResponseReturnValue:
    """Permanent, as on the public index: the normalised form of a name never changes. The query is kept."""
    query = request.query_string.decode("latin-1")
    return redirect(path + (f"?{query}" if query else ""), 301)
