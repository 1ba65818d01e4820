"""One project for programs: every file, served or not, with the current verdict on it."""

from datetime import datetime

from msgspec import Struct
from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.policies import load_policy
from koschey.db.pool import ACQUIRE_TIMEOUT, Pool
from koschey.errors import NotKnown
from koschey.model import Origin, ProjectStatus, Serial, Standing, StandingFile, State
from koschey.policy.verdict import Policy, Verdict, verdict
from koschey.standards.versions import version_key


class ProjectFile(Struct, frozen=True, kw_only=True):
    """A file, and what the verdict says of it now."""

    filename: str
    version: str
    state: State
    served: bool
    reason: str
    release_at: datetime | None
    available_at: datetime | None
    sha256: str | None
    size: int | None
    upload_time: datetime | None
    requires_python: str | None
    yanked: str | None
    path: str | None


class ProjectDetail(Struct, frozen=True, kw_only=True):
    """A project with all its files, served or not."""

    name: str
    display_name: str
    origin: Origin
    status: ProjectStatus
    status_reason: str | None
    serial: Serial
    versions: list[str]
    files: list[ProjectFile]


async def read_project(pool: Pool, name: NormalizedName) -> ProjectDetail:
    """Return a project with its status, its versions and all its files. Raises `NotKnown` if there is none."""
    async with (
        pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await projects.select_project(connection, name)
        if found is None:
            raise NotKnown(f"there is no project {name} here; a mirrored one appears once a client requests its page")
        known = await files.select_project_files(connection, name)
        policy = await load_policy(connection, found)
        now = await projects.select_now(connection)
    return ProjectDetail(
        name=found.name,
        display_name=found.display_name,
        origin=found.origin,
        status=found.status,
        status_reason=found.status_reason,
        serial=found.serial,
        versions=sorted({item.file.version for item in known}, key=version_key),
        files=[_show(item, policy, now) for item in known],
    )


def is_about_to_be_released(judged: Verdict) -> bool:
    """Return whether settling will release a held file; it is not served before its state is `released`."""
    return judged.state is State.RELEASED and not judged.served


def state_shown(judged: Verdict, standing: Standing) -> State:
    """Return the state of a file as all surfaces show it."""
    return standing.state if is_about_to_be_released(judged) else judged.state


def _show(item: StandingFile, policy: Policy, now: datetime) -> ProjectFile:
    file, standing = item.file, item.standing
    judged = verdict(file, standing, policy, now)
    return ProjectFile(
        filename=file.filename,
        version=file.version,
        state=state_shown(judged, standing),
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
