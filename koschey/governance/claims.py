"""Hands a name over: a mirrored name to private packages (claim), and a private name to its upstream (release).

A name has one origin at a time, so that no public file can shadow a private one. The files from its former origin are
set aside: they are blocked, no decision can change them, and they return when their origin returns. Once a filename was
downloaded it stands for these bytes permanently, under either origin. The decision record
docs/adr/0030-names-change-hands.md gives the reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.auth.authorization import authorize_actor
from koschey.auth.permissions import Action
from koschey.causes import BY_FILENAME, Cause, CauseKind, Grounds
from koschey.db import claims, files, journal, projects, rules, scopes, standings
from koschey.db.claims import DownloadSummary, SetAsideFile
from koschey.db.impacts import select_download_counts
from koschey.db.journal import Entry
from koschey.db.outbox import insert_messages
from koschey.db.pool import Connection
from koschey.db.proposals import close_proposals
from koschey.errors import NotKnown, UsageError
from koschey.events import Event
from koschey.model import Actor, Origin, Project, Serial, StandingFile, State
from koschey.outbox import ReleaseHeld
from koschey.policy.reasons import Reason, parse_reason
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.impact import FULL_CONSENT, NOTHING, Consent, Impact, measure

WAITED = (State.HELD, State.RELEASED)
"""States of files that neither Koschey nor a person had refused."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The result of a handover of a name."""

    project: NormalizedName
    origin: Origin
    """Its origin after the handover."""
    serial: Serial
    changed: bool
    """False if the name already had this origin."""
    impact: Impact = NOTHING
    set_aside: tuple[str, ...] = ()
    """Filenames that the handover set aside; they are no longer served."""
    brought_back: tuple[str, ...] = ()
    """Filenames that an earlier handover set aside, and that the name has again."""
    downloaded_files: Sequence[DownloadSummary] = ()
    """Files that were ever downloaded under the name, from either origin."""


async def claim(
    connection: Connection,
    actor: Actor,
    name: NormalizedName,
    reason: str,
    consent: Consent = FULL_CONSENT,
    expected: Serial | None = None,
) -> Handover:
    """Hand a name to private packages: Koschey no longer requests it from an upstream, and accepts uploads.

    Raises `NotAllowed` if the actor may not manage the project, `Stale` if it is not at the serial `expected`,
    `NotKnown` if there is no project of that name, and `Unconfirmed` if `consent` does not state how many files would
    no longer be served.
    """
    why = parse_reason(reason)
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.MANAGE, name)
        project = await projects.lock_project(connection, name, expected)
        if project is None:
            raise NotKnown(
                f"{name} is not mirrored here, so there is nothing to claim; upload to it, or reserve it for later: "
                f"koschey reserve {name} --reason WHY"
            )
        return await _Handing(connection, actor, project, Origin.HOSTED, why, consent).run()


async def release_name(
    connection: Connection,
    actor: Actor,
    name: NormalizedName,
    reason: str,
    consent: Consent = FULL_CONSENT,
    expected: Serial | None = None,
) -> Handover:
    """Hand a private name to its upstream. Koschey reads the upstream's page at the next request for the name.

    Raises as `claim` does, and `UsageError` if the name is reserved.
    """
    why = parse_reason(reason)
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.MANAGE, name)
        project = await projects.lock_project(connection, name, expected)
        if project is None:
            raise NotKnown(f"there is no project {name} here")
        if rule := (await rules.select_rules(connection, name)).find_project_wide(RuleKind.RESERVED):
            raise UsageError(
                f"{name} is reserved for private packages by '{rule.scope}' ({rule.reason}); end that first: "
                f"koschey unreserve '{rule.scope}' --reason WHY"
            )
        return await _Handing(connection, actor, project, Origin.MIRRORED, why, consent).run()


