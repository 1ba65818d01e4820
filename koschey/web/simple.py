"""The Simple API: `/simple/` and `/simple/<project>/` (PEP 503, 691)."""

import asyncio

from quart import Blueprint, Response, request

from koschey import addresses
from koschey.auth.permissions import Action
from koschey.serving.encoded import EncodedPage
from koschey.standards.names import parse_name
from koschey.web.access import needs
from koschey.web.answer import PageRequest, answer_page, encoded_content
from koschey.web.conditional import as_response
from koschey.web.context import resources
from koschey.web.redirects import moved
from koschey.web.refusals import missing_project

blueprint = Blueprint("simple", __name__)

UPLOADED_DEPTH = 3
"""Folders between the root and a page at `/legacy/+simple/<project>/`."""


@blueprint.get("/simple/")
@needs(Action.READ)
async def project_list() -> Response:
    """List all projects."""
    return await _respond(await resources().pages.project_list())


@blueprint.get("/simple")
@needs(Action.READ)
async def project_list_without_slash() -> Response:
    """Redirect to the URL that ends with a slash (PEP 503)."""
    return moved(addresses.PROJECT_LIST)


@blueprint.get("/simple/<project>/")
@needs(Action.READ)
async def project_detail(project: str) -> Response:
    """List a project's files."""
    name = parse_name(project)
    if name != project:
        return moved(addresses.project_page(name))
    page = await resources().pages.project(name)
    if page is None:
        return missing_project(name)
    return await _respond(page)


@blueprint.get("/legacy/+simple/<project>/")
@needs(Action.READ)
async def uploaded_project(project: str) -> Response:
    """List the same files below the upload URL: hatch reads that page before an upload, to skip existing files."""
    name = parse_name(project)
    page = await resources().pages.project_below(name, UPLOADED_DEPTH)
    return missing_project(name) if page is None else await _respond(page)


@blueprint.get("/simple/<project>")
@needs(Action.READ)
async def project_detail_without_slash(project: str) -> Response:
    """Redirect to the URL that ends with a slash (PEP 503)."""
    return moved(addresses.project_page(parse_name(project)))


async def _respond(page: EncodedPage) -> Response:
    page_request = PageRequest(
        accept=request.headers.get("Accept", ""),
        format_=request.args.get("format", ""),
        accept_encoding=request.headers.get("Accept-Encoding", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
        head=request.method == "HEAD",
    )
    if missing := encoded_content(page, page_request):
        content, coding = missing
        await asyncio.to_thread(content.get, coding)
    return as_response(answer_page(page, page_request))
