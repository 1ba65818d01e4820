"""Hosted projects over HTTP and the command line: what yank, removal and status do to every surface."""

import concurrent.futures
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.api import Api, is_problem
from tests.support.archives import wheel
from tests.support.koschey_up import Answer, Koschey, ask, wait_until
from tests.support.upstream.server import Upstream

WHY = {"reason": "it held a key"}


@pytest.fixture(name="api", scope="session")
def _api(koschey: Koschey) -> Api:
    """The API of the shared index."""
    return Api(koschey)


def wheel_of(project: str, version: str = "1.0") -> str:
    """The name of the wheel that `Api.upload` sends."""
    return wheel(project, version)[0]


def hosted(api: Api, project: str, *versions: str) -> str:
    """Upload releases of a project; returns the name of the first file."""
    for version in versions or ("1.0",):
        assert api.upload(project, version).status == 200
    wait_until(lambda: len(api.koschey.filenames(project)) == len(versions or ("1.0",)))
    return wheel_of(project, (versions or ("1.0",))[0])


def in_both(koschey: Koschey, what: Callable[[], bool]) -> None:
    """Wait until all web processes say so: several answers in a row on connections of their own."""
    wait_until(lambda: all(what() for _ in range(8)))


def html(koschey: Koschey, project: str) -> str:
    """A project's page as browsers and old clients see it."""
    return ask(f"{koschey.index_url}{project}/", Accept="text/html").body.decode()


def beside(koschey: Koschey, filename: str) -> dict[str, Answer]:
    """A file and what stands beside it."""
    url = koschey.url + koschey.path_of(filename)
    answers = {suffix: ask(url + suffix) for suffix in ("", ".metadata", ".provenance_url.json")}
    return answers | {"HEAD": ask(url, method="HEAD"), "range": ask(url, Range="bytes=0-9")}


# What is read


