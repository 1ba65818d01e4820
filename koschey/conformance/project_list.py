"""Section 5: the project list."""

from collections import Counter
from typing import Any

from packaging.utils import canonicalize_name

from koschey.conformance.checks import check, require, require_none, skip
from koschey.conformance.subject import Subject

SERIAL = "X-PyPI-Last-Serial"


def _projects(subject: Subject) -> list[dict[str, Any]]:
    if subject.list_json is None:
        skip("the project list has no JSON form")
    projects = subject.list_json.get("projects")
    require(isinstance(projects, list), "`projects` is not a list")
    assert isinstance(projects, list)
    if not projects:
        skip("the project list is empty")
    return [project if isinstance(project, dict) else {} for project in projects]


@check("T-5.1", "Every listed project has an integer serial, and the header has the greatest of them.")
async def serials_are_listed(subject: Subject) -> str | None:
    """Mirrors skip a project without one."""
    projects = _projects(subject)
    header = subject.list_answer.headers.get(SERIAL)
    serials = {str(project.get("name")): project.get("_last-serial") for project in projects}
    if header is None and not any(serial is not None for serial in serials.values()):
        skip("this index has no serials, so mirrors cannot use them")
    require_none([name for name, serial in serials.items() if type(serial) is not int], "a project without a serial")
    greatest = max(serial for serial in serials.values() if isinstance(serial, int))
    require(header == str(greatest), f"{SERIAL} is {header}, but the greatest serial listed is {greatest}")
    return f"{len(projects)} projects, up to {greatest}"


@check("T-5.2", "No project is listed twice, not even in another spelling.")
async def projects_are_unique(subject: Subject) -> str | None:
    """PEP 503 compares normalised names."""
    counts = Counter(canonicalize_name(str(project.get("name"))) for project in _projects(subject))
    require_none([name for name, count in counts.items() if count > 1], "a project that is listed twice")
    return f"{len(counts)} projects"
