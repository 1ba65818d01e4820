"""An upload that has arrived, and what the index knows about its project and its filename."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from koschey.db import files, projects
from koschey.db.claims import select_used_names
from koschey.db.pool import Database
from koschey.db.rules import select_rules
from koschey.db.upload_switches import select_lookalike
from koschey.errors import NotAllowed, Refused
from koschey.hosting.upload_rules.index_rules import Situation
from koschey.model import Origin, ProjectStatus, Sha256, StandingFile, State
from koschey.policy.rules import RuleKind
from koschey.standards.upload_form import UploadForm

CLOSED = (ProjectStatus.ARCHIVED, ProjectStatus.QUARANTINED)
"""PEP 792: projects with one of these statuses accept no new files."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has arrived, and the form of its uploader."""

    form: UploadForm
    descriptor: int
    """File descriptor of the bytes, which are read by position."""
    size: int
    digests: Mapping[str, str]
    """Digests of the bytes, by the names of the form's fields."""

    @property
    def sha256(self) -> Sha256:
        """SHA-256 of the bytes."""
        return Sha256(self.digests["sha256_digest"])


async def select_situation(db: Database, form: UploadForm) -> Situation:
    """Return what is here already. Raises `Refused` or `NotAllowed` if the project accepts no such release at all."""
    if rule := (await select_rules(db, form.project, Origin.HOSTED)).find(RuleKind.BLOCKED, str(form.version)):
        raise NotAllowed(f"{form.project} {form.version} is blocked by {rule.actor}: {rule.reason}")
    project, now = await projects.select_project(db, form.project), await projects.select_now(db)
    if project is None:
        return Situation(form, None, (), await select_lookalike(db, form.project), now)
    if project.origin is Origin.MIRRORED:
        # Not 409: poetry and PDM read that as a file that is here already, and continue.
        raise Refused(
            f"the name {form.project} is mirrored from the upstream; a private project cannot use it. If the name is "
            f"yours, an admin can claim it for private packages: koschey claim {form.project} --reason WHY"
        )
    if project.status in CLOSED:
        raise Refused(f"{form.project} is {project.status}: {project.status_reason or 'no reason given'}", status=403)
    return Situation(form, project, await files.select_project_files(db, form.project), None, now)


async def check_used_name(db: Database, upload: Upload) -> None:
    """Raise `Refused` if clients downloaded other bytes under this filename before the project's name was claimed.

    The message is not that of an existing file: clients that skip existing files would count the upload as done.
    """
    filename = upload.form.filename
    used = (await select_used_names(db, upload.form.project, [filename])).get(filename, set()) - {upload.sha256}
    if used:
        raise Refused(
            f"Clients downloaded other bytes (sha256 {used.pop() or 'not known'}) under the filename {filename!r} from "
            "here, when the name was mirrored from the upstream. Use a different version."
        )


def is_known(known: Sequence[StandingFile], upload: Upload) -> bool:
    """Return whether one of the files is this one. A filename has one sequence of bytes, and they have one filename.

    Raises `Refused` if the filename was removed or has other bytes, or if the bytes have another filename.
    """
    for item in known:
        file = item.file
        if file.filename == upload.form.filename and item.standing.state is State.REMOVED:
            raise Refused(
                "This filename was previously used by a file that has since been deleted. Use a different version."
            )
        if (file.filename == upload.form.filename) is not (file.sha256 == upload.sha256):
            # Clients that skip existing files look for exactly these first words.
            raise Refused(f"File already exists ('{file.filename}', with sha256 hash '{file.sha256}').")
        if file.filename == upload.form.filename:
            return True
    return False
