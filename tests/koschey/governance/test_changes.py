"""The policy on a real database: every change is whole, wakes what it reaches, and was foretold by the dry run."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.auth.permissions import Action
from koschey.causes import Cause, CauseKind, by_advisory, by_check
from koschey.cli import cli
from koschey.db import files, projects, scopes
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.findings import CheckRun, write_runs
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.db.rules import select_all_rules, write_rule
from koschey.db.standings import cause_columns
from koschey.errors import KoscheyError, NotAllowed, NotKnown, UsageError
from koschey.governance.changes import apply_policy, set_rule, unset_rule
from koschey.governance.expiry import expire_rules
from koschey.governance.preview import Usual, preview_policy
from koschey.governance.terms import Terms
from koschey.model import Actor, Origin, StandingFile, State
from koschey.outbox import ReleaseHeld, render_message
from koschey.policy.findings import Finding, Severity
from koschey.policy.rules import Rule, RuleKind, covers
from koschey.policy.verdict import verdict
from koschey.quarantine.settle import settle
from tests.support.policies import PROJECTS, SCOPES, policies, standing_files, unique
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, add_project, new_file, select_files

CLI = Actor("ada", "cli")
DAY = timedelta(days=1)
USUAL = Usual(WEEK, None)
PROPERTY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
type Run = Callable[..., Result]


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    """Run a command against the database. What goes wrong on purpose is raised."""

    def run(*arguments: str, code: int = 0, input: str | None = None) -> Result:  # noqa: A002
        settings = {"DATABASE_URL": database, "DATA": str(tmp_path), "QUARANTINE_DAYS": "7"}
        environment = {f"KOSCHEY_{name}": value for name, value in settings.items()} | {"COLUMNS": "300"}
        done = CliRunner(env=environment).invoke(cli, arguments, input=input)
        if isinstance(done.exception, KoscheyError):
            raise done.exception
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


async def asked(run: Run, *arguments: str) -> Any:
    """What a command says in JSON, from a thread, for commands run a loop of their own."""
    return json.loads((await asyncio.to_thread(run, *arguments, "--json")).stdout)


async def journal(connection: Connection) -> list[tuple[str, str, str, str | None, dict[str, object]]]:
    rows = await connection.fetch("SELECT actor, action, project, version, detail FROM journal ORDER BY serial")
    return [tuple(row) for row in rows]


async def messages(connection: Connection) -> dict[str, tuple[str, dict[str, object]]]:
    rows = await connection.fetch("SELECT key, kind, payload FROM outbox")
    return {row["key"]: (row["kind"], row["payload"]) for row in rows}


# Scopes


@PROPERTY
@given(
    st.lists(st.tuples(st.text("ac*-@=", max_size=6) | st.sampled_from(SCOPES), st.text("ac-", max_size=6)), min_size=1)
)
async def test_scopes_cover_the_same_in_both_languages(connection: Connection, pairs: list[tuple[str, str]]) -> None:
    """Whatever stands in a rule and whatever a project is called, PostgreSQL covers what Python covers."""
    pairs += [(scope, project) for scope in SCOPES for project in PROJECTS]
    query = "SELECT in_scope(s, p, $3) AS found FROM unnest($1::text[], $2::text[]) AS pair (s, p)"
    for origin in Origin:
        found = await connection.fetch(query, [scope for scope, _ in pairs], [name for _, name in pairs], origin)
        assert [row["found"] for row in found] == [covers(scope, name, origin) for scope, name in pairs]


# What a change leaves behind


async def test_a_change_is_recorded_and_wakes_what_is_held(connection: Connection) -> None:
    """Setting a rule writes it, a decision and a journal row with what was before, and asks for each held release."""
    await add_project(
        connection, "acme", [new_file("acme-1.0.tar.gz"), new_file("acme-1.0.zip"), new_file("acme-2.0.zip")]
    )
    await add_project(connection, "other", [new_file("other-1.0.tar.gz")])
    outcome = await set_rule(connection, CLI, Terms("window", "Acme-*", "14.0", reason="why", ticket="SEC-1"))
    assert (outcome.serial, outcome.rejudged, [change.mark for change in outcome.changes]) == (1, 2, ["+"])
    expected = [render_message(ReleaseHeld(NormalizedName("acme"), version)) for version in ("1.0", "2.0")]
    assert await messages(connection) == {key: (kind, payload) for kind, key, payload in expected}
    detail = {"kind": "window", "value": "14", "before": None, "reason": "why", "ticket": "SEC-1"}
    assert await journal(connection) == [("ada", "policy", "acme-*", None, detail)]
    row = await connection.fetchrow("SELECT * FROM decision")
    assert [row[name] for name in ("serial", "action", "project", "version", "actor", "door", "reason", "ticket")] == [
        *(1, "policy", "acme-*", None, "ada", "cli", "why", "SEC-1")
    ]
    again = await set_rule(connection, CLI, Terms("window", "acme-*", "3", reason="less"))
    assert (again.serial, again.changes[0].mark) == (2, "~")
    assert (await journal(connection))[1][4] == {"kind": "window", "value": "3", "before": "14", "reason": "less"}
    lifted = await unset_rule(connection, CLI, "window", "acme-*", None, "over")
    assert (lifted.serial, lifted.changes[0].mark) == (3, "-")
    assert (await journal(connection))[2][4] == {"kind": "window", "value": None, "before": "3", "reason": "over"}
    assert (await select_all_rules(connection)).rules == ()
    assert await connection.fetchval("SELECT count(*) FROM decision WHERE action = 'policy'") == 3


async def test_what_changes_nothing_leaves_nothing(connection: Connection) -> None:
    """The same rule again takes no serial; lifting none, or giving no reason, is refused and leaves nothing."""
    terms = Terms("observed", "*", reason="first weeks")
    assert (await set_rule(connection, CLI, terms)).serial == 1
    assert (await set_rule(connection, CLI, terms)).serial is None
    with pytest.raises(NotKnown, match="no rule check six about names is active"):
        await unset_rule(connection, CLI, "check", "six", "names", "x")
    with pytest.raises(UsageError, match="give a reason"):
        await unset_rule(connection, CLI, "observed", "*", None, " ")
    with pytest.raises(UsageError, match="give a reason"):
        await apply_policy(connection, CLI, [], "")
    assert await connection.fetchval("SELECT serial FROM journal_head") == 1
    assert await connection.fetchval("SELECT count(*) FROM rule") == 1


async def test_a_rule_of_one_release_wakes_that_release(connection: Connection) -> None:
    """A rule about one version reaches no other; what is released or blocked is woken by none."""
    await add_project(
        connection,
        "acme",
        [new_file("acme-1.0.zip"), new_file("acme-2.0.zip"), new_file("acme-3.0.zip", State.RELEASED)],
    )
    await set_rule(connection, CLI, Terms("window", "acme==2.0", "1", reason="why"))
    assert set(await messages(connection)) == {"release_held/acme/2.0"}
    assert (await journal(connection))[0][2:4] == ("acme", "2.0")


@pytest.mark.parametrize(("role", "grant"), [(None, None), ("reviewer", "*"), ("uploader", "*"), ("admin", "six")])
async def test_only_who_manages_the_scope_changes_it(
    connection: Connection, role: str | None, grant: str | None
) -> None:
    """By any door but the command line, a change needs the permission to manage all that it is about."""
    actor = Actor("bob", "api")
    if role and grant:
        account = await upsert_account(connection, "bob", None)
        await insert_grant(connection, account, role, grant)
    for change in (
        set_rule(connection, actor, Terms("trusted", "acme", reason="x")),
        set_rule(connection, actor, Terms("trusted", "*", reason="x")),
        unset_rule(connection, actor, "trusted", "acme", None, "x"),
        apply_policy(connection, actor, [], "x"),
    ):
        with pytest.raises(NotAllowed):
            await change
    assert await connection.fetchval("SELECT serial FROM journal_head") == 0
    if role == "admin":
        assert (await set_rule(connection, actor, Terms("trusted", "six", reason="x"))).serial == 1
    assert Action.MANAGE


async def test_apply_keeps_exceptions_and_authors(connection: Connection) -> None:
    """Exceptions stay, what says the same stays its author's, and all else is as the file says."""
    exception = Rule(
        RuleKind.EXCEPTION, "1.0", "now", "eve", "six", "six-1.0.zip", "0" * 64, expires_at=NOON + 365 * DAY
    )
    await set_clock(connection, NOON)
    await write_rule(connection, exception)
    kept = Rule(RuleKind.WINDOW, None, "usual", "eve", "*", value="7")
    await write_rule(connection, kept)
    await write_rule(connection, Rule(RuleKind.BLOCKED, None, "old", "eve", "evil"))
    new = Rule(RuleKind.RESERVED, None, "ours", "ada", "acme-*")
    outcome = await apply_policy(connection, CLI, [replace(kept, actor="ada"), new], "from version control")
    assert [(change.mark, change.rule.kind) for change in outcome.changes] == [("-", "blocked"), ("+", "reserved")]
    assert set((await select_all_rules(connection)).rules) == {exception, kept, new}


