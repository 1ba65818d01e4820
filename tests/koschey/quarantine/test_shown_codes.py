"""Where reviewers are shown codes: the panel, the API, the command line; and that each of them decides."""

import html
import json
import re
import shlex
from functools import partial
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.app_in_process import AppInProcess, Store
from tests.support.koschey_up import Koschey, wait_until
from tests.support.panel import Page, Person, add_account
from tests.support.postgres import Postgres
from tests.support.releases import hold_new, refusal
from tests.support.temporal_cli import temporal
from tests.support.upstream.server import Upstream


@pytest.fixture(name="api", scope="session")
def _api(koschey: Koschey) -> Api:
    """The API of the shared index."""
    return Api(koschey)


@pytest.fixture
def rita(koschey: Koschey) -> Person:
    """A reviewer of all projects, logged in."""
    person = Person(koschey.url)
    assert person.log_in(add_account(koschey, "rita-coded", ("reviewer", "*"))).status == 303
    return person


def show(person: Person, path: str = "/admin/", **form: str) -> Page:
    """Press a button that shows a code."""
    return person.ask("/admin/codes", {"csrf": person.ask(path).csrf, **form})


def copied(page: Page) -> list[str]:
    """What the page offers to copy: ready lines, and the input of the signal."""
    return [html.unescape(text) for text in re.findall(r'<pre class="copy">(.*?)</pre>', page.text, re.DOTALL)]


def test_the_panel_shows_a_ready_line(koschey: Koschey, upstream: Upstream, rita: Person) -> None:
    """A button beside a release shows a code with all that it is bound to, and the line decides as it stands."""
    filename = hold_new(koschey, upstream, "code-panel")
    wait_until(lambda: koschey.is_stored(filename))
    assert 'formaction="/admin/codes"' in rita.ask("/admin/projects/code-panel").text
    page = show(rita, project="code-panel", version="1.0", choice="approve", reason="it's <b>fine</b>")
    assert page.status == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert filename in page.text
    sha256 = str(koschey.fetch_value("SELECT sha256 FROM file WHERE filename = $1", filename))
    assert sha256 in page.text
    line, _, given = copied(page)
    assert json.loads(given)["reviewer"] == "rita-coded"
    assert json.loads(given)["reason"] == "it's <b>fine</b>"
    temporal(koschey, *shlex.split(line)[1:])
    wait_until(lambda: koschey.state_of(filename) == "released", timeout=60)
    who = "SELECT actor || ' ' || door || ' ' || reason FROM decision WHERE project = 'code-panel'"
    assert koschey.fetch_value(who) == "rita-coded code it's <b>fine</b>"


def test_the_panel_shows_one_code_for_many(koschey: Koschey, upstream: Upstream, rita: Person) -> None:
    """The list offers one code for all held releases on it; it covers exactly those, and the reviewer's own alone."""
    files = [hold_new(koschey, upstream, f"code-many-{n}") for n in range(3)]
    for filename in files:
        wait_until(partial(koschey.is_stored, filename))
    listed = rita.ask("/admin/?q=code-many").text
    releases = re.findall(r'name="release" value="([^"]+)"', listed)
    assert sorted(releases) == [f"code-many-{n}==1.0" for n in range(3)]
    assert "One code for the 3 held releases above" in listed
    mine = Person(koschey.url)
    mine.log_in(add_account(koschey, "mona-coded", ("reviewer", "code-many-1")))
    assert 'name="release"' not in mine.ask("/admin/?q=code-many").text
    answer = show(mine, project="code-many-0", version="1.0", choice="block")
    assert answer.status == 403
    assert "may not decide code-many-0" in answer.text


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"project": "code-panel", "version": "", "choice": "approve"}, 400, "choose a release"),
        ({"project": "code-panel", "version": "9.9", "choice": "approve"}, 404, "is not known here"),
        ({"project": "code-panel", "version": "1.0", "choice": "trust"}, 400, "cannot be decided by a signal"),
        ({"project": "code-panel", "version": "1.0", "choice": "extend"}, 400, "give the number of days"),
        (
            {"project": "code-panel", "version": "1.0", "choice": "extend", "days": "nan"},
            400,
            "give the number of days",
        ),
        ({"project": "../x", "version": "1.0", "choice": "approve"}, 400, "not a project name"),
    ],
)
def test_wrong_forms(rita: Person, form: dict[str, str], status: int, words: str) -> None:
    """What no code can be for is a page that says so."""
    page = show(rita, **form)
    assert page.status == status
    assert words in html.unescape(page.text)


