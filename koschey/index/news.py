"""What an upstream's page says against files that are known already, acted upon within the intake."""

from collections.abc import Collection, Iterable, Sequence

from koschey.db import files
from koschey.db.alerts import FIRST
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.news import insert_replaced, insert_returned, select_replaced
from koschey.db.outbox import insert_messages
from koschey.index.taking import Taking
from koschey.model import ProjectStatus, StandingFile, State, UpstreamFile, UpstreamPage
from koschey.outbox import ReleaseHeld
from koschey.policy.news import is_late, withdrawal

KEPT = "the upstream lists the file no more; it was accepted long ago and stays served"
RETURNED_PROJECT = "the project came back after it was gone from the upstream; whoever has it now may be another"
RETURNED_FILE = "the upstream removed the file during its quarantine, and lists it again"
REPLACED = "the upstream lists other bytes under this filename now"


async def miss(taking: Taking, missing: Collection[StandingFile]) -> None:
    """Note which files the upstream lists no more.

    What is held is judged anew at once, and what was released lately is blocked; the rest goes on being served.
    """
    gone = [item for item in missing if item.file.absent_since is None]
    if not gone:
        return
    await files.update_absent(taking.connection, [item.file.id for item in gone])
    held = sorted({item.file.version for item in gone if item.standing.state is State.HELD})
    await insert_messages(taking.connection, [ReleaseHeld(taking.project.name, version) for version in held])
    taking.record.add("absent upstream", [Entry(item.file.version, item.file.filename) for item in gone])
    await _block(taking, [(item, reason) for item, reason in await _withdrawn(taking, gone) if reason])


async def tell_of_missing(taking: Taking, missing: Collection[StandingFile]) -> None:
    """Alert people of released files that the upstream lists no more, and of what becomes of them."""
    told = [
        Entry(item.file.version, item.file.filename, {"reason": reason or KEPT, "served": reason is None})
        for item, reason in await _withdrawn(taking, missing)
    ]
    taking.record.alert("withdrawn", told)


async def _withdrawn(taking: Taking, missing: Collection[StandingFile]) -> list[tuple[StandingFile, str | None]]:
    """Return the released files among them, and why each is blocked that was withdrawn soon after its upload."""
    released = [item for item in missing if item.standing.state is State.RELEASED]
    if not released:
        return []
    rules = (await taking.policy()).rules.in_force(taking.now)
    return [(item, withdrawal(item.file, item.standing, rules, taking.now)) for item in released]


async def _block(taking: Taking, blocked: Sequence[tuple[StandingFile, str]]) -> None:
    for why in dict.fromkeys(reason for _, reason in blocked):
        alike = [item.file.id for item, reason in blocked if reason == why]
        await files.update_states(taking.connection, alike, State.BLOCKED, why)
    if blocked:
        entries = [Entry(item.file.version, item.file.filename, {"reason": reason}) for item, reason in blocked]
        taking.record.add(State.BLOCKED, entries)


async def give_back(taking: Taking, back: Sequence[StandingFile], *, estranged: bool) -> None:
    """Keep held files that were gone and are listed again from being let out by time or trust."""
    await _block(taking, [(item, RETURNED_FILE) for item in back if item.standing.state is State.HELD])
    if estranged and back:
        await insert_returned(taking.connection, [item.file.id for item in back], RETURNED_PROJECT)


def tell_of_return(taking: Taking, page: UpstreamPage) -> None:
    """Tell people that a project came back from an absence, perhaps in other hands."""
    listed = [file.filename for file in page.files]
    entry = Entry(detail={"reason": RETURNED_PROJECT, "files": len(page.files), "first": listed[:FIRST]})
    taking.record.add("project returned", [entry])
    taking.record.alert("project returned", [entry])


def tell_of_status(taking: Taking, page: UpstreamPage) -> None:
    """Note a change of the project's status (PEP 792); a quarantine is told at once, the verdict has closed all."""
    entry = Entry(detail={"status": page.status, "reason": page.status_reason})
    taking.record.add("project status", [entry])
    if page.status is ProjectStatus.QUARANTINED:
        taking.record.alert("project quarantined", [entry])


async def refuse_other_bytes(taking: Taking, conflicts: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
    """Keep the old bytes and let none of the new in: what is held stays so for a person, what is served goes on.

    Each other digest is recorded and told of once, and not with every look.
    """
    seen = await select_replaced(taking.connection, [known.file.id for known, _ in conflicts]) if conflicts else set()
    fresh = [
        (known, file.sha256)
        for known, file in conflicts
        if file.sha256 is not None and (known.file.id, file.sha256) not in seen
    ]
    if not fresh:
        return
    held = [known.file.id for known, _ in fresh if known.standing.state is State.HELD]
    if held:
        await files.update_states(taking.connection, held, State.CONFLICT, REPLACED)
    await insert_replaced(taking.connection, [(known.file.id, now) for known, now in fresh], REPLACED)
    entries = [
        Entry(known.file.version, known.file.filename, {"was": known.file.sha256, "now": now}) for known, now in fresh
    ]
    taking.record.add("conflict", entries)
    taking.record.alert("conflict", entries)


def tell_of_late_files(taking: Taking, known: Iterable[StandingFile], added: Sequence[NewFile]) -> None:
    """Tell people of new files that come to a release which was let out before."""
    releases: dict[str, list[StandingFile]] = {}
    for item in known:
        releases.setdefault(item.file.version, []).append(item)
    late = [
        Entry(row.version, row.filename, {"state": row.standing.state, "reason": row.standing.reason})
        for row in added
        if is_late(releases.get(row.version, ()), taking.now, released=row.standing.state is State.RELEASED)
    ]
    taking.record.alert("late file", late)