async def test_changes_at_once_are_all_carried_out(pool: Any, connection: Connection) -> None:
    """Rules set from many sides at once, and settlings beside them, wait for each other and none is lost."""
    names = [f"acme-{number}" for number in range(6)]
    for name in names:
        wheel = f"{name.replace('-', '_')}-1.0.zip"
        await add_project(connection, name, [new_file("x-1.0.zip")._replace(filename=wheel, path=f"/packages/{name}")])

    async def put(scope: str) -> None:
        async with pool.acquire() as own:
            await set_rule(own, CLI, Terms("window", scope, "3", reason="why"))

    async def judge(name: str) -> None:
        async with pool.acquire() as own:
            await settle(own, NormalizedName(name), "1.0", WEEK)

    await asyncio.gather(*(put(scope) for scope in ("*", "acme-*", *names)), *(judge(name) for name in names * 2))
    assert len((await select_all_rules(connection)).rules) == 8
    assert await connection.fetchval("SELECT count(*) FROM journal WHERE action = 'policy'") == 8


# Rules that end


async def test_ended_rules_are_cleared_away(connection: Connection) -> None:
    """A rule that ended is removed with a journal row, and what it covered is judged anew; done again, nothing."""
    await set_clock(connection, NOON)
    await add_project(connection, "acme", [new_file("acme-1.0.zip")])
    await add_project(connection, "other", [new_file("other-1.0.zip")])
    for scope, days in (("acme", 1), ("other", 2)):
        await set_rule(connection, CLI, Terms("observed", scope, reason="first", expires=NOON + days * DAY))
    await connection.execute("DELETE FROM outbox")
    assert await expire_rules(connection) == 0
    await set_clock(connection, NOON + DAY)
    assert await expire_rules(connection) == 1
    assert await expire_rules(connection) == 0
    assert set(await messages(connection)) == {"release_held/acme/1.0"}
    actor, action, project, version, detail = (await journal(connection))[-1]
    assert (actor, action, project, version) == ("system", "policy ended", "acme", None)
    assert detail["kind"] == "observed"
    assert detail["actor"] == "ada"
    assert [rule.scope for rule in (await select_all_rules(connection)).rules] == ["other"]


