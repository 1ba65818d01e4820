"""Arguments that many activities share: a release, and a page of its files."""

from dataclasses import dataclass

LISTED = 200
"""Maximum number of ids in one answer: a history has no room for the ids of ten thousand files."""


@dataclass(frozen=True)
class Release:
    """One release of a project."""

    project: str
    version: str


@dataclass(frozen=True)
class FilePage:
    """The files of a release whose ids come after `after`, at most `LISTED` of them."""

    project: str
    version: str
    after: int = 0
