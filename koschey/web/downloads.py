"""Records which client downloads a file."""

from typing import NamedTuple

from quart import request

from koschey.errors import JustChanged
from koschey.model import File
from koschey.resources import Resources
from koschey.web.context import resources

MAX_USER_AGENT = 200


class Client(NamedTuple):
    """What a request says about its client; None for what it does not say."""

    authorization: str | None
    address: str | None
    user_agent: str | None


async def record_download(file: File) -> None:
    """Record that the client of the current request gets the file. Raises as `record_download_of` does."""
    headers = request.headers
    client = Client(headers.get("Authorization"), request.remote_addr, headers.get("User-Agent"))
    await record_download_of(file, client, resources())


async def record_download_of(file: File, client: Client, resources: Resources) -> None:
    """Record that a client gets the file, before the first byte of it is sent.

    Credentials that prove no account are ignored: if every client may read, they need not be correct. Raises as
    `DownloadLog.record_download` and `Logins.find` do.
    """
    login = None
    if client.authorization is not None:
        logins = resources.logins
        find = logins.find_named if resources.settings.anonymous_reading else logins.find
        login = await find(client.authorization, client.address)
    try:
        await resources.downloads.record_download(file.id, login, client.address, _clean(client.user_agent))
    except JustChanged:
        resources.pages.distrust(file.project)
        raise


def _clean(user_agent: str | None) -> str | None:
    """Return the header cut, and without characters that could control the terminal of a reader of the report."""
    if not user_agent:
        return None
    if user_agent.isprintable():
        return user_agent[:MAX_USER_AGENT]
    return "".join(letter if letter.isprintable() else "?" for letter in user_agent[:MAX_USER_AGENT])
