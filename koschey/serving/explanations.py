"""Explains to refused clients why files are not served: for a project, a file, or the URL of a refusal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from packaging.utils import NormalizedName, canonicalize_name

from koschey.db.explained import select_files_named
from koschey.db.pool import Pool
from koschey.mirror.refresh import Refresher
from koschey.model import StandingFile
from koschey.policy.availability import FileAccount
from koschey.quarantine.explanations import ProjectSnapshot, explain_file, load_snapshot
from koschey.serving.pages import Pages
from koschey.standards.names import is_safe_filename

NO_WORD = re.compile(r"[^a-z0-9.]+")
WORD = re.compile(r"[a-z0-9.-]{1,500}")


@dataclass(frozen=True, slots=True)
class ExplainedFile:
    """A file, its explanation, and the version to install instead."""

    item: StandingFile
    account: FileAccount
    free: str | None
    """The newest older version that is served."""


@dataclass(frozen=True, slots=True)
class Explanations:
    """Explains what this index does not serve. One per process."""

    pool: Pool
    refresher: Refresher
    pages: Pages
    window: timedelta
    """How long a new file is held if no rule says otherwise."""

    async def project(self, name: NormalizedName) -> ProjectSnapshot | None:
        """Return the facts about a project, or the rules that close its name. Returns None if the name has no page.

        Raises as `Refresher.find` does.
        """
        if await self.refresher.find(name) is None and await self.pages.project(name) is None:
            return None
        return await load_snapshot(self.pool, name, self.window)

    async def file(self, item: StandingFile) -> FileAccount:
        """Return the explanation of one file."""
        return await explain_file(self.pool, item, self.window)

    async def refused_file(self, word: str, filename: str) -> ExplainedFile | None:
        """Return the file that the URL of a refusal names, or None. `word` is the `release_word` of its release."""
        if not WORD.fullmatch(word) or not is_safe_filename(filename):
            return None
        names = [canonicalize_name(prefix) for prefix in _prefixes(word)]
        for item in await select_files_named(self.pool, names, filename):
            name, version = item.file.project, item.file.version
            if release_word(name, version) == word:
                snapshot = await load_snapshot(self.pool, name, self.window)
                return ExplainedFile(item, snapshot.account(item), snapshot.explain(version).free)
        return None


def release_word(project: str, version: str) -> str:
    """Return a release as one word of a URL."""
    return NO_WORD.sub("-", f"{project}-{version}".lower())


def _prefixes(word: str) -> Iterator[str]:
    parts = word.split("-")
    return ("-".join(parts[:count]) for count in range(1, len(parts)))
