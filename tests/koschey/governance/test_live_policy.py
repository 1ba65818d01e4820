"""The policy on a running index: through the API, under observation, and when rules end by themselves."""

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.db.pool import Connection
from koschey.db.rules import select_all_rules, select_rules, write_rule
from koschey.policy.rules import Rule, RuleKind
from tests.support.api import Api, is_problem
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.upstream.server import Upstream


@pytest.fixture(name="api", scope="session")
def _api(koschey: Koschey) -> Api:
    """The API of the shared index."""
    return Api(koschey)


@pytest.fixture
def policy(api: Api) -> Iterator[dict[str, Any]]:
    """The policy as it is read before a test; put back after it."""
    before = api.call("GET", "policy").json
    yield before
    # Exceptions stay as they are, and no rule is put in force as one.
    rules = [rule for rule in before["rules"] if rule["kind"] != "exception"]
    rules = [{name: value for name, value in rule.items() if name != "author"} for rule in rules]
    assert api.call("PUT", "policy", {"rules": rules, "reason": "the test is over"}).status == 200


def rule(kind: str, scope: str, value: object = None, **more: object) -> dict[str, object]:
    return {"kind": kind, "scope": scope, "value": value, "reason": "why", **more}


# The API


def test_a_rule_is_put_read_and_lifted(api: Api, policy: dict[str, Any]) -> None:
    """One rule is put in force with all that is said of it, read again for what it covers, and lifted."""
    put = rule("check", "Pol-A-*", "hold", subject="names/near", ends="2099-01-31T12:00:00Z", ticket="SEC-1")
    answer = api.call("POST", "policy/rules", put)
    assert (answer.status, answer.json["changed"], answer.json["files"]) == (200, True, [])
    (changed,) = answer.json["rules"]
    author = changed["after"].pop("author")
    assert author == "admin"
    assert changed == {"change": "+", "before": None, "after": put | {"scope": "pol-a-*"}}
    assert api.call("POST", "policy/rules", put).json["changed"] is False
    read = api.call("GET", "policy", query={"project": "pol-a-tools"})
    assert [each["kind"] for each in read.json["rules"]] == ["check"]
    assert read.json["window_days"] == 7
    others = api.call("GET", "policy", query={"project": "pol-b"}).json["rules"]
    assert [each for each in others if each["scope"] == "pol-a-*"] == []
    lifted = {"kind": "check", "scope": "pol-a-*", "subject": "names/near", "reason": "enough"}
    answer = api.call("DELETE", "policy/rules", query=lifted)
    assert [each["change"] for each in answer.json["rules"]] == ["-"]
    effects = ("files_served_no_more", "files_served_again", "still_blocked")
    assert [answer.json[name] for name in effects] == [0, 0, []]
    assert is_problem(api.call("DELETE", "policy/rules", query=lifted), 404)
    assert api.actions("pol-a-*") == ["policy", "policy"]


def test_a_stale_policy_is_not_overwritten(api: Api, policy: dict[str, Any]) -> None:
    """Whoever names the policy that he saw changes it only where it is still that; else 412, and nothing happened."""
    read = api.call("GET", "policy")
    assert read.headers["etag"] == f'"{read.json["tag"]}"'
    put = api.call("POST", "policy/rules", rule("window", "pol-c", 3), If_Match=read.headers["etag"])
    assert put.status == 200
    assert put.headers["etag"] != read.headers["etag"]
    for method, path, body in (
        ("POST", "policy/rules", rule("window", "pol-c", 4)),
        ("PUT", "policy", {"rules": [], "reason": "x"}),
        ("PUT", "policy", {"rules": [], "reason": "x", "dry_run": True}),
    ):
        assert is_problem(api.call(method, path, body, If_Match=read.headers["etag"]), 412)
    assert api.call("GET", "policy").headers["etag"] == put.headers["etag"]
    same = {"kind": "window", "scope": "pol-c", "reason": "x"}
    assert api.call("DELETE", "policy/rules", query=same, If_Match=put.headers["etag"]).status == 200
    assert api.call("GET", "policy").headers["etag"] == read.headers["etag"]


