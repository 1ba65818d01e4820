"""Prints the download log, as a table or as JSON."""

from collections.abc import Sequence

from rich.table import Table

from koschey.db.downloads import Download
from koschey.standards.simple_json import format_time
from koschey.terminal.tables import Terminal

COLUMNS = ("at", "version", "filename", "sha256", "account", "token", "address", "user_agent")


def print_downloads(downloads: Sequence[Download], scope: str) -> None:
    """Print who downloaded which file, as a table."""
    out = Terminal()
    if not downloads:
        out.print(f"Nobody has downloaded a file of {scope}.")
        return
    table = Table("at (UTC)", "file", "account", "token", "address", "user agent")
    for download in downloads:
        who = (download.account, download.token, download.address, download.user_agent)
        table.add_row(f"{download.at:%Y-%m-%d %H:%M:%S}", download.filename, *(value or "" for value in who))
    out.print(table)
    out.print(f"{len(downloads)} download{'s' if len(downloads) != 1 else ''}")


def download_as_json(download: Download) -> dict[str, str | None]:
    """Return a download as a JSON object with the keys `COLUMNS`."""
    values = download._asdict() | {"at": format_time(download.at)}
    return {name: values[name] for name in COLUMNS}
