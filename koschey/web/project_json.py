"""The JSON API: `/pypi/<project>/json` and `/pypi/<project>/<version>/json`."""

import json

from quart import Blueprint, Response, request

from koschey import addresses
from koschey.auth.permissions import Action
from koschey.standards.names import parse_name
from koschey.web.access import needs
from koschey.web.context import resources
from koschey.web.documents import answer_document
from koschey.web.redirects import moved

blueprint = Blueprint("project_json", __name__)


@blueprint.get("/pypi/<project>/json")
@blueprint.get("/pypi/<project>/json/")
@needs(Action.READ)
async def project_json(project: str) -> Response:
    """Describe a project and its latest release."""
    return await _respond(project, None)


@blueprint.get("/pypi/<project>/<version>/json")
@blueprint.get("/pypi/<project>/<version>/json/")
@needs(Action.READ)
async def release_json(project: str, version: str) -> Response:
    """Describe one release of a project."""
    return await _respond(project, version)


async def _respond(project: str, version: str | None) -> Response:
    name = parse_name(project)
    if name != project:
        path = addresses.project_json(name) if version is None else addresses.release_json(name, version)
        return moved(path + ("/" if request.path.endswith("/") else ""))
    document = await resources().documents.get(name, version)
    if document is None:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return Response(json.dumps({"message": "Not Found"}), 404, headers)
    return await answer_document(document, "application/json", X_PyPI_Last_Serial=str(document.serial))
