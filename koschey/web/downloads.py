"""Records which client downloads a file."""

from quart import request

from koschey.model import File
from koschey.web.context import resources

MAX_USER_AGENT = 200


async def record_download(file: File) -> None:
    """Record that the client of the current request gets the file, before the first byte of it is sent.

    Credentials that prove no account are ignored: if every client may read, they need not be correct. Raises as
    `DownloadLog.record_download` and `Logins.find` do.
    """
    header, logins = request.headers.get("Authorization"), resources().logins
    find = logins.find_named if resources().settings.anonymous_reading else logins.find
    login = await find(header, request.remote_addr)
    user_agent = _clean(request.headers.get("User-Agent"))
    await resources().downloads.record_download(file.id, login, request.remote_addr, user_agent)


def _clean(user_agent: str | None) -> str | None:
    """Return the header cut, and without characters that could control the terminal of a reader of the report."""
    if not user_agent:
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in user_agent[:MAX_USER_AGENT])
