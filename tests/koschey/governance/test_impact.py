"""Before a change hides what is in use, every door says how much that is, and waits until a person agrees to it."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from koschey.db.downloads import NewDownload, record_downloads
from koschey.db.pool import Connection
from koschey.errors import Unconfirmed
from koschey.governance.changes import Agreed, apply_policy, set_rule, unset_rule
from koschey.governance.preview import Usual
from koschey.governance.reservations import reserve
from koschey.governance.retention import forget_downloads
from koschey.governance.terms import Terms
from koschey.model import Actor, FileId, State
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.impact import NO_CONSENT, NOTHING, Consent, Impact, measure
from tests.support.api import Api
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.panel import Person
from tests.support.rows import WEEK, add_project, new_file
from tests.support.upstream.server import Upstream

CLI = Actor("ada", "cli")
USUAL = Usual(WEEK, None)


@pytest.fixture(name="spam")
async def _spam(connection: Connection) -> list[FileId]:
    """A mirrored project with two files that are served and one that is held, and those who took them."""
    rows = [
        new_file("spam-1.0.tar.gz", State.RELEASED),
        new_file("spam-1.1.tar.gz", State.RELEASED),
        new_file("spam-2.0.tar.gz"),
    ]
    await add_project(connection, "spam", rows)
    ids = [FileId(row["id"]) for row in await connection.fetch("SELECT id FROM file ORDER BY id")]
    takers = [("ci", "10.0.0.1"), ("ci", "10.0.0.1"), ("ci", "10.0.0.2"), (None, "10.0.0.2"), (None, None)]
    for account, address in takers:
        await record_downloads(connection, [NewDownload(ids[0], account, None, address, "pip")])
    return ids


def closing(scope: str, version: str | None = None, kind: RuleKind = RuleKind.BLOCKED) -> list[Rule]:
    """A rule that closes a scope."""
    return [Rule(kind, version, "why", "ada", scope)]


@pytest.mark.parametrize(
    ("rules", "impact"),
    [
        (closing("spam"), Impact(2, 5, 4)),
        (closing("*"), Impact(2, 5, 4)),
        (closing("@upstream"), Impact(2, 5, 4)),
        (closing("spam-*", kind=RuleKind.RESERVED), Impact(2, 5, 4)),
        (closing("spam", "1.0"), Impact(1, 5, 4)),
        (closing("spam", "1.1"), Impact(1, 0, 0)),
        (closing("spam", "2.0"), NOTHING),
        (closing("eggs"), NOTHING),
        ([], NOTHING),
    ],
)
async def test_impact_is_what_is_served_and_who_took_it(
    connection: Connection, spam: list[FileId], rules: list[Rule], impact: Impact
) -> None:
    """Files that are served now count, their downloads, and the pairs of account and address that made these."""
    assert await measure(connection, rules) == impact


async def test_forgotten_downloads_still_count(connection: Connection, spam: list[FileId]) -> None:
    """By how many a file was downloaded is forgotten with the log, but not how often."""
    await connection.execute("UPDATE download SET at = at - interval '100 days' WHERE account = 'ci'")
    assert await forget_downloads(connection, WEEK) == 3
    assert await measure(connection, closing("spam")) == Impact(2, 5, 2)


def test_impact_reads_as_a_sentence() -> None:
    """One and many, and a bound where there are very many."""
    assert str(Impact(1, 1, 1)) == "1 file, downloaded 1 time by 1 machine"
    assert str(Impact(1200, 0, 0)) == "1,200 files, downloaded 0 times by 0 machines"
    assert str(Impact(3, 1_000_000, 70)) == "3 files, downloaded at least 1,000,000 times by at least 70 machines"


def changes(connection: Connection, consent: Consent) -> dict[str, Any]:
    """Every change that has the guard, of a project that two files are served of."""
    agreed = Agreed(consent, USUAL)
    blocked = Terms("blocked", "spam", reason="why")
    return {
        "block": lambda: decide(connection, CLI, Decision(Choice.BLOCK, "spam", None, "why"), consent),  # type: ignore[arg-type]
        "recall": lambda: decide(connection, CLI, Decision(Choice.RECALL, "spam", None, "why"), consent),  # type: ignore[arg-type]
        "reserve": lambda: reserve(connection, CLI, "spam", "why", consent),
        "set": lambda: set_rule(connection, CLI, blocked, agreed),
        "apply": lambda: apply_policy(connection, CLI, closing("spam"), "why", agreed),
    }


CHANGES = ("block", "recall", "reserve", "set", "apply")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("agreed", [0, 1, 3])
async def test_nothing_is_hidden_without_consent_to_just_that(
    connection: Connection, spam: list[FileId], change: str, agreed: int
) -> None:
    """Without the right number nothing is changed, and the error says how much it would be."""
    with pytest.raises(Unconfirmed, match="this would hide 2 files, downloaded 5 times by 4 machines") as refusal:
        await changes(connection, Consent(agreed))[change]()
    assert refusal.value.counts == {"files": 2, "downloads": 5, "machines": 4}
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0
    assert await connection.fetchval("SELECT count(*) FROM rule") == 0


@pytest.mark.parametrize("change", CHANGES)
async def test_with_consent_it_is_hidden(connection: Connection, spam: list[FileId], change: str) -> None:
    """With the number that the error names the change is made; again it hides nothing, and needs no consent."""
    await changes(connection, Consent(2))[change]()
    assert await connection.fetchval("SELECT count(*) FROM served_file") == 0
    await changes(connection, NO_CONSENT)[change]()


async def test_what_hides_nothing_needs_no_consent(connection: Connection, spam: list[FileId]) -> None:
    """A release, a name that nobody has, and rules that let more through are changed at once."""
    await decide(connection, CLI, Decision(Choice.BLOCK, "spam", "2.0", "why"), NO_CONSENT)  # type: ignore[arg-type]
    await decide(connection, CLI, Decision(Choice.BLOCK, "spam", "1.0", "one release"), NO_CONSENT)  # type: ignore[arg-type]
    await reserve(connection, CLI, "eggs-*", "why", NO_CONSENT)
    await set_rule(connection, CLI, Terms("window", "*", "3", reason="why"), Agreed(NO_CONSENT, USUAL))
    await set_rule(connection, CLI, Terms("observed", "spam", reason="why"), Agreed(NO_CONSENT, USUAL))


async def test_end_of_observation_is_foreseen(connection: Connection, spam: list[FileId]) -> None:
    """What is held and served only because of observation disappears with it: that is said first."""
    await set_rule(connection, CLI, Terms("observed", "spam", reason="why"))
    await record_downloads(connection, [NewDownload(spam[2], "ci", None, "10.0.0.9", "pip")])
    with pytest.raises(Unconfirmed, match="this would hide 1 file, downloaded 1 time by 1 machine"):
        await unset_rule(connection, CLI, "observed", "spam", None, "enough", Agreed(NO_CONSENT, USUAL))
    await unset_rule(connection, CLI, "observed", "spam", None, "enough", Agreed(Consent(1), USUAL))


# The doors.


@pytest.fixture
def used(koschey: Koschey, upstream: Upstream) -> Iterator[tuple[str, str]]:
    """A project of one file that somebody has downloaded; its name and its path."""
    name = f"gr-{os.urandom(4).hex()}x"
    file = upstream.add(name, "1.0")
    assert koschey.filenames(name) == [file.filename]
    assert ask(koschey.url + file.path).status == 200
    yield name, file.path
    koschey.fetch_value("DELETE FROM rule WHERE project = $1", name)


COMMANDS = {
    "block": ("block", "{}"),
    "recall": ("recall", "{}==1.0"),
    "reserve": ("reserve", "{}"),
    "claim": ("claim", "{}"),
    "policy": ("policy", "set", "blocked", "{}"),
}
SAID = "this would hide 1 file, downloaded 1 time by 1 machine"


def command(koschey: Koschey, which: str, name: str, *more: str) -> list[str]:
    """A command line."""
    words = [word.format(name) for word in COMMANDS[which]]
    return [sys.executable, "-m", "koschey", *words, "--reason", "why", *more, "--data", str(koschey.data)]


@pytest.mark.parametrize("which", COMMANDS)
def test_script_must_say_yes(koschey: Koschey, used: tuple[str, str], which: str) -> None:
    """Without a terminal the command ends with 2, says why, and changes nothing; with --yes it is carried out."""
    name, path = used
    done = subprocess.run(
        command(koschey, which, name), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"koschey: {SAID}; nothing was changed. There is no terminal: check this, then repeat with --yes\n"
    )
    assert ask(koschey.url + path).status == 200
    done = subprocess.run(
        command(koschey, which, name, "--yes"), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    wait_until(lambda: ask(koschey.url + path).status == 403)


@pytest.mark.parametrize(("typed", "code"), [("other", 1), ("{}", 0)])
@pytest.mark.parametrize("which", ["block", "reserve"])
def test_person_types_the_name(koschey: Koschey, used: tuple[str, str], which: str, typed: str, code: int) -> None:
    """At a terminal the name is asked for; another one changes nothing."""
    name, path = used
    mine, theirs = pty.openpty()
    with os.fdopen(mine, "wb", buffering=0) as keys:
        process = subprocess.Popen(
            command(koschey, which, name), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        os.close(theirs)
        keys.write(typed.format(name).encode() + b"\n")
        _, said = process.communicate(timeout=60)
    assert (process.returncode, SAID in said, f"Type {name} to confirm" in said) == (code, True, True), said
    assert ask(koschey.url + path).status == (403 if code == 0 else 200)


BODIES: dict[str, Any] = {
    "make_decision": ("POST", "decisions", {"choice": "block", "project": "{}"}),
    "recall": ("POST", "decisions", {"choice": "recall", "project": "{}", "version": "1.0"}),
    "put_rule": ("POST", "policy/rules", {"kind": "reserved", "scope": "{}"}),
    "claim_name": ("POST", "projects/{}/claim", {}),
}


@pytest.mark.parametrize("which", BODIES)
def test_api_wants_the_count_back(koschey: Koschey, api: Api, used: tuple[str, str], which: str) -> None:
    """The first call is 428 with the counts; the same one with the number of files is carried out."""
    name, path = used
    method, route, body = BODIES[which]
    sent = {"reason": "why", **{key: value.format(name) for key, value in body.items()}}
    for confirm in ({}, {"confirm": 2}):
        answer = api.call(method, route.format(name), sent | confirm)
        assert (answer.status, answer.headers["content-type"]) == (428, "application/problem+json")
        counts = {"files": 1, "downloads": 1, "machines": 1, "confirm": 1}
        assert {key: answer.json[key] for key in counts} == counts
        assert answer.json["detail"] == f'{SAID}; to carry it out all the same, send "confirm": 1'
        assert "retry-after" not in answer.headers
    assert ask(koschey.url + path).status == 200
    assert api.call(method, route.format(name), sent | {"confirm": 1}).status == 200
    wait_until(lambda: ask(koschey.url + path).status == 403)


def test_lifting_observation_by_the_api(koschey: Koschey, api: Api, upstream: Upstream) -> None:
    """The query of a DELETE has the number too."""
    file = upstream.add("gr-observed", "1.0", upload_time=datetime.now(UTC))
    koschey.page("gr-observed")
    rule = {"kind": "observed", "scope": "gr-observed", "reason": "why"}
    assert api.call("POST", "policy/rules", rule).status == 200
    wait_until(lambda: koschey.filenames("gr-observed") == [file.filename])
    answer = api.call("DELETE", "policy/rules", query=rule)
    assert (answer.status, answer.json["files"]) == (428, 1)
    assert api.call("DELETE", "policy/rules", query=rule | {"confirm": 1}).status == 200
    wait_until(lambda: koschey.filenames("gr-observed") == [])


@pytest.fixture(name="api", scope="session")
def _api(koschey: Koschey) -> Api:
    return Api(koschey)


@pytest.fixture
def admin(koschey: Koschey) -> Person:
    """The admin, logged in to the panel."""
    person = Person(koschey.url)
    person.log_in("admin", str(koschey.ready["admin_password"]))
    return person


@pytest.mark.parametrize("choice", ["block", "recall"])
def test_panel_asks_for_the_name(koschey: Koschey, admin: Person, used: tuple[str, str], choice: str) -> None:
    """The page says what would be hidden, and has a field for the name; another name changes nothing."""
    name, path = used
    page = f"/admin/projects/{name}"
    version = "1.0" if choice == "recall" else ""
    form = {"choice": choice, "project": name, "version": version, "reason": "why <b>"}
    answer = admin.ask(page, {"csrf": admin.ask(page).csrf, **form})
    assert (answer.status, answer.told) == (428, SAID)
    again = answer.confirmation
    assert again["reason"] == "why <b>"
    wrong = admin.ask(again["action"], {**again, "again": "other"})
    told = f"the typed name is not {name}, so nothing was changed; type {name} to continue"
    assert (wrong.status, wrong.told) == (400, told)
    assert ask(koschey.url + path).status == 200
    assert admin.ask(again["action"], {**again, "again": name}).status == 303
    wait_until(lambda: ask(koschey.url + path).status == 403)


def test_panel_asks_for_the_scope_of_a_rule(koschey: Koschey, admin: Person, used: tuple[str, str]) -> None:
    """Reserving a name that is in use says so on the page of the policy, and after it which names must be claimed."""
    name, path = used
    form = {"choice": "set", "kind": "reserved", "scope": name, "reason": "ours"}
    answer = admin.ask("/admin/policy", {"csrf": admin.ask("/admin/policy").csrf, **form})
    assert (answer.status, answer.told) == (428, SAID)
    assert ask(koschey.url + path).status == 200
    again = answer.confirmation
    assert admin.ask(again["action"], {**again, "again": name}).status == 303
    told = admin.ask("/admin/policy").told
    assert f"{name} is already mirrored (1 file, 1 of them downloaded from here) and accepts no upload" in told
    wait_until(lambda: ask(koschey.url + path).status == 403)


def test_late_reservation_names_the_command(koschey: Koschey, used: tuple[str, str]) -> None:
    """`koschey reserve` succeeds, and says of a mirrored name what is known of it and what to do."""
    name, _ = used
    done = koschey.run("reserve", name, "--yes", "--reason", "ours")
    assert f"{name} is already mirrored (1 file, 1 of them downloaded from here)" in done.stderr
    assert f"koschey claim {name} --reason WHY" in done.stderr
    told = json.loads(koschey.run("reserve", f"{name}-*", "--yes", "--reason", "ours", "--json").stdout)
    assert told["mirrored"] == [{"name": name, "files": 1, "downloaded": 1}]
    koschey.run("unreserve", f"{name}-*", "--reason", "done")