# The dry run


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


# The commands


@pytest.fixture
async def acme(connection: Connection) -> Connection:
    """A mirrored project with a held release whose window ends in two days, and one that was released."""
    await set_clock(connection, NOON)
    counted = NOON - 5 * DAY
    held = new_file("acme-2.0.zip", upload_time=counted, release_at=NOON + 2 * DAY)
    held = held._replace(standing=replace(held.standing, counts_from=counted))
    await add_project(connection, "acme", [new_file("acme-1.0.zip", State.RELEASED), held], looked_at=NOON)
    return connection


async def test_set_show_unset(acme: Connection, run: Run) -> None:
    """A rule that is set is shown with all that was said of it, for the projects that it covers, until it is unset."""
    said = await asked(run, *("policy", "set", "window", "acme-*", "3", "--reason", "[b]partners", "--expires", "14d"))
    assert said["releases_judged_anew"] == 1
    assert said["rules"][0]["change"] == "+"
    rule = said["rules"][0]["after"]
    assert (rule["kind"], rule["scope"], rule["value"], rule["ends"]) == (
        *("window", "acme-*", "3", "2026-12-06T12:00:00.000000Z"),
    )
    await asked(run, "policy", "set", "observed", "@upstream", "--reason", "first weeks", "--ticket", "SEC-9")
    shown = await asked(run, "policy", "show")
    assert [each["kind"] for each in shown["rules"]] == ["observed", "window"]
    assert (shown["observed"], shown["window_days"], shown["checks"]) == (["@upstream"], 7, [])
    assert [each["kind"] for each in (await asked(run, "policy", "show", "--project", "six"))["rules"]] == ["observed"]
    table = (await asyncio.to_thread(run, "policy", "show")).output
    assert "OBSERVATION IS ON for @upstream" in table
    assert "[b]partners" in table
    assert "SEC-9" in table
    assert "held for 7 days" in table
    lifted = await asked(run, "policy", "unset", "observed", "@upstream", "--reason", "enough")
    assert [each["change"] for each in lifted["rules"]] == ["-"]
    assert "OBSERVATION" not in (await asyncio.to_thread(run, "policy", "show")).output


