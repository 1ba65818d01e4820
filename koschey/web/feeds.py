"""RSS feeds and statistics."""

from quart import Blueprint, Response

from koschey import addresses
from koschey.auth.permissions import Action
from koschey.standards.names import parse_name
from koschey.web.access import needs
from koschey.web.context import resources
from koschey.web.documents import answer_document
from koschey.web.errors import problem
from koschey.web.redirects import moved

blueprint = Blueprint("feeds", __name__)

RSS = "text/xml; charset=utf-8"


@blueprint.get("/rss/packages.xml")
@needs(Action.READ)
async def newest_projects() -> Response:
    """Answer with the projects that this index began to serve last."""
    return await answer_document(await resources().surveys.newest_projects(), RSS)


@blueprint.get("/rss/updates.xml")
@needs(Action.READ)
async def newest_releases() -> Response:
    """Answer with the releases that this index began to serve last."""
    return await answer_document(await resources().surveys.newest_releases(), RSS)


@blueprint.get("/rss/project/<project>/releases.xml")
@needs(Action.READ)
async def project_releases(project: str) -> Response:
    """Answer with the releases of one project."""
    name = parse_name(project)
    if name != project:
        return moved(addresses.project_feed(name))
    document = await resources().surveys.project_releases(name)
    if document is None:
        return problem(404, "No such project", f"this index serves no file of a project {name}")
    return await answer_document(document, RSS)


@blueprint.get("/stats/")
@needs(Action.READ)
async def statistics() -> Response:
    """Answer with the sizes of the largest projects and of all together, in JSON whatever the `Accept` header says."""
    return await answer_document(await resources().surveys.sizes(), "application/json")


@blueprint.get("/stats")
@needs(Action.READ)
async def statistics_without_slash() -> Response:
    """Redirect from the address that a person would type."""
    return moved(addresses.STATISTICS)
