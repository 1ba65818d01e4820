"""A project's page as Koschey serves it: the one source of truth for its JSON and its HTML form."""

from dataclasses import dataclass

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from koschey.model import File, ProjectStatus, Serial

API_VERSION = "1.4"
"""PEP 629. PEP 833 freezes HTML at this version for ever."""


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """What of a project is served now. Every file has a digest, a path and a version."""

    name: NormalizedName
    serial: Serial
    files: tuple[File, ...]
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None

    @property
    def versions(self) -> list[str]:
        """PEP 700: "all of the project version strings uploaded for this project", oldest first."""
        return sorted({file.version for file in self.files}, key=version_key)


def version_key(version: str) -> tuple[bool, Version, str]:
    """Sort by PEP 440; what is no PEP 440 version comes first."""
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version
