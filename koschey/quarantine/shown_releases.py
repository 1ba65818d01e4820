"""What a reviewer sees of a release next to a code: its files by digest, and the findings about them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.db import files, policies, projects
from koschey.db.pool import Database
from koschey.errors import NotKnown
from koschey.model import FileId, Sha256, StandingFile, State
from koschey.policy.advisories import Feed
from koschey.policy.findings import Evidence, Finding
from koschey.quarantine.evidence import gather_evidence

type Release = tuple[NormalizedName, str]


@dataclass(frozen=True, slots=True)
class ShownFile:
    """One file, and what checks and advisories report about it."""

    filename: str
    sha256: Sha256 | None
    """None while the digest is unknown; such a file cannot be approved."""
    state: State
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ShownRelease:
    """One release with all of its files that were not removed."""

    project: NormalizedName
    version: str
    files: tuple[ShownFile, ...]

    @property
    def digest(self) -> str:
        """A digest of the files, their bytes and the findings. It changes if a reviewer would see a difference.

        It does not include the states: a file that time releases in the meantime is still the same file.
        """
        facts = [[file.filename, file.sha256, sorted(map(_finding_text, file.findings))] for file in self.files]
        return hashlib.sha256(json.dumps(sorted(facts, key=lambda each: str(each[0]))).encode()).hexdigest()


async def show_releases(db: Database, releases: Sequence[Release], feed: Feed | None) -> list[ShownRelease]:
    """Return what there is to see of releases, in their order. Raises `NotKnown` if one has no files."""
    found: dict[Release, ShownRelease] = {}
    for name in dict.fromkeys(name for name, _ in releases):
        found |= await _show_project(db, name, [version for project, version in releases if project == name], feed)
    return [found[release] for release in releases]


async def _show_project(
    db: Database, name: NormalizedName, versions: Sequence[str], feed: Feed | None
) -> dict[Release, ShownRelease]:
    """Return what a reviewer sees of releases of one project, with a few statements for all of them."""
    project, files_of = await projects.select_project(db, name), dict[str, list[StandingFile]]()
    for item in await files.select_project_files(db, name):
        if item.standing.state is not State.REMOVED:
            files_of.setdefault(item.file.version, []).append(item)
    for version in versions:
        if project is None or version not in files_of:
            raise NotKnown(f"{name}=={version} is not known here; check the name, or request the project's page first")
    assert project is not None
    policy, now = await policies.load_policy(db, project), await projects.select_now(db)
    known = [item for version in versions for item in files_of[version]]
    _, evidence = await gather_evidence(db, known, policy, feed, now)
    return {(name, version): _show(name, version, files_of[version], evidence) for version in versions}


def _show(
    name: NormalizedName, version: str, known: Sequence[StandingFile], evidence: Mapping[FileId, Evidence]
) -> ShownRelease:
    shown = (
        ShownFile(item.file.filename, item.file.sha256, item.standing.state, evidence[item.file.id].findings)
        for item in known
    )
    return ShownRelease(name, version, tuple(shown))


def _finding_text(finding: Finding) -> str:
    return json.dumps(
        [finding.check, finding.code, finding.severity, finding.summary, finding.evidence], sort_keys=True
    )
