"""Rules about what is here already: names that are allowed for new projects, and releases that still accept files."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packaging.utils import NormalizedName, canonicalize_name

from koschey.hosting.upload_rules.rule import UploadRule
from koschey.model import File, Project, StandingFile
from koschey.standards.upload_form import Filetype, UploadForm

STDLIB = frozenset(canonicalize_name(name) for name in sys.stdlib_module_names)
PROHIBITED = frozenset({"requirements-txt", "constraints-txt", "unknown"})
"""Names that people type by mistake, or that build tools wrote if they had none. Others: `koschey block`."""
OPEN_FOR = timedelta(days=14)
"""How long the public index accepts further files of a release."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the index knows when a file arrives."""

    form: UploadForm
    project: Project | None
    files: Sequence[StandingFile]
    """All files of the project."""
    lookalike: NormalizedName | None
    """An existing project whose name could be mistaken for this one."""
    now: datetime

    @property
    def release(self) -> list[File]:
        """The files of the same release, served or not."""
        return [known.file for known in self.files if known.file.version == str(self.form.version)]


def _prohibited_name(situation: Situation) -> Iterator[str]:
    name = situation.form.project
    if situation.project is None and name in PROHIBITED:
        yield f"The name {name!r} isn't allowed: users type it by mistake too often."


def _stdlib_name(situation: Situation) -> Iterator[str]:
    name = situation.form.project
    if situation.project is None and name in STDLIB:
        yield f"The name {name!r} isn't allowed: it is a module of the Python standard library."


def _similar_name(situation: Situation) -> Iterator[str]:
    if situation.project is None and situation.lookalike is not None:
        yield f"The name {situation.form.project!r} is too similar to an existing project, {situation.lookalike!r}."


def _release_age(situation: Situation) -> Iterator[str]:
    began = min((file.first_seen_at for file in situation.release), default=situation.now)
    if situation.now - began > OPEN_FOR:
        yield (
            f"The release {situation.form.project} {situation.form.version} was created more than {OPEN_FOR.days} "
            "days ago and is closed; upload a new version."
        )


def _one_sdist(situation: Situation) -> Iterator[str]:
    known = [file.filename for file in situation.release if not file.filename.endswith(".whl")]
    if situation.form.filetype is Filetype.SDIST and known:
        yield f"Only one sdist may be uploaded per release, and {known[0]!r} is already here."


RULES: tuple[UploadRule[Situation], ...] = (
    UploadRule("prohibited-name", "A new project does not have a name that users type by mistake.", _prohibited_name),
    UploadRule(
        "stdlib-name",
        "A new project does not have the name of a module of the standard library.",
        _stdlib_name,
        default=True,
        why="Python would never import it, or would import it in place of the module",
    ),
    UploadRule(
        "similar-name",
        "A new project does not have a name that looks like that of another.",
        _similar_name,
        default=True,
        why="users install the wrong one; Koschey compares private and mirrored names alike",
    ),
    UploadRule(
        "release-age",
        f"A release accepts no more files {OPEN_FOR.days} days after its first.",
        _release_age,
        default=False,
        why="maintainers build wheels for a new Python or platform from old releases",
    ),
    UploadRule(
        "one-sdist",
        "A release has one sdist.",
        _one_sdist,
        default=True,
        why="installers would choose one of two, and not all the same one",
    ),
)
"""In the order in which they are tried; add one here."""
