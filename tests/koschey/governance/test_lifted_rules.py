"""What a rule closed, and what stays blocked after it is lifted: who changes a rule is told of both."""

import asyncio
from dataclasses import replace

import pytest
from packaging.utils import NormalizedName

from koschey.causes import Cause, CauseKind, by_advisory, by_check
from koschey.db import files, projects
from koschey.db.pool import Connection
from koschey.db.standings import cause_columns
from koschey.governance.changes import apply_policy, set_rule, unset_rule
from koschey.governance.terms import Terms
from koschey.model import Origin, State
from koschey.quarantine.settle import settle
from tests.support.policy_changes import CLI, Run, asked
from tests.support.rows import WEEK, add_project, new_file, select_files


async def give_cause(connection: Connection, cause: Cause, filename: str = "%") -> None:
    """Have blocked files be blocked for a cause."""
    await connection.execute(
        "UPDATE standing SET cause = $2, cause_subject = $3, cause_scope = $4, cause_version = $5"
        "  FROM file WHERE file.id = file_id AND filename LIKE $1 AND state = 'blocked'",
        filename,
        *cause_columns(cause),
    )


async def settle_all(connection: Connection, project: str, *versions: str) -> None:
    """Have releases judged anew, as their workflows do."""
    for version in versions:
        await settle(connection, NormalizedName(project), version, WEEK)


async def test_what_a_block_did_is_told_when_it_comes_and_when_it_goes(acme: Connection, run: Run) -> None:
    """What was released is served no more and then again; what was held stays blocked, until the command is given."""
    said = await asked(run, "policy", "set", "blocked", "acme", "--yes", "--reason", "a worm")
    assert (said["files_served_no_more"], said["files_served_again"], said["still_blocked"]) == (1, 0, [])
    # A release of which nothing waits is not settled.
    await settle_all(acme, "acme", "2.0")
    lines = (await asyncio.to_thread(run, "policy", "unset", "blocked", "acme", "--reason", "no worm")).stdout
    assert lines.splitlines()[1:] == [
        "serial 3, 0 held releases re-checked",
        "1 file is served again",
        (
            "1 file stays blocked until a reviewer unblocks it; it is then held for approval: "
            "koschey unblock acme==2.0 --reason ..."
        ),
    ]
    states = {name: item.standing.state for name, item in (await select_files(acme, NormalizedName("acme"))).items()}
    assert states == {"acme-1.0.zip": State.RELEASED, "acme-2.0.zip": State.BLOCKED}
    await asyncio.to_thread(run, "unblock", "acme==2.0", "--reason", "read")
    assert (await select_files(acme, NormalizedName("acme")))["acme-2.0.zip"].standing.state is State.HELD


@pytest.mark.parametrize("scope", ["ac-*", "*", "@upstream"])
async def test_only_what_the_lifted_rule_blocked_is_told_of(connection: Connection, scope: str) -> None:
    """What another rule, a decision or a finding blocks is none of its business, whatever it covers."""
    await add_project(connection, "ac", [new_file("ac-1.0.zip"), new_file("ac-2.0.zip"), new_file("ac-2.0.tar.gz")])
    await add_project(connection, "ac-x", [new_file("acx-1.0.zip"), new_file("acx-2.0.zip")])
    await add_project(connection, "other", [new_file("other-1.0.zip")])
    await set_rule(connection, CLI, Terms("blocked", "ac==1.0", reason="another"))
    await settle_all(connection, "ac", "1.0")
    await connection.execute(
        "UPDATE standing SET state = 'blocked' FROM file WHERE file.id = file_id AND filename = 'acx-1.0.zip'"
    )
    await give_cause(connection, by_advisory("MAL-1"), "acx-1.0.zip")
    await set_rule(connection, CLI, Terms("blocked", scope, reason="all"))
    for project, versions in (("ac", ["2.0"]), ("ac-x", ["2.0"]), ("other", ["1.0"])):
        await settle_all(connection, project, *versions)
    await set_rule(connection, CLI, Terms("reserved", "ac-x", reason="ours"))
    outcome = await unset_rule(connection, CLI, "blocked", scope, None, "over")
    left = {(each.project, each.version): each.files for each in outcome.effects.still_blocked}
    expected = {("ac", "2.0"): 2} | ({} if scope == "ac-*" else {("other", "1.0"): 1})
    assert left == expected
    assert outcome.effects.sentences[-1].startswith(f"{sum(expected.values())} files stay blocked")