async def test_show_names_the_checks(connection: Connection, run: Run) -> None:
    """Each check that is known is shown with what it proposes; a rule about another one is warned of."""
    insert = "INSERT INTO known_check (name, codes) VALUES ('names', $1)"
    await connection.execute(insert, {"near": {"what": "a near name", "action": "hold"}})
    shown = await asked(run, "policy", "show")
    assert shown["checks"] == [{"name": "names", "proposes": {"near": "hold"}}]
    command = ("policy", "set", "check", "*", "note", "--reason", "noisy", "--subject")
    assert (await asyncio.to_thread(run, *command, "names/near")).stderr == ""
    assert "no worker has registered a check 'naems'" in (await asyncio.to_thread(run, *command, "naems")).stderr
    assert "near" in (await asyncio.to_thread(run, "policy", "show")).output


async def test_explain(acme: Connection, run: Run) -> None:
    """Explained are the rules and which decides, the window and its source, and what checks say of each file."""
    await acme.execute(
        "INSERT INTO known_check (name, codes) VALUES ('names', $1), ('other', '{}'), ('third', '{}')",
        {"near": {"what": "a near name", "action": "hold"}},
    )
    (held,) = [
        item for item in (await select_files(acme, NormalizedName("acme"))).values() if item.file.version == "2.0"
    ]
    near = Finding("near", Severity.SERIOUS, "near to acne")
    await write_runs(acme, NOON, [CheckRun(held.file.id, "names", (near,))])
    await write_runs(acme, NOON, [CheckRun(held.file.id, "other", fault="it crashed")])
    for scope, value in (("*", "30"), ("acme", "6")):
        await asked(run, "policy", "set", "window", scope, value, "--reason", f"for {scope}")
    found = await asked(run, "policy", "explain", "Acme==2.0")
    assert [(rule["scope"], rule["decides"]) for rule in found["rules"]] == [("*", False), ("acme", True)]
    (file,) = found["files"]
    assert (file["state"], file["served"], file["release_at"]) == ("held", False, "2026-11-23T12:00:00.000000Z")
    assert file["window"] == "6 days (rule window acme) from 2026-11-17 12:00 UTC, its upload time"
    assert file["checks"] == {"through": ["names"], "faulty": {"other": "it crashed"}, "missing": ["third"]}
    assert [(each["code"], each["action"]) for each in file["findings"]] == [("near", "hold")]
    text = (await asyncio.to_thread(run, "policy", "explain", "acme==2.0")).output
    assert "> window acme: 6, for acme, by " in text
    assert "until 2026-11-23 12:00 UTC" in text
    assert "names/near (serious), hold: near to acne" in text
    assert len((await asked(run, "policy", "explain", "acme"))["files"]) == 2
    unknown = await asked(run, "policy", "explain", "nobody")
    assert (unknown["known"], unknown["files"]) == (False, [])
    with pytest.raises(NotKnown, match="acme has no release 9"):
        await asked(run, "policy", "explain", "acme==9")