@dataclass(frozen=True, slots=True)
class _Handing:
    """The steps of a transaction in which a name changes hands."""

    connection: Connection
    actor: Actor
    project: Project
    origin: Origin
    """The new origin."""
    reason: Reason
    consent: Consent

    async def run(self) -> Handover:
        connection, project = self.connection, self.project
        downloaded = await claims.select_downloaded(connection, project.id)
        if project.origin is self.origin:
            return Handover(project.name, self.origin, project.serial, changed=False, downloaded_files=downloaded)
        present = await files.lock_release_files(connection, project.name, None)
        impact = await measure(connection, [Rule(RuleKind.BLOCKED, None, "", "", project.name)])
        self.consent.check(impact, always=True)
        counted = await select_download_counts(connection, [each.file for each in downloaded])
        counts = (len(present), len(downloaded), counted.downloads, counted.machines)
        await claims.insert_origin_change(connection, project.id, self.origin, self.actor, self.reason, counts)
        await claims.update_origin(connection, project.id, self.origin)
        await self._set_aside(present)
        back = await self._restore()
        entries = self._entries(counts, present, back)
        serial = await journal.insert_entries(connection, self.actor, self._event, project.name, entries)
        set_aside = tuple(item.file.filename for item in present)
        returned = tuple(each.filename for each in back)
        return Handover(project.name, self.origin, serial, True, impact, set_aside, returned, downloaded)

    @property
    def _event(self) -> Event:
        return Event.CLAIM_NAME if self.origin is Origin.HOSTED else Event.RELEASE_NAME

    @property
    def _cause(self) -> Cause:
        return Cause(CauseKind.ORIGIN, self.actor.name)

    async def _set_aside(self, present: Sequence[StandingFile]) -> None:
        ids = [item.file.id for item in present]
        what = "claimed for private packages" if self.origin is Origin.HOSTED else "given back to its upstream"
        reason = f"the name {self.project.name} was {what} by {self.actor.name}: {self.reason}"
        await claims.set_aside(self.connection, ids, Grounds(self._cause, reason))
        await claims.delete_messages(self.connection, self.project.name, ids)
        await close_proposals(self.connection, self.project.name, None, None, self.actor.name)
        held = sorted({item.file.version for item in present if item.standing.state is State.HELD})
        # Their workflows then see that nothing is held any more.
        await insert_messages(self.connection, [ReleaseHeld(self.project.name, version) for version in held])

    async def _restore(self) -> Sequence[SetAsideFile]:
        """Return to the name the files of its new origin, if it had that origin before."""
        back = await self._select_returning()
        if not back:
            return back
        filenames = [each.filename for each in back]
        used = await claims.select_used_names(self.connection, self.project.name, filenames)
        waited = [each for each in back if each.state_before in WAITED]
        came_back = Grounds(self._cause, f"the name {self.project.name} came back to this origin: {self.reason}")
        await claims.restore_files(
            self.connection, [each.file for each in back], [each.file for each in waited], came_back
        )
        clashing = [each for each in waited if used.get(each.filename, set()) - {each.sha256}]
        if clashing:
            fault = Grounds(
                BY_FILENAME, "other bytes were downloaded under this filename while the name had another origin"
            )
            await standings.update_states(self.connection, [each.file for each in clashing], State.CONFLICT, fault)
        if self.origin is Origin.HOSTED:
            served = [each for each in waited if each.state_before is State.RELEASED and each not in clashing]
            await standings.update_states(self.connection, [each.file for each in served], State.RELEASED, came_back)
        else:
            await scopes.insert_held(self.connection, [Rule(RuleKind.BLOCKED, None, "", "", self.project.name)])
        return back

    async def _select_returning(self) -> Sequence[SetAsideFile]:
        """Return the newest file of each filename, unless another project's file has its path by now."""
        aside = await claims.select_aside(self.connection, self.project.id, self.origin)
        newest = {each.filename: each for each in aside}.values()
        used = await files.select_used_paths(self.connection, [each.path for each in newest if each.path])
        return [each for each in newest if each.path not in used]

    def _entries(
        self, counts: tuple[int, int, int, int], present: Sequence[StandingFile], back: Sequence[SetAsideFile]
    ) -> list[Entry]:
        names = ("files", "downloaded_files", "downloads", "machines")
        whole: dict[str, object] = {"reason": self.reason, **dict(zip(names, counts, strict=True))}
        return [
            Entry(detail=whole),
            *(
                Entry(item.file.version, item.file.filename, {"set_aside": item.standing.state, "reason": self.reason})
                for item in present
            ),
            *(Entry(each.version, each.filename, {"brought_back": True, "reason": self.reason}) for each in back),
        ]
