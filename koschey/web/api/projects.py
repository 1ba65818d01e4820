"""One project for accounts that may read it: every file, with its verdict."""

from koschey.auth.permissions import Action
from koschey.quarantine import project_files
from koschey.quarantine.project_files import ProjectDetail
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Nothing
from koschey.web.context import resources


@operation("GET", "/projects/<project>", Nothing, ProjectDetail, needs=Action.INSPECT)
async def read_project(call: Call[Nothing]) -> ProjectDetail:
    """Return a project with its status, its versions and all its files, served or not."""
    return await project_files.read_project(resources().pool, call.project)
