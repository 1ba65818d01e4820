"""The commands about the policy: what each says, changes, and refuses."""

import asyncio
import json
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from koschey.db.findings import CheckRun, write_runs
from koschey.db.pool import Connection
from koschey.errors import NotKnown, UsageError
from koschey.governance.expiry import expire_rules
from koschey.policy.findings import Finding, Severity
from koschey.quarantine.settle import settle
from tests.support.policy_changes import DAY, Run, asked
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, select_files


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