def test_the_whole_policy_with_a_dry_run_first(
    api: Api, koschey: Koschey, upstream: Upstream, policy: dict[str, Any]
) -> None:
    """A dry run names the file that will be gone, and its page still has it; put in force, the page has it no more."""
    file = upstream.add("pol-d", "1.0")
    assert koschey.filenames("pol-d") == [file.filename]
    wanted: dict[str, object] = {"rules": [rule("blocked", "pol-d")], "reason": "why"}
    dry = api.call("PUT", "policy", wanted | {"dry_run": True})
    assert (dry.status, dry.json["changed"], dry.json["serial"]) == (200, False, None)
    assert {each["filename"]: each["change"] for each in dry.json["files"]}[file.filename] == "-"
    assert koschey.filenames("pol-d") == [file.filename]
    serial = koschey.page("pol-d")["meta"]["_last-serial"]
    assert api.call("PUT", "policy", wanted | {"confirm": 1}).json["changed"] is True
    wait_until(lambda: koschey.filenames("pol-d") == [])
    assert koschey.page("pol-d")["meta"]["_last-serial"] > serial
    assert ask(koschey.url + file.path).status == 403


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (rule("windows", "*", 7), "there is no kind 'windows'"),
        (rule("window", "*", -1), "days from 0 to 3650"),
        (rule("window", "*", True), "value"),
        (rule("window", "*", 7, until="2099-01-01"), "unknown field `until`"),
        (rule("window", "*", 7, ends="2020-01-01T00:00:00Z"), "not in the future"),
        (rule("window", "a\0", 7), "$.scope"),
        (rule("exception", "six==1.0", "0" * 40), "an exception is for bytes that exist"),
        (
            {"rules": [rule("trusted", "a"), rule("trusted", "A")], "reason": "x"},
            "rule 2 has the same kind, scope and subject as rule 1",
        ),
        ({"rules": [rule("trusted", "a"), rule("trusted", "_")], "reason": "x"}, "rule 2: "),
        ({"rules": [], "reason": " "}, "give a reason"),
    ],
    ids=range(10),
)
def test_bad_rules(api: Api, body: dict[str, object], words: str) -> None:
    """What is no rule is refused with what and where, and leaves nothing behind."""
    before = api.koschey.fetch_value("SELECT serial FROM journal_head")
    answer = api.call("PUT", "policy", body) if "rules" in body else api.call("POST", "policy/rules", body)
    assert is_problem(answer, 400)
    assert words in answer.json["detail"]
    assert api.koschey.fetch_value("SELECT serial FROM journal_head") == before


# Observation


def test_observed_files_are_on_every_surface(koschey: Koschey, upstream: Upstream) -> None:
    """Under observation a held file is listed, not as yanked, and served; its state stays, and so it goes again."""
    file = upstream.add("pol-observed", "1.0", upload_time=datetime.now(UTC))
    assert koschey.filenames("pol-observed") == []
    assert koschey.state_of(file.filename) == "held"
    serial = koschey.page("pol-observed")["meta"]["_last-serial"]
    koschey.run("policy", "set", "observed", "pol-observed-*", "--reason", "first weeks")
    try:
        wait_until(lambda: koschey.filenames("pol-observed") == [file.filename])
        (listed,) = koschey.page("pol-observed")["files"]
        assert listed["yanked"] is False
        assert koschey.page("pol-observed")["meta"]["_last-serial"] == serial
        assert hashlib.sha256(ask(koschey.url + file.path).body).hexdigest() == file.sha256
        assert koschey.state_of(file.filename) == "held"
        report = json.loads(koschey.run("policy", "observed", "--json").stdout)
        assert [each["state"] for each in report if each["filename"] == file.filename] == ["held"]
        assert "OBSERVATION IS ON" in koschey.run("policy", "show").stdout
    finally:
        koschey.run("policy", "unset", "observed", "pol-observed-*", "--yes", "--reason", "the test is over")
    wait_until(lambda: koschey.filenames("pol-observed") == [])
    assert ask(koschey.url + file.path).status == 403


# Rules that end


def test_a_rule_that_ends_counts_nowhere_any_more(koschey: Koschey, upstream: Upstream) -> None:
    """Pages, documents and files are as they were once a rule has ended, though nothing was committed meanwhile."""
    file = upstream.add("pol-ends", "1.0")
    document = f"{koschey.url}/pypi/pol-ends/json"
    assert koschey.filenames("pol-ends") == [file.filename]
    assert ask(document).status == 200
    koschey.run("policy", "set", "blocked", "pol-ends", "--yes", "--reason", "for a moment", "--expires", "0.06m")
    ends = time.monotonic() + 3.6
    wait_until(lambda: koschey.filenames("pol-ends") == [])
    assert ask(koschey.url + file.path).status == 403
    assert ask(document).status == 404
    koschey.run(
        "policy", "set", "blocked", "pol-ends-unseen", "--yes", "--reason", "for a moment", "--expires", "0.06m"
    )
    assert koschey.page("pol-ends-unseen")["project-status"]["status"] == "quarantined"
    serial = koschey.fetch_value("SELECT serial FROM journal_head")
    time.sleep(max(0.0, ends - time.monotonic()) + 0.2)
    for _ in range(8):  # of each web process
        assert koschey.filenames("pol-ends") == [file.filename]
        assert ask(document).status == 200
    assert ask(koschey.url + file.path).status == 200
    wait_until(lambda: ask(f"{koschey.index_url}pol-ends-unseen/").status == 404)
    ended = "SELECT count(*) FROM journal WHERE serial > $1 AND action <> 'policy ended'"
    assert koschey.fetch_value(ended, serial) == 0


async def test_rules_keep_their_order(connection: Connection) -> None:
    """Rules come in the order of their keys, wherever PostgreSQL has put their rows since they were first written."""
    every = [
        Rule(kind, None, "why", "ada", scope, value="7")
        for kind in (RuleKind.UNKNOWN_AGE, RuleKind.WINDOW)
        for scope in ("*", "acme", "acme-*")
    ]
    for rule in [*reversed(every), *every[::2], *every[1::3]]:
        await write_rule(connection, rule)
    # As PostgreSQL decides by itself once it knows how few they are.
    await connection.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    found = (await select_rules(connection, NormalizedName("acme"))).rules
    assert [(rule.kind, rule.scope) for rule in found] == [(rule.kind, rule.scope) for rule in every]
    assert (await select_all_rules(connection)).rules == found
