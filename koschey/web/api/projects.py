"""One project as those see it who may: every file, with what the verdict says of it."""

from datetime import datetime

from koschey.auth.permissions import Action
from koschey.db import files, projects
from koschey.db.policies import load_policy
from koschey.db.pool import ACQUIRE_TIMEOUT
from koschey.errors import NotKnown
from koschey.model import StandingFile, State
from koschey.policy.verdict import Policy, verdict
from koschey.standards.project_page import version_key
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Nothing, Project, ProjectFile
from koschey.web.context import resources


@operation("GET", "/projects/<project>", Nothing, Project, needs=Action.READ)
async def read_project(call: Call[Nothing]) -> Project:
    """Return a project with its status, its versions and all its files, served or not."""
    async with (
        resources().pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await projects.select_project(connection, call.project)
        if found is None:
            raise NotKnown(
                f"there is no project {call.project} here; one that is mirrored is known once it was asked for"
            )
        known = await files.select_project_files(connection, call.project)
        policy = await load_policy(connection, found)
        now = await projects.select_now(connection)
    return Project(
        name=found.name,
        display_name=found.display_name,
        origin=found.origin,
        status=found.status,
        status_reason=found.status_reason,
        serial=found.serial,
        versions=sorted({item.file.version for item in known}, key=version_key),
        files=[_show(item, policy, now) for item in known],
    )


def _show(item: StandingFile, policy: Policy, now: datetime) -> ProjectFile:
    file, standing = item.file, item.standing
    judged = verdict(file, standing, policy, now)
    # What the verdict would release is not released before its standing says so.
    pending = judged.state is State.RELEASED and not judged.served
    return ProjectFile(
        filename=file.filename,
        version=file.version,
        state=standing.state if pending else judged.state,
        served=judged.served,
        reason=judged.reason,
        release_at=standing.release_at,
        available_at=standing.available_at,
        sha256=file.sha256,
        size=file.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
        yanked=file.yanked,
        path=file.path,
    )
