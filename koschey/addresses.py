"""The address of everything that an index serves, as a path below its public address; nothing else builds one.

An index may be reached under a path, `https://example.org/pypi`. So a path such as `/simple/six/` becomes an address in
one of three ways: absolute, as a path on the same host, or relative to the page that names it.
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
"""What paths of the index begin with."""
MAY_BE_PREFIX = frozenset({"pypi"})
"""Those of them that the path of a public address may begin with all the same: nothing of a package lies below it
under its own name alone, so that the two readings of a path can be told apart."""
SAFE_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""Segments that need no percent-encoding, and that no proxy resolves as `.` or `..`."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """How paths of the index become addresses."""

    root: str
    """The public address, without a slash at its end."""

    @property
    def prefix(self) -> str:
        """The path of the public address, without a slash at its end: empty for most."""
        return urlsplit(self.root).path

    def absolute(self, path: str) -> str:
        """Return the whole URL, for those who read it elsewhere."""
        return f"{self.root}{path}"

    def here(self, path: str) -> str:
        """Return an absolute path, for links and redirects: whatever host the client reached us by, it stays there."""
        return f"{self.prefix}{path}"


NOWHERE = Addresses("")
"""Of what is shown without an index around it."""


def relative(path: str, depth: int) -> str:
    """Return a path as it stands on a page that lies `depth` folders below the root."""
    return "../" * depth + path.removeprefix("/")


def check_public_address(url: str) -> None:
    """Raise `ValueError` where a URL cannot be the public address of an index."""
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
    """Where a project's page of the Simple API is."""
    return f"/simple/{project}/"


def project_json(project: str) -> str:
    """Where the JSON API describes a project."""
    return f"/pypi/{project}/json"


def release_json(project: str, version: str) -> str:
    """Where the JSON API describes a release."""
    return f"/pypi/{project}/{quote(version, safe='')}/json"


def project_feed(project: str) -> str:
    """Where the feed of a project's releases is."""
    return f"/rss/project/{project}/releases.xml"


def provenance(project: str, version: str, filename: str) -> str:
    """Where the provenance object of a file is (PEP 740)."""
    return quote(f"/integrity/{project}/{version}/{filename}/provenance", safe="/")


def held_project(project: str) -> str:
    """Where it stands what is held of a project."""
    return f"/held/{project}/"


def held_release(project: str, version: str) -> str:
    """Where a release is explained."""
    return f"/held/{quote(project, safe='')}/{quote(version, safe='')}/"


def panel_project(project: str) -> str:
    """Where the panel shows a project."""
    return f"{ADMIN}projects/{quote(project, safe='')}"


def panel_journal() -> str:
    """Where the panel shows the journal."""
    return f"{ADMIN}journal"