async def test_export_and_apply(acme: Connection, run: Run, tmp_path: Path) -> None:
    """What was exported applies without a change; what is edited is put in force, with its diff."""
    await asked(run, "policy", "set", "window", "*", "7", "--reason", "usual", "--expires", "2027-01-31")
    await asked(run, "policy", "set", "blocked", "acme==1.0", "--yes", "--reason", 'a "quoted"\nreason')
    file = tmp_path / "policy.toml"
    await asyncio.to_thread(run, "policy", "export", str(file))
    assert (await asyncio.to_thread(run, "policy", "export")).stdout == file.read_text()
    assert (await asyncio.to_thread(run, "policy", "export", "-")).stdout == file.read_text()
    same = await asyncio.to_thread(run, "policy", "apply", str(file), "--reason", "ci")
    assert same.stdout == "nothing to change\n"
    file.write_text(
        file.read_text()
        .replace("value = 7", "value = 4")
        .replace('[[rule]]\nkind = "blocked"', '[[rule]]\nkind = "allowed-only"')
    )
    done = (await asyncio.to_thread(run, "policy", "apply", str(file), "--reason", "ci")).stdout
    assert "~ window *: 4, usual, until 2027-01-31 00:00 UTC (was 7, usual" in done
    assert "- blocked acme==1.0" in done
    assert "+ allowed-only acme==1.0" in done
    assert "serial 5" in done


async def test_dry_run_command(acme: Connection, run: Run) -> None:
    """A dry run says which files would appear, disappear and be released when, and why; and changes nothing."""
    text = (
        '[[rule]]\nkind = "blocked"\nscope = "acme==1.0"\nreason = "malware"\n'
        '[[rule]]\nkind = "window"\nscope = "acme-*"\nvalue = 10\nreason = "slower"\n'
    )
    command = ("policy", "apply", "-", "--dry-run")
    told = json.loads((await asyncio.to_thread(run, *command, "--json", input=text)).stdout)
    assert [(each["filename"], each["change"], each["release_at"]) for each in told["files"]] == [
        ("acme-1.0.zip", "-", None),
        ("acme-2.0.zip", " ", "2026-11-27T12:00:00.000000Z"),
    ]
    lines = (await asyncio.to_thread(run, *command, input=text)).stdout.splitlines()
    assert lines[:2] == ["+ blocked acme==1.0: malware", "+ window acme-*: 10, slower"]
    assert lines[2].startswith("- acme 1.0 acme-1.0.zip: blocked by ")
    assert "would be released on 2026-11-27 12:00 UTC, instead of 2026-11-24 12:00 UTC" in lines[3]
    assert lines[4] == "dry run, nothing was changed: 0 files would appear, 1 disappear, 1 be released at another time"
    assert await acme.fetchval("SELECT serial FROM journal_head") == 0
    assert await acme.fetchval("SELECT count(*) FROM rule") == 0


