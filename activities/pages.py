"""Arguments that many activities share: which release, and which page of its files."""

from dataclasses import dataclass

LISTED = 200
"""Ids in one answer, at most: a history is no place for those of ten thousand files."""


@dataclass(frozen=True)
class Release:
    """Which release."""

    project: str
    version: str


@dataclass(frozen=True)
class Page:
    """The files of a release whose ids come after `after`, at most `LISTED` of them."""

    project: str
    version: str
    after: int = 0