def test_no_code_without_a_session(koschey: Koschey) -> None:
    """Neither a stranger nor another site's form gets one."""
    form = {"project": "code-panel", "version": "1.0", "choice": "approve"}
    assert Person(koschey.url).ask("/admin/codes", form).status == 403
    assert Person(koschey.url).ask("/admin/codes").status in (303, 405)


def test_the_api_shows_a_code(api: Api, upstream: Upstream) -> None:
    """It answers an account that may decide with the code, what it is bound to, and what a signal has to carry."""
    koschey = api.koschey
    filename = hold_new(koschey, upstream, "code-api")
    wait_until(lambda: koschey.is_stored(filename))
    body = {"choice": "extend", "releases": [{"project": "Code_API", "version": "1.0"}], "days": 2}
    answer: Any = api.call("POST", "codes", body).json
    assert (answer["reviewer"], answer["signal"], answer["days"]) == ("admin", "extend", 2)
    assert json.loads(answer["input"]) == {"reviewer": "admin", "reason": "WHY", "code": answer["code"], "days": 2.0}
    [release] = answer["releases"]
    assert (release["project"], release["version"]) == ("code-api", "1.0")
    [file] = release["files"]
    assert file["filename"] == filename
    assert file["sha256"] == koschey.fetch_value("SELECT sha256 FROM file WHERE filename = $1", filename)
    assert len(answer["lines"]) == 2
    temporal(koschey, *shlex.split(answer["lines"][0])[1:])
    held_until = "SELECT held_until IS NOT NULL FROM standing JOIN file ON file.id = file_id WHERE filename = $1"
    wait_until(lambda: koschey.fetch_value(held_until, filename), timeout=60)
    body = {"choice": "approve", "releases": [{"project": "code-api", "version": "1.0"}]}
    assert api.call("POST", "codes", body, token=api.token("uploader")).status == 403
    assert api.call("POST", "codes", body, token=api.token("reviewer", "other")).status == 403
    assert refusal(koschey, koschey.path_of(filename))["state"] == "held"


def test_the_command_says_in_whose_name(koschey: Koschey, upstream: Upstream) -> None:
    """`koschey code` has no account; it says that the command line decides, and for what."""
    filename = hold_new(koschey, upstream, "code-cli")
    wait_until(lambda: koschey.is_stored(filename))
    shown = koschey.run("code", "reject", "code-cli==1.0").stdout
    assert re.search(r"^Code \S{5}-\S{5}: reject in the name of \w+ \(the command line\), once,$", shown, re.MULTILINE)
    assert filename in shown
    for command, code, words in [
        (("code", "approve", "code-cli==9.0"), 1, "is not known here"),
        (("code", "approve", "code-unknown"), 1, "no release of code-unknown is held"),
        (("code", "trust", "code-cli"), 2, "is not one of"),
        (("code", "approve"), 2, "Missing argument"),
        (("code", "extend", "code-cli==1.0"), 1, "give the number of days"),
        (("code", "approve", "code-cli==1.0", "code-cli"), 1, "named twice"),
    ]:
        done = koschey.run(*command, check=False)
        assert (done.returncode, words in done.stderr) == (code, True), (command, done.stderr)


def test_no_code_where_no_signal_decides(
    koschey: Koschey, upstream: Upstream, postgres: Postgres, s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the door closed the command and the API say so, instead of showing a code that decides nothing."""
    hold_new(koschey, upstream, "code-off")
    monkeypatch.setenv("KOSCHEY_DECISIONS_BY_SIGNAL", "off")
    done = koschey.run("code", "approve", "code-off==1.0", check=False)
    closed = "decisions by signal are switched off (KOSCHEY_DECISIONS_BY_SIGNAL=off)"
    assert (done.returncode, closed in done.stderr) == (1, True)
    with AppInProcess(postgres, s3, upstream, decisions_by_signal="off") as app:
        body = {"choice": "approve", "releases": [{"project": "code-off", "version": "1.0"}]}
        sent: dict[str, Any] = {"body": json.dumps(body).encode(), "Content_Type": "application/json"}
        answer = app.ask("/api/v1/codes", "POST", app.account("reviewer"), **sent)
        assert (answer.status, closed in answer.json["detail"]) == (400, True)
