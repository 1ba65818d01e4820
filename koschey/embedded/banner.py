"""Prints the progress of `koschey up`, and the addresses and credentials of the running instance."""

import ipaddress
import json
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.status import Status

from koschey import addresses
from koschey.addresses import Addresses
from koschey.embedded.ports import LOOPBACK
from koschey.embedded.probe import reachable_host
from koschey.embedded.secret_file import Secrets
from koschey.settings import Settings
from koschey.settings.hosts import in_url
from koschey.terminal.tables import Terminal

ADMIN = "admin"
LOST_OUTPUT = (OSError, SystemExit)
"""What rich raises once nobody reads the output: the error of a terminal, and `SystemExit` if a pipe was closed."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the user needs to know. `--json` uses the same names."""

    index_url: str
    pip: str
    uv: str
    upload_url: str
    upload_token: str
    admin_url: str
    admin_user: str
    admin_password: str
    temporal_ui: str
    data: str
    pids: Mapping[str, int]


def announce(
    settings: Settings, secrets: Secrets, temporal_ui: int, folder: Path, pids: Mapping[str, int]
) -> Announcement:
    """Return the announcement of this instance."""
    own_addresses = Addresses(public_url(settings))
    index_url = own_addresses.absolute(addresses.PROJECT_LIST)
    return Announcement(
        index_url=index_url,
        pip=f"pip install --index-url {index_url}{_trust(index_url)} NAME",
        uv=f"uv pip install --index-url {index_url} NAME",
        upload_url=own_addresses.absolute(addresses.UPLOADS),
        upload_token=secrets.upload_token,
        admin_url=own_addresses.absolute(addresses.ADMIN),
        admin_user=ADMIN,
        admin_password=secrets.admin_password,
        temporal_ui=f"http://{LOOPBACK}:{temporal_ui}",
        data=str(folder),
        pids=pids,
    )


def public_url(settings: Settings) -> str:
    """Return the URL of the index for this machine, or the URL that the user set."""
    return settings.public_url if settings.base_url else _url(reachable_host(settings.host), settings.port)


class ProgressReport:
    """Reports the progress to the user: text for people, or exactly one line of JSON on stdout.

    The index neither stops nor skips a step because its terminal or the reader of its output has gone.
    """

    def __init__(self, out: Console, *, as_json: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._lines = Terminal(file=sys.stderr) if as_json else out
        self._status: Status | None = None

    def step(self, text: str) -> None:
        """Report the current step: in one changing line on a terminal, otherwise in a line of its own."""
        if self._as_json:
            return
        if not self._lines.is_terminal:
            self.say(text)
            return
        with suppress(*LOST_OUTPUT):
            if self._status is None:
                self._status = self._lines.status(text)
                self._status.start()
            self._status.update(text)

    def say(self, text: str) -> None:
        """Print a line."""
        with suppress(*LOST_OUTPUT):
            for line in text.split("\n"):
                self._lines.print(line, soft_wrap=True)

    def end_steps(self) -> None:
        """Remove the changing line."""
        if self._status is not None:
            with suppress(*LOST_OUTPUT):
                self._status.stop()
            self._status = None

    def ready(self, shown: Announcement, settings: Settings, seconds: float) -> None:
        """Print the announcement, now that all parts are ready."""
        self.end_steps()
        if self._as_json:
            self._out.out(json.dumps(asdict(shown)), highlight=False)
            return
        lines = [("Index", shown.index_url)]
        if reachable_host(settings.host) != settings.host and not settings.base_url:
            others = _url(socket.gethostname(), settings.port)
            lines += [("", f"from other machines: {others}/simple/"), ("", f"and for pip:{_trust(others)}")]
        lines += [
            ("pip", shown.pip),
            ("uv", shown.uv),
            ("twine", f"twine upload --repository-url {shown.upload_url} -u __token__ -p {shown.upload_token} dist/*"),
            ("uv", f"uv publish --publish-url {shown.upload_url} --token {shown.upload_token}"),
            ("Admin", f"{shown.admin_url}  user {shown.admin_user}, password {shown.admin_password}"),
            ("Temporal", shown.temporal_ui),
            ("Data", shown.data),
        ]
        self.say(f"\nKoschey is ready after {seconds:.1f} s. Ctrl-C stops everything.\n")
        for name, value in lines:
            self.say(f"  {name:<9} {value}")
        self.say("")


def _url(host: str, port: int) -> str:
    return f"http://{in_url(host)}:{port}"


def _trust(url: str) -> str:
    """Return the option without which pip refuses plain HTTP; empty if the URL is HTTPS or names this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost":
        return ""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return ""
    return f" --trusted-host {host}"
