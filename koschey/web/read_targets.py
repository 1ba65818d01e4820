"""Finds the project that a request reads, for tokens that may read only some projects."""

import re

from packaging.utils import NormalizedName

from koschey.errors import UsageError
from koschey.serving.files import JudgedFiles
from koschey.standards.names import parse_name, possible_projects

OF_PROJECT = re.compile(
    r"/(?:(?:simple|legacy/\+simple|pypi|integrity|rss/project)/([^/]+)(?:/.*)?|held/([^/]+)/(?:[^/]+/)?)"
)
"""Paths that begin with the name of a project. Below `/held/`, those of refused files have more segments."""
OF_FILE = re.compile(r"/(packages|held)/.*/([^/]+)")
BESIDE = (".metadata", ".provenance_url.json", "/provenance")


async def projects_read(path: str, files: JudgedFiles) -> frozenset[NormalizedName]:
    """Return the projects of which the path discloses something. Empty: it may disclose something of all of them."""
    if match := OF_PROJECT.fullmatch(path):
        return _named(match[1] or match[2])
    path = next((path.removesuffix(suffix) for suffix in BESIDE if path.endswith(suffix)), path)
    match = OF_FILE.fullmatch(path)
    if match is None:
        return frozenset()
    known = await files.project_at(path) if match[1] == "packages" else None
    # Where a dash of a filename separates the version is not certain, so each reading of the name counts.
    return frozenset({known}) if known is not None else frozenset(possible_projects(match[2]))


def _named(segment: str) -> frozenset[NormalizedName]:
    try:
        return frozenset({parse_name(segment)})
    except UsageError:
        return frozenset()
