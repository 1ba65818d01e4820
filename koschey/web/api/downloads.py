"""Who took which file of a project: for those who decide about it."""

from datetime import datetime

from msgspec import Struct

from koschey.auth.permissions import Action
from koschey.db.downloads import select_downloads
from koschey.db.projects import select_project
from koschey.errors import NotKnown
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Limit, Position, Version
from koschey.web.context import resources


class DownloadsQuery(Input, frozen=True, kw_only=True):
    """Which part of the log: what came after a number, the oldest first."""

    version: Version | None = None
    after: Position = 0
    limit: Limit = 100


class FileDownload(Struct, frozen=True, kw_only=True):
    """Somebody took a file. Without a login nobody knows the account; the address is the client's, as proxies say."""

    # Not the row of `koschey.db`: these names are a promise to programs, and stay when a column is renamed or added.

    id: int
    at: datetime
    version: str
    filename: str
    sha256: str | None
    account: str | None
    token: str | None
    address: str | None
    user_agent: str | None


class Downloads(Struct, frozen=True, kw_only=True):
    """A part of the log of downloads."""

    downloads: list[FileDownload]


@operation("GET", "/projects/<project>/downloads", DownloadsQuery, Downloads, needs=Action.DECIDE)
async def read_downloads(call: Call[DownloadsQuery]) -> Downloads:
    """Return who took files of a project, or of one release; after a recall nobody is missing."""
    query = call.sent
    pool, project = resources().pool, call.project
    if await select_project(pool, project) is None:
        raise NotKnown(f"there is no project {project} here")
    found = await select_downloads(pool, project, query.version, after=query.after, limit=query.limit)
    return Downloads(downloads=[FileDownload(**download._asdict()) for download in found])