async def test_a_rule_that_a_decision_put_in_force_is_lifted(acme: Connection, run: Run) -> None:
    """A release stays blocked after the rule is lifted, and the answer names it, even if the rule was reworded."""
    await asyncio.to_thread(run, "block", "acme==2.0", "--reason", "a worm")
    await set_rule(acme, CLI, Terms("blocked", "acme==2.0", reason="a worm, says the report"))
    outcome = await unset_rule(acme, CLI, "blocked", "acme==2.0", None, "over")
    assert [(each.project, each.version) for each in outcome.effects.still_blocked] == [("acme", "2.0")]


async def test_a_check_that_blocks_no_more_leaves_what_it_blocked(connection: Connection) -> None:
    """Files that a finding blocked stay so when the rule becomes milder, or goes, or a whole policy takes its place."""
    await add_project(connection, "ac", [new_file("ac-1.0.zip"), new_file("ac-2.0.zip")])
    await connection.execute("UPDATE standing SET state = 'blocked'")
    await give_cause(connection, by_check("names", "near"))
    strict = Terms("check", "*", "block", "names/near", reason="strict")
    await set_rule(connection, CLI, strict)
    milder = await set_rule(connection, CLI, replace(strict, value="hold"))
    assert [each.version for each in milder.effects.still_blocked] == ["1.0", "2.0"]
    await set_rule(connection, CLI, strict)
    gone = await apply_policy(connection, CLI, [], "anew")
    assert [each.command for each in gone.effects.still_blocked] == [
        f"koschey unblock ac=={version} --reason ..." for version in ("1.0", "2.0")
    ]
    assert (await set_rule(connection, CLI, Terms("window", "*", "3", reason="x"))).effects.sentences == []


async def test_thousands_that_stay_blocked_are_no_flood(connection: Connection) -> None:
    """People are told ten commands and how many more there would be; programs are told of all."""
    rows = [new_file(f"ac-{number}.0.zip", State.BLOCKED) for number in range(1000)]
    await add_project(connection, "ac", rows)
    await set_rule(connection, CLI, Terms("blocked", "ac", reason="all"))
    await give_cause(connection, Cause(CauseKind.RULE, "blocked", "ac"))
    outcome = await unset_rule(connection, CLI, "blocked", "ac", None, "over")
    assert len(outcome.effects.still_blocked) == 1000
    [sentence] = outcome.effects.sentences
    assert sentence.count("koschey unblock") == 10
    assert sentence.endswith("and the same for 990 more releases")


async def test_reservations_are_about_what_an_upstream_has(connection: Connection) -> None:
    """A name that is reserved closes mirrored files, and none that are hosted."""
    await add_project(connection, "ac", [new_file("ac-1.0.zip", State.RELEASED)])
    own = NormalizedName("ac-own")
    await projects.insert_project(connection, own, own, Origin.HOSTED)
    hosted = await projects.select_project(connection, own)
    assert hosted is not None
    await files.insert_files(connection, hosted.id, [new_file("acown-1.0.zip", State.RELEASED)])
    closed = await set_rule(connection, CLI, Terms("reserved", "ac-*", reason="ours"))
    assert closed.effects.sentences[0] == "1 file is no longer served"
    [late] = closed.effects.sentences[1:]
    assert late.startswith("ac is already mirrored (1 file, 0 of them downloaded from here) and accepts no upload; ")
    assert late.endswith("to publish it here: koschey claim ac --reason WHY")
    opened = await unset_rule(connection, CLI, "reserved", "ac-*", None, "over")
    assert opened.effects.sentences == ["1 file is served again"]
