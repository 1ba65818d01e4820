"""Builds the addresses of everything that an index serves, as paths below its public address. No other module does.

An index may have a path in its public address, `https://example.org/pypi`. So a path such as `/simple/six/` becomes an
address in one of three forms: absolute, as a path on the same host, or relative to the page that contains it.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

HOME = "/"
PROJECT_LIST = "/simple/"
UPLOADS = "/legacy/"
ADMIN = "/admin/"
API = "/api/v1"
REQUESTS = f"{API}/requests"
PREFLIGHT = f"{API}/preflight"
READY = "/_/ready"
STATISTICS = "/stats/"

FIRST_SEGMENTS = frozenset(
    {"simple", "packages", "held", "integrity", "pypi", "RPC2", "rss", "stats", "legacy", "api", "admin", "_"}
)
"""First segments of the paths of the index."""
MAY_BE_PREFIX = frozenset({"pypi"})
"""First segments that the path of a public address may have nevertheless. Below them no address of a package begins
with the package's name alone, so that the two meanings of a path can be distinguished."""
SAFE_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""Path of segments that need no percent-encoding, and that no proxy resolves as `.` or `..`."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Turns paths of the index into addresses."""

    root: str
    """The public address, without a slash at its end."""

    @property
    def prefix(self) -> str:
        """The path of the public address, without a slash at its end; empty for most indexes."""
        return urlsplit(self.root).path

    def absolute(self, path: str) -> str:
        """Return the whole URL, for texts that are read outside of the index."""
        return f"{self.root}{path}"

    def here(self, path: str) -> str:
        """Return an absolute path, for links and redirects: a client stays on the host that it used for the index."""
        return f"{self.prefix}{path}"


NOWHERE = Addresses("")
"""For texts that do not belong to an index."""


def relative(path: str, depth: int) -> str:
    """Return a path relative to a page `depth` folders below the root."""
    return "../" * depth + path.removeprefix("/")


def check_public_address(url: str) -> None:
    """Raise `ValueError` if a URL cannot be the public address of an index."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("KOSCHEY_BASE_URL: leave user name, password, query and fragment out of the address")
    prefix = parts.path.rstrip("/")
    if not prefix:
        return
    first, last = prefix.split("/")[1], prefix.rpartition("/")[2]
    if last == "simple":
        raise ValueError("KOSCHEY_BASE_URL: leave /simple out at the end of the address; the index adds it")
    if first in FIRST_SEGMENTS - MAY_BE_PREFIX:
        raise ValueError(f"KOSCHEY_BASE_URL: paths of the index itself begin with /{first}; choose another path for it")
    if not SAFE_PREFIX.fullmatch(prefix):
        raise ValueError("KOSCHEY_BASE_URL: the path may have letters, digits and -._~ between its slashes, no others")


def project_page(project: str) -> str:
    """Return the path of a project's page of the Simple API."""
    return f"/simple/{project}/"


def project_json(project: str) -> str:
    """Return the path at which the JSON API describes a project."""
    return f"/pypi/{project}/json"


def release_json(project: str, version: str) -> str:
    """Return the path at which the JSON API describes a release."""
    return f"/pypi/{project}/{quote(version, safe='')}/json"


def project_feed(project: str) -> str:
    """Return the path of the feed of a project's releases."""
    return f"/rss/project/{project}/releases.xml"


def provenance(project: str, version: str, filename: str) -> str:
    """Return the path of the provenance object of a file (PEP 740)."""
    return quote(f"/integrity/{project}/{version}/{filename}/provenance", safe="/")


def held_project(project: str) -> str:
    """Return the path of the page that lists the held releases of a project."""
    return f"/held/{project}/"


def held_release(project: str, version: str) -> str:
    """Return the path of the page that explains the state of a release."""
    return f"/held/{quote(project, safe='')}/{quote(version, safe='')}/"


def panel_project(project: str) -> str:
    """Return the path at which the panel shows a project."""
    return f"{ADMIN}projects/{quote(project, safe='')}"


def panel_journal() -> str:
    """Return the path at which the panel shows the journal."""
    return f"{ADMIN}journal"
