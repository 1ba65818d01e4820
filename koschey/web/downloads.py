"""From a request to the row that says who took a file."""

from quart import request

from koschey.model import File
from koschey.web.context import resources

MAX_USER_AGENT = 200


async def record_download(file: File) -> None:
    """Write down that the file goes to whoever sent the current request, before the first byte of it leaves.

    Credentials that prove nobody say nothing: where everybody may read, they need not be right. Raises as
    `DownloadLog.hand_out` and `Logins.find` do.
    """
    header, logins = request.headers.get("Authorization"), resources().logins
    find = logins.find_named if resources().settings.anonymous_reading else logins.find
    login = await find(header, request.remote_addr)
    user_agent = _clean(request.headers.get("User-Agent"))
    await resources().downloads.hand_out(file.id, login, request.remote_addr, user_agent)


def _clean(user_agent: str | None) -> str | None:
    """Cut, and without what could steer the terminal of whoever reads the report."""
    if not user_agent:
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in user_agent[:MAX_USER_AGENT])
