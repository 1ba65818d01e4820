"""The one transaction that creates an uploaded file. Its objects are already in the bucket.

It waits only for PostgreSQL: everything has been computed and stored before it begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from koschey.accounts import Account
from koschey.auth.authorization import authorize_actor
from koschey.auth.permissions import Action
from koschey.causes import Cause, CauseKind, Grounds
from koschey.db import files, journal, projects
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.pending_uploads import PendingUpload, delete_completed
from koschey.db.pool import Connection
from koschey.db.upload_switches import lock_lookalikes, select_lookalike
from koschey.errors import StoreUnavailable
from koschey.events import Event
from koschey.hosting.attested_uploads import store_uploaded
from koschey.hosting.upload import Upload, check_used_name, is_known, select_situation
from koschey.hosting.upload_rules import index_rules
from koschey.hosting.upload_rules.rule import enforce
from koschey.model import Actor, File, Origin, Project, Serial, Standing, State
from koschey.standards.core_metadata import CoreMetadata


@dataclass(frozen=True, slots=True)
class Addition:
    """What the transaction writes."""

    account: Account
    upload: Upload
    core: CoreMetadata
    facts: File
    """As in the manifest; its id is not known yet."""
    attested: bytes | None
    """The provenance object (PEP 740)."""
    switched: Mapping[str, bool]
    """The upload rules that were switched on or off, by name."""

    @property
    def actor(self) -> Actor:
        """The account and the token that upload."""
        return Actor(self.account.name, "upload", self.account.token.id if self.account.token else None)

    async def write(self, connection: Connection, pending: PendingUpload) -> Serial | None:
        """Add the file; None if another upload has added the same file meanwhile. Needs a transaction.

        Raises `Refused` if another upload or a decision came first, `NotAllowed` if the account or its token may not
        upload any more, and `StoreUnavailable` if the objects are being deleted because the upload took too long.
        """
        await authorize_actor(connection, self.actor, Action.UPLOAD, self.upload.form.project)
        project = await self._begin(connection)
        if project is None:
            return None
        if not await delete_completed(connection, pending):
            raise StoreUnavailable(f"{self.facts.filename} took too long to be stored; upload it again")
        await self._insert(connection, project)
        await projects.update_summary(connection, project.name, self.core.summary)
        facts = self.facts
        detail: dict[str, object] = {"state": State.RELEASED, "sha256": facts.sha256, "size": facts.size}
        # The last statement: its lock makes all other writers wait.
        return await journal.insert_entries(
            connection,
            self.actor,
            Event.ADD_FILE,
            project.name,
            [Entry(facts.version, facts.filename, detail)],
        )

    async def _begin(self, connection: Connection) -> Project | None:
        """Lock the project and check it again, because nobody else can change it now; None if the file is here."""
        form = self.upload.form
        await lock_lookalikes(connection, form.project)
        is_new = await projects.insert_project(connection, form.project, self.core.name, Origin.HOSTED)
        project = await projects.lock_project(connection, form.project)
        situation = await select_situation(connection, form)
        if is_known(situation.files, self.upload):
            return None
        await check_used_name(connection, self.upload)
        if is_new:
            lookalike = await select_lookalike(connection, form.project)
            situation = replace(situation, project=None, lookalike=lookalike)
        enforce(index_rules.RULES, situation, self.switched)
        return project

    @property
    def _grounds(self) -> Grounds:
        return Grounds(Cause(CauseKind.UPLOAD, self.account.name), f"uploaded by {self.account.name}")

    async def _insert(self, connection: Connection, project: Project) -> None:
        facts = self.facts
        assert facts.sha256 is not None
        assert facts.size is not None
        assert facts.path is not None
        new = NewFile(
            version=facts.version,
            filename=facts.filename,
            sha256=facts.sha256,
            size=facts.size,
            upload_time=facts.upload_time,
            requires_python=facts.requires_python,
            yanked=None,
            core_metadata=facts.core_metadata,
            upstream_url=None,
            path=facts.path,
            standing=Standing(State.RELEASED, *self._grounds, None, None),
        )
        file = (await files.insert_files(connection, project.id, [new]))[0]
        await files.update_stored(connection, file, facts.sha256, facts.size, facts.path)
        if facts.core_metadata is not None:
            await files.update_metadata_stored(connection, file)
        await files.update_digests(
            connection, file, blake2b_256=facts.blake2b_256, md5=facts.md5, pkg_info=facts.pkg_info
        )
        if self.attested is not None:
            await store_uploaded(connection, file, self.attested)