def test_a_project_is_shown_with_what_the_verdict_says(api: Api, upstream: Upstream) -> None:
    """Held files stand beside released ones, with their states and reasons, and the ETag is the serial."""
    upstream.add("api-shown", "1.0")
    upstream.add("api-shown", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    assert api.koschey.filenames("api-shown") == [wheel_of("api-shown")]
    answer = api.call("GET", "projects/API_Shown")
    project = answer.json
    assert (project["name"], project["origin"], project["status"]) == ("api-shown", "mirrored", "active")
    assert project["versions"] == ["1.0", "2.0"]
    found = {file["version"]: (file["state"], file["served"]) for file in project["files"]}
    assert found == {"1.0": ("released", True), "2.0": ("held", False)}
    assert project["files"][1]["release_at"].endswith("Z")
    assert answer.headers["etag"] == f'"{project["serial"]}"'
    assert answer.headers["cache-control"] == "no-store"


def test_what_waits_is_listed_in_parts(api: Api, upstream: Upstream) -> None:
    """The quarantine can be read a part at a time and by name, with the number of all."""
    for number in range(3):
        upstream.add(f"api-waits-{number}", "1.0", upload_time=datetime.now(UTC) - timedelta(hours=number + 1))
        api.koschey.page(f"api-waits-{number}")
    parts = [api.call("GET", f"quarantine?project=api-waits&limit=2&offset={offset}").json for offset in (0, 2)]
    assert [part["total"] for part in parts] == [3, 3]
    found = [release["project"] for part in parts for release in part["releases"]]
    assert found == ["api-waits-2", "api-waits-1", "api-waits-0"]
    assert parts[0]["releases"][0]["state"] == "held"


def test_the_journal_is_followed_by_serial(api: Api) -> None:
    """Whoever asks again with the last serial seen reads every change once, in order."""
    after = api.call("GET", "journal?limit=1").json["serial"]
    hosted(api, "api-journal", "1.0", "2.0")
    api.call("POST", "projects/api-journal/releases/1.0/yank", WHY)
    seen = []
    while True:
        part = api.call("GET", "journal", query={"after": after, "limit": 2}).json
        seen += part["entries"]
        if not part["entries"]:
            break
        after = part["entries"][-1]["serial"]
    serials = [entry["serial"] for entry in seen]
    assert serials == list(range(serials[0], serials[0] + len(serials)))
    ours = [entry for entry in seen if entry["project"] == "api-journal"]
    assert [entry["action"] for entry in ours] == ["add file", "add file", "yank release"]
    last = ours[-1]
    assert (last["actor"], last["door"], last["filename"]) == ("admin", "api", wheel_of("api-journal"))
    assert last["detail"] == {"reason": WHY["reason"]}


# Yank


def test_yank_and_back(api: Api) -> None:
    """A yanked release is marked in every form of the page and still served; the mark can be taken back."""
    koschey, filename = api.koschey, hosted(api, "api-yank", "1.0", "2.0")
    answer = api.call("POST", "projects/api-yank/releases/1.0/yank", {"reason": 'does "not" start <b>'})
    assert answer.status == 200
    expected = {"project": "api-yank", "serial": 0, "changed": True, "files": [filename], "waits": False}
    assert answer.json | {"serial": 0} == expected
    in_both(koschey, lambda: koschey.page("api-yank")["files"][0]["yanked"] == 'does "not" start <b>')
    assert koschey.page("api-yank")["files"][1]["yanked"] is False
    assert 'data-yanked="does &quot;not&quot; start &lt;b&gt;"' in html(koschey, "api-yank")
    assert beside(koschey, filename)[""].status == 200
    assert koschey.page("api-yank")["meta"]["_last-serial"] == answer.json["serial"]
    assert api.call("DELETE", "projects/api-yank/releases/1.0/yank", query={"reason": "it does"}).json["changed"]
    in_both(koschey, lambda: koschey.page("api-yank")["files"][0]["yanked"] is False)
    assert "data-yanked" not in html(koschey, "api-yank")


def test_yank_at_once(api: Api) -> None:
    """Of many requests that yank the same release at once one changes it, and there is one journal row."""
    hosted(api, "api-yank-race")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        requests = [
            threads.submit(api.call, "POST", "projects/api-yank-race/releases/1.0/yank", WHY) for _ in range(16)
        ]
        answers = [request.result() for request in requests]
    assert {answer.status for answer in answers} == {200}
    assert [answer.json["changed"] for answer in answers].count(True) == 1
    assert api.actions("api-yank-race") == ["add file", "yank release"]


# Remove


@pytest.mark.parametrize("what", ["files", "releases", ""])
def test_removal_leaves_a_tombstone(api: Api, what: str) -> None:
    """What is removed is on no page and 410 at each of its URLs, its bytes are kept, and its name stays used."""
    koschey, project = api.koschey, f"api-gone-{what or 'all'}"
    filename = hosted(api, project, "1.0", "2.0")
    digest = koschey.fetch_value("SELECT sha256 FROM file WHERE filename = $1", filename)
    path = {"files": f"/files/{filename}", "releases": "/releases/1.0", "": ""}[what]
    answer = api.call("DELETE", f"projects/{project}{path}", query=WHY)
    assert (answer.status, answer.json["changed"]) == (200, True)
    left = [] if what == "" else [wheel_of(project, "2.0")]
    in_both(koschey, lambda: koschey.filenames(project) == left)
    assert filename not in html(koschey, project)
    for name, refused in beside(koschey, filename).items():
        assert refused.status == 410, name
        assert refused.headers["cache-control"] == "no-store"
    assert "it held a key (removed by admin)" in beside(koschey, filename)[""].json["detail"]
    for note in ("", "other bytes"):
        again = api.upload(project, note=note)
        assert again.status == 400
        assert again.body.startswith(b"This filename was previously used by a file that has since been deleted.")
    assert (koschey.data / "s3" / "koschey" / "blobs/sha256" / digest[:2] / digest[2:4] / digest).exists()
    assert api.upload(project, "3.0").status == 200
    shown = {file["filename"]: file["state"] for file in api.project(project)["files"]}
    assert shown[filename] == "removed"


def test_an_emptied_project_stays_ours(api: Api, upstream: Upstream) -> None:
    """A project of which everything is removed is a page without files, and the upstream is never asked for it."""
    upstream.add("api-emptied", "9.0")
    hosted(api, "api-emptied")
    assert api.call("DELETE", "projects/api-emptied", query=WHY).status == 200
    in_both(api.koschey, lambda: api.koschey.filenames("api-emptied") == [])
    page = api.koschey.page("api-emptied")
    assert page["versions"] == []
    assert upstream.count("/simple/api-emptied/") == 0
    assert api.project("api-emptied")["origin"] == "hosted"


def test_removal_at_once(api: Api) -> None:
    """Removals of a file, its release and its project at once remove each file once."""
    filename = hosted(api, "api-gone-race", "1.0", "2.0")
    paths = ["", "/releases/1.0", "/releases/2.0", f"/files/{filename}"] * 4
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        requests = [threads.submit(api.call, "DELETE", f"projects/api-gone-race{path}", query=WHY) for path in paths]
        answers = [request.result() for request in requests]
    assert {answer.status for answer in answers} == {200}
    removed = [name for answer in answers for name in answer.json["files"]]
    assert sorted(removed) == [filename, wheel_of("api-gone-race", "2.0")]
    assert sum(action.startswith("remove") for action in api.actions("api-gone-race")) == 2


# Status


def status(api: Api, project: str, value: str) -> Answer:
    """Set a status."""
    return api.call("PUT", f"projects/{project}/status", {"status": value, "reason": "why <not>"})


def test_quarantine_of_a_hosted_project(api: Api) -> None:
    """T-13.1, 13.2, 13.4: a page with status and reason but no file, 403 for files and uploads; then all is back."""
    koschey, filename = api.koschey, hosted(api, "api-quarantined", "1.0", "2.0")
    api.call("DELETE", "projects/api-quarantined/releases/2.0", query=WHY)
    in_both(koschey, lambda: koschey.filenames("api-quarantined") == [filename])
    before = koschey.page("api-quarantined")["files"]
    assert status(api, "api-quarantined", "quarantined").json["changed"]
    in_both(koschey, lambda: koschey.page("api-quarantined")["files"] == [])
    page = koschey.page("api-quarantined")
    assert page["project-status"] == {"status": "quarantined", "reason": "why <not>"}
    assert page["versions"] == []
    assert 'content="quarantined"' in html(koschey, "api-quarantined")
    assert "why &lt;not&gt;" in html(koschey, "api-quarantined")
    answers = beside(koschey, filename)
    assert {answer.status for answer in answers.values()} == {403}
    assert "the project is quarantined: why <not>" in answers[""].json["detail"]
    refusal = api.upload("api-quarantined", "3.0")
    assert (refusal.status, b"quarantined" in refusal.body) == (403, True)
    assert [file["served"] for file in api.project("api-quarantined")["files"]] == [False, False]
    assert status(api, "api-quarantined", "active").json["changed"]
    in_both(koschey, lambda: koschey.page("api-quarantined")["files"] == before)
    assert beside(koschey, filename)[""].status == 200
    assert beside(koschey, wheel_of("api-quarantined", "2.0"))[""].status == 410


@pytest.mark.parametrize(("value", "uploads"), [("archived", 403), ("deprecated", 200)])
def test_other_statuses_serve_files(api: Api, value: str, uploads: int) -> None:
    """Archived and deprecated projects serve what they have; only an archived one takes no more."""
    koschey, project = api.koschey, f"api-{value}"
    filename = hosted(api, project)
    assert status(api, project, value).status == 200
    in_both(koschey, lambda: koschey.page(project)["project-status"]["status"] == value)
    assert koschey.filenames(project) == [filename]
    assert beside(koschey, filename)[""].status == 200
    assert api.upload(project, "2.0").status == uploads
    assert status(api, project, value).json["changed"] is False
    assert api.actions(project).count("project status") == 1


def test_an_unknown_status_is_refused(api: Api) -> None:
    """There are four statuses."""
    hosted(api, "api-status")
    assert is_problem(status(api, "api-status", "deleted"), 400)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/status", {"status": "quarantined", "reason": "why"}),
        ("POST", "/releases/1.0/yank", WHY),
        ("DELETE", "/releases/1.0", None),
        ("DELETE", "", None),
    ],
)
def test_a_mirrored_project_is_its_upstreams(
    api: Api, upstream: Upstream, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """A mirrored project is refused in words that say what can be done, and nothing changes."""
    upstream.add("api-mirrored", "1.0")
    api.koschey.page("api-mirrored")
    serial = api.project("api-mirrored")["serial"]
    answer = api.call(method, f"projects/api-mirrored{path}", body, query=None if body else WHY)
    assert is_problem(answer, 400)
    assert "koschey block 'api-mirrored" in answer.json["detail"]
    assert api.project("api-mirrored")["serial"] == serial


# Decisions and conditions


def test_decisions(api: Api, upstream: Upstream) -> None:
    """T-13.3: what is approved appears at once and moves the serial; what is blocked leaves again."""
    koschey = api.koschey
    file = upstream.add("api-decided", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    assert koschey.filenames("api-decided") == []
    before = koschey.page("api-decided")["meta"]["_last-serial"]
    decision = {"choice": "approve", "project": "Api.Decided", "version": "v2.0", "reason": "read"}
    wait_until(lambda: koschey.is_stored(file.filename))
    answer = api.call("POST", "decisions", decision)
    assert (answer.status, answer.json["files"]) == (200, [file.filename])
    in_both(koschey, lambda: koschey.filenames("api-decided") == [file.filename])
    assert koschey.page("api-decided")["meta"]["_last-serial"] >= answer.json["serial"] > before
    assert api.call("POST", "decisions", decision).json["changed"] is False
    assert api.call("POST", "decisions", decision | {"choice": "block"}).json["changed"]
    in_both(koschey, lambda: koschey.filenames("api-decided") == [])
    door = koschey.fetch_value("SELECT door FROM decision WHERE project = 'api-decided' LIMIT 1")
    assert door == "api"


def test_a_rule_for_what_is_not_here_yet(api: Api) -> None:
    """A project can be blocked before anybody has asked for it."""
    decision = {"choice": "block", "project": "api-to-come", "reason": "a known trap"}
    assert api.call("POST", "decisions", decision).json["changed"]
    assert api.call("POST", "decisions", decision | {"choice": "unblock"}).json["changed"]
    assert api.call("POST", "decisions", decision | {"choice": "unblock"}).json["changed"] is False


def test_a_change_can_name_what_it_saw(api: Api) -> None:
    """With the ETag of the last answer a change is made; with an older one it is 412 and nothing happens."""
    hosted(api, "api-condition")
    seen = api.call("GET", "projects/api-condition").headers["etag"]
    first = api.call("POST", "projects/api-condition/releases/1.0/yank", WHY, If_Match=seen)
    assert first.status == 200
    late = api.call("DELETE", "projects/api-condition", query=WHY, If_Match=seen)
    assert is_problem(late, 412)
    assert str(first.json["serial"]) in late.json["detail"]
    assert api.actions("api-condition") == ["add file", "yank release"]
    assert api.call("DELETE", "projects/api-condition", query=WHY, If_Match=first.headers["etag"]).status == 200


def test_of_two_who_saw_the_same_one_may_change_it(api: Api) -> None:
    """The condition is checked under the lock: of many with the same ETag exactly one changes anything."""
    hosted(api, "api-condition-race")
    seen = api.call("GET", "projects/api-condition-race").headers["etag"]

    def run(number: int) -> int:
        body = {"reason": f"reason {number}"}
        return api.call("POST", "projects/api-condition-race/releases/1.0/yank", body, If_Match=seen).status

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(run, range(16)))
    assert sorted(statuses) == [200] + [412] * 15
    assert api.actions("api-condition-race") == ["add file", "yank release"]


# The command line


def test_the_command_line_does_it_all(api: Api) -> None:
    """Every change is a command, names the operator and the door, and can print JSON."""
    koschey, filename = api.koschey, hosted(api, "api-cli", "1.0", "2.0")
    done = koschey.run("yank", "api-cli==1.0", "--reason", "broken", "--json")
    answer = json.loads(done.stdout)
    assert answer | {"serial": 0} == {
        "action": "yank",
        "scope": "api-cli==1.0",
        "serial": 0,
        "changed": True,
        "files": [filename],
    }
    assert koschey.run("yank", "api-cli==1.0", "--reason", "broken").stdout == (
        "yank api-cli==1.0: nothing to change; this is already the case\n"
    )
    assert koschey.run("unyank", "Api_CLI==1.0", "--reason", "it works").stdout.endswith("1 file changed\n")
    assert koschey.run("yank", "api-cli==1.0", "--file", filename, "--reason", "this one").returncode == 0
    assert "serial" in koschey.run("status", "api-cli", "archived", "--reason", "done").stdout
    assert koschey.run("remove", "api-cli", "--file", filename, "--reason", "key", "--yes").stdout.endswith(
        "1 file changed\n"
    )
    assert api.actions("api-cli")[2:] == [
        "yank release",
        "unyank release",
        "yank file",
        "project status",
        "remove file",
    ]
    door = "SELECT door FROM journal WHERE project = 'api-cli' ORDER BY serial DESC LIMIT 1"
    assert koschey.fetch_value(door) == "cli"


def typed(koschey: Koschey, text: str) -> subprocess.CompletedProcess[str]:
    """Answer the question of `koschey remove`."""
    command = ["remove", "api-asked", "--reason", "why", "--data", str(koschey.data)]
    return subprocess.run(
        [sys.executable, "-m", "koschey", *command], input=text, capture_output=True, text=True, timeout=60, check=False
    )


def test_removal_asks_for_the_name(api: Api) -> None:
    """Without `--yes` nothing is removed unless the project's name is typed; the question spoils no output."""
    hosted(api, "api-asked")
    for text in ("yes\n", "\n\n\n", ""):
        done = typed(api.koschey, text)
        assert done.returncode == 1, done
        assert done.stdout == ""
    assert api.actions("api-asked") == ["add file"]
    done = typed(api.koschey, "api-asked\n")
    assert (done.returncode, done.stdout.startswith("remove api-asked: serial ")) == (0, True)
    assert "permanently" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("yank", "api-none-such==1.0", "--reason", "why"), 1, "there is no project api-none-such here"),
        (("yank", "api-none-such", "--reason", "why"), 1, "name==version"),
        (("remove", "api-none-such", "--reason", " ", "--yes"), 1, "give a reason"),
        (("remove", "api-none-such", "--yes"), 2, "--reason"),
        (("status", "api-none-such", "gone", "--reason", "why"), 2, "gone"),
        (("status", "..", "active", "--reason", "why"), 1, "not a project name"),
    ],
    ids=range(6),
)
def test_commands_that_cannot_be(api: Api, command: tuple[str, ...], code: int, words: str) -> None:
    """A command that cannot be carried out says why in one line, with its exit code."""
    done = api.koschey.run(*command, check=False)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
