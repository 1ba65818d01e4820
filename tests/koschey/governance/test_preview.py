"""The dry run of a policy: it foretells for every file what the change does."""

from collections.abc import Sequence
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.findings import CheckRun, write_runs
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.db.rules import write_rule
from koschey.governance.changes import apply_policy
from koschey.governance.preview import Usual, preview_policy
from koschey.model import Origin, StandingFile
from koschey.policy.findings import Finding, Severity
from koschey.policy.rules import Rule
from koschey.policy.verdict import verdict
from koschey.quarantine.settle import settle
from tests.support.policies import PROPERTY, policies, standing_files, unique
from tests.support.policy_changes import CLI, DAY, messages
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, new_file, select_files

USUAL = Usual(WEEK, None)


@PROPERTY
@given(
    before=policies(),
    after=policies(),
    drawn=st.lists(standing_files(), min_size=2, max_size=8, unique_by=lambda item: item.file.filename),
    hosted=st.booleans(),
    looked_at=st.sampled_from([None, NOON, NOON - 7 * DAY]),
    evidence=st.lists(st.sampled_from(["through", "faulty", "near", "nothing"]), min_size=8, max_size=8),
)
async def test_dry_run_foretells_what_happens(
    connection: Connection,
    before: list[Rule],
    after: list[Rule],
    drawn: list[StandingFile],
    hosted: bool,
    looked_at: datetime | None,
    evidence: list[str],
) -> None:
    """Every file that appears, disappears or gets another release time was named by the dry run, and no other was."""
    # As nothing here can ever be deleted, each example is taken back.
    example = connection.transaction(isolation="repeatable_read")
    await example.start()
    try:
        await set_clock(connection, NOON)
        insert = "INSERT INTO known_check (name, codes) VALUES ('names', $1)"
        await connection.execute(insert, {"near": {"what": "a name that is near", "action": "hold"}})
        await put_files(connection, drawn, "other" if hosted else None, looked_at, evidence)
        for rule in unique(before):
            await write_rule(connection, rule)
        wanted = [rule for rule in unique(after) if rule.expires_at is None or rule.expires_at > NOON]
        served, released_at = await outside(connection)
        preview = await preview_policy(connection, wanted, USUAL)
        assert (await outside(connection)) == (served, released_at)
        await apply_policy(connection, CLI, wanted, "why")
        for _, payload in (await messages(connection)).values():
            await settle(connection, NormalizedName(str(payload["project"])), str(payload["version"]), WEEK)
        served_now, released_at_now = await outside(connection)
        foretold = {
            mark: {each.item.file.filename for each in preview.predictions if each.mark == mark} for mark in "+-"
        }
        assert foretold == {"+": served_now - served, "-": served - served_now}
        moved = {each.item.file.filename: each.release_at for each in preview.predictions if each.moves_release}
        held = await held_files(connection)
        assert moved == {name: released_at_now[name] for name in held if released_at_now[name] != released_at[name]}
    finally:
        await example.rollback()


async def put_files(
    connection: Connection,
    drawn: Sequence[StandingFile],
    hosted: str | None,
    looked_at: datetime | None,
    evidence: Sequence[str],
) -> None:
    """Add files with their standings and what checks say of them."""
    for name in sorted({item.file.project for item in drawn}):
        await projects.insert_project(connection, name, name, Origin.HOSTED if name == hosted else Origin.MIRRORED)
        await connection.execute("UPDATE project SET looked_at = $2 WHERE name = $1", name, looked_at)
    for item, said in zip(drawn, evidence, strict=False):
        owner = await projects.select_project(connection, item.file.project)
        assert owner is not None
        file = item.file
        row = new_file("x-1.0.zip")._replace(
            version=file.version,
            filename=file.filename,
            sha256=file.sha256,
            upload_time=file.upload_time,
            yanked=file.yanked,
            path=file.path,
            standing=item.standing,
        )
        (added,) = await files.insert_files(connection, owner.id, [row])
        update = "UPDATE file SET first_seen_at = $2, stored_at = $3, absent_since = $4 WHERE id = $1"
        await connection.execute(update, added, file.first_seen_at, file.stored_at, file.absent_since)
        if said != "nothing":
            found = [Finding("near", Severity.SERIOUS, "near six")] if said == "near" else []
            run = CheckRun(added, "names", tuple(found), "it crashed" if said == "faulty" else None)
            await write_runs(connection, NOON, [run])


async def outside(connection: Connection) -> tuple[set[str], dict[str, datetime | None]]:
    """Which files are served now, and when each may be released."""
    served: set[str] = set()
    released_at: dict[str, datetime | None] = {}
    for row in await connection.fetch("SELECT name FROM project"):
        owner = await projects.select_project(connection, row["name"])
        assert owner is not None
        policy = await load_policy(connection, owner)
        for name, item in (await select_files(connection, owner.name)).items():
            released_at[name] = item.standing.release_at
            if verdict(item.file, item.standing, policy, NOON).served:
                served.add(name)
    return served, released_at


async def held_files(connection: Connection) -> set[str]:
    query = "SELECT filename FROM standing JOIN file ON file.id = standing.file_id WHERE state = 'held'"
    return {row["filename"] for row in await connection.fetch(query)}
