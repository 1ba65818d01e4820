"""Who downloaded which file of a project: for accounts that may decide about it."""

from msgspec import Struct

from koschey.auth.permissions import Action
from koschey.serving.download_log import FileDownload
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Limit, Position, Version
from koschey.web.context import resources


class DownloadsQuery(Input, frozen=True, kw_only=True):
    """Which part of the log: the downloads after a number, the oldest first."""

    version: Version | None = None
    after: Position = 0
    limit: Limit = 100


class Downloads(Struct, frozen=True, kw_only=True):
    """A part of the log of downloads."""

    downloads: list[FileDownload]


@operation("GET", "/projects/<project>/downloads", DownloadsQuery, Downloads, needs=Action.AUDIT)
async def read_downloads(call: Call[DownloadsQuery]) -> Downloads:
    """Return the downloads of a project, or of one release; after a recall the list is complete."""
    query = call.sent
    downloads = resources().downloads
    return Downloads(downloads=await downloads.read(call.project, query.version, after=query.after, limit=query.limit))