async def test_observed_report(acme: Connection, run: Run) -> None:
    """The report has what is served only because of observation, and what would become of it."""
    assert await asked(run, "policy", "observed") == []
    await asked(run, "policy", "set", "observed", "*", "--reason", "first weeks")
    (found,) = await asked(run, "policy", "observed")
    assert (found["filename"], found["state"], found["release_at"]) == (
        *("acme-2.0.zip", "held", "2026-11-24T12:00:00.000000Z"),
    )
    assert "acme-2.0.zip" in (await asyncio.to_thread(run, "policy", "observed")).output
    settled = await settle(acme, NormalizedName("acme"), "2.0", WEEK)
    assert [file.filename for file in settled.held] == ["acme-2.0.zip"]


async def test_settling_blocks_nothing_that_is_observed(acme: Connection, run: Run) -> None:
    """What its upstream took away stays held and served under observation, and is blocked once that has ended."""
    await asked(run, "policy", "set", "observed", "acme", "--reason", "first weeks", "--expires", "2d")
    await acme.execute("UPDATE file SET absent_since = koschey_now() WHERE version = '2.0'")
    await settle(acme, NormalizedName("acme"), "2.0", WEEK)
    assert await served_of(acme) == {"acme-1.0.zip", "acme-2.0.zip"}
    await set_clock(acme, NOON + 2 * DAY)
    assert await served_of(acme) == {"acme-1.0.zip"}
    assert await expire_rules(acme) == 1
    await settle(acme, NormalizedName("acme"), "2.0", WEEK)
    assert await acme.fetchval("SELECT state FROM standing WHERE file_id = 2") == "blocked"


async def served_of(connection: Connection) -> set[str]:
    return {row["filename"] for row in await connection.fetch("SELECT filename FROM served_file")}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("set", "windows", "*", "7", "--reason", "x"), "there is no kind 'windows'"),
        (("set", "window", "*", "7", "--reason", "x", "--expires", "soon"), "is not an expiry"),
        (("set", "window", "*", "7", "--reason", "x", "--expires", "2020-01-01"), "not in the future"),
        (("unset", "window", "*", "--reason", "x"), "no rule window"),
        (("apply", "nowhere.toml", "--reason", "x"), "nowhere.toml cannot be read"),
        (("show", "--project", "_"), "not a project name"),
        (("explain", "six=1"), "does not name a single release"),
        (("export", "no/such/folder/policy.toml"), "cannot be written"),
    ],
)
def test_wrong_commands(run: Run, command: tuple[str, ...], words: str) -> None:
    """A command that cannot be carried out says why in one line."""
    with pytest.raises(UsageError) as refusal:
        run("policy", *command)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_apply_needs_a_reason(run: Run, tmp_path: Path) -> None:
    """What changes the policy says why; a dry run need not."""
    file = tmp_path / "policy.toml"
    file.write_text("")
    assert "--reason" in run("policy", "apply", str(file), code=2).stderr
    assert "no rule would change" in run("policy", "apply", str(file), "--dry-run").stdout
    file.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        run("policy", "apply", str(file), "--dry-run")


async def test_covered_files_come_project_by_project(connection: Connection) -> None:
    """However many rules cover a file it comes once, with the project that it is of."""
    await add_project(connection, "acme", [new_file("acme-1.0.zip"), new_file("acme-2.0.zip")])
    await add_project(connection, "other", [new_file("other-1.0.zip", State.BLOCKED)])
    wanted = [Rule(RuleKind.TRUSTED, None, "x", "ada", scope) for scope in ("*", "acme", "@upstream")]
    async with connection.transaction():
        found = [item async for item in scopes.stream_covered(connection, wanted, [State.HELD])]
    assert [(owner.name, [item.file.filename for item in items]) for owner, items in found] == [
        ("acme", ["acme-1.0.zip", "acme-2.0.zip"])
    ]


# What a lifted rule leaves


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
