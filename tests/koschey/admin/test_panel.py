"""The daily job in the admin panel: that its decisions reach the index, and what its pages tell."""

import json
import re
import time
from datetime import UTC, datetime

import pytest

from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.panel import Person, add_account
from tests.support.releases import hold_new
from tests.support.upstream.server import Upstream


def test_an_approval_makes_the_file_appear(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """A release that waits is in the table; approved there, it is on the index's page of every process within 1 s."""
    filename = hold_new(koschey, upstream, "admin-approve")
    page = reviewer.ask("/admin/?q=Admin_Appro")
    assert '<a href="/admin/projects/admin-approve">admin-approve</a>' in page.text
    assert "in 6 d 23 h" in page.text
    assert "in quarantine" in page.text
    answer = reviewer.decide("approve", "admin-approve", "1.0", "read it", "/admin/?q=admin-approve")
    began = time.monotonic()
    assert (answer.status, answer.location) == (303, "/admin/?q=admin-approve")
    wait_until(lambda: [koschey.filenames("admin-approve") for _ in range(4)] == [[filename]] * 4)
    assert time.monotonic() - began < 1
    page = reviewer.ask("/admin/?q=admin-approve")
    assert re.fullmatch(r"Approved admin-approve 1\.0 \(serial \d+, 1 file moved\)\.", page.told)
    assert "No release is pending in projects" in page.text
    assert reviewer.ask("/admin/?q=admin-approve").told == ""
    row = koschey.fetch_value("SELECT (actor, door, reason)::text FROM decision WHERE project = 'admin-approve'")
    assert row == '(rita,admin,"read it")'


def test_a_block_hides_the_file(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """A release blocked in the panel is off the index's page within 1 s; unblocked, it is held and can be approved."""
    filename = upstream.add("admin-block", "1.0").filename
    assert koschey.filenames("admin-block") == [filename]
    path = "/admin/projects/admin-block"
    assert reviewer.decide("block", "admin-block", "1.0", "bad", path).location == path
    began = time.monotonic()
    wait_until(lambda: [koschey.filenames("admin-block") for _ in range(4)] == [[]] * 4)
    assert time.monotonic() - began < 1
    assert "Blocked admin-block 1.0" in reviewer.ask(path).told
    assert reviewer.decide("unblock", "admin-block", "1.0", "was fine", path).status == 303
    assert koschey.state_of(filename) == "held"
    assert "a reviewer decides" in reviewer.ask("/admin/?q=admin-block").text
    assert reviewer.decide("approve", "admin-block", "1.0", "read it", path).status == 303
    wait_until(lambda: koschey.filenames("admin-block") == [filename])


def test_rules_for_a_whole_project(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """Trust, untrust, block and unblock of a project put rules in force that its page shows, and lift them."""
    filename = hold_new(koschey, upstream, "admin-rules")
    path = "/admin/projects/admin-rules"
    assert reviewer.decide("trust", "admin-rules", "", "our friends", path).status == 303
    page = reviewer.ask(path)
    assert '<span class="state trusted">trusted</span> <strong>the whole project</strong>: our friends' in page.text
    assert koschey.state_of(filename) == "released"
    assert reviewer.decide("untrust", "admin-rules", "", "no more", path).status == 303
    assert "None. New releases are held for the usual time." in reviewer.ask(path).text
    assert reviewer.decide("block", "admin-rules", "", "malware", path).status == 303
    assert '<span class="state blocked">blocked</span> <strong>the whole project</strong>' in reviewer.ask(path).text
    assert koschey.state_of(filename) == "blocked"
    assert reviewer.decide("unblock", "admin-rules", "", "all clear", path).status == 303
    assert "None. New releases are held for the usual time." in reviewer.ask(path).text


def test_another_spelling_of_a_name_keeps_the_page(koschey: Koschey, reviewer: Person) -> None:
    """A redirect to the normalised name keeps the query, so that a bookmark of the second page leads there."""
    moved = reviewer.ask("/admin/projects/Admin_Facts?page=2", Host="evil.example")
    assert (moved.status, moved.location) == (301, "/admin/projects/admin-facts?page=2")


def test_a_project_page_tells_all_of_a_file(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """The page gives each file's digest, size, times and, once stored, the URL that it was downloaded from."""
    file = upstream.add("admin-facts", "1.0", upload_time=datetime(2020, 1, 2, 3, 4, tzinfo=UTC))
    koschey.page("admin-facts")
    assert "not downloaded yet" in reviewer.ask("/admin/projects/admin-facts").text
    assert ask(koschey.url + file.path).status == 200
    wait_until(lambda: koschey.is_stored(file.filename))
    page = reviewer.ask("/admin/projects/admin-facts").text
    assert f'<code title="{file.sha256}">{file.sha256[:12]}…</code>' in page
    assert f'title="{file.size:,} bytes"' in page
    assert '<time datetime="2020-01-02T03:04:00+00:00">2020-01-02 03:04</time>' in page
    assert file.url in page
    assert "older than the quarantine window when it was first seen" in page
    assert "<td>add file</td>" in page
    assert reviewer.ask("/admin/projects/Admin.Facts").location == "/admin/projects/admin-facts"


def test_a_project_page_tells_what_is_left_out(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """What the upstream's page lists and Koschey does not keep stands on the page with its cause, as text."""
    upstream.add("admin-lost", "1.0")
    page = upstream.project_detail("admin-lost")
    assert page is not None
    odd = {"filename": "<b>lost.zip", "url": f"{upstream.root}/x"}
    body = json.dumps(page | {"files": [*page["files"], odd, *[5] * 300]}).encode()
    upstream.fault("admin-lost", status=200, body=body, content_type=JSON)
    koschey.page("admin-lost")
    text = reviewer.ask("/admin/projects/admin-lost").text
    assert "lists 301 files that Koschey cannot keep; the first 200:" in text
    assert "<code>&lt;b&gt;lost.zip</code>: its name cannot be used in a URL, a header or a page" in text
    upstream.add("admin-whole", "1.0")
    koschey.page("admin-whole")
    assert "Left out" not in reviewer.ask("/admin/projects/admin-whole").text


def test_a_reviewer_decides_only_on_own_projects(koschey: Koschey, upstream: Upstream) -> None:
    """A reviewer of one project sees the others without forms, and a forged form is 403 in the user's words."""
    own, other = hold_new(koschey, upstream, "admin-own"), hold_new(koschey, upstream, "admin-foreign")
    person = Person(koschey.url)
    person.log_in(add_account(koschey, "paula", ("reviewer", "admin-own")))
    page = person.ask("/admin/?q=admin-foreign").text
    assert "you may not decide about this project" in page
    assert 'value="approve"' not in page
    answer = person.decide("approve", "admin-foreign", "1.0", "mine now")
    assert (answer.status, answer.told) == (403, "paula may not decide admin-foreign; an admin can grant it")
    assert koschey.state_of(other) == "held"
    assert person.decide("approve", "admin-own", "1.0", "good").status == 303
    assert koschey.state_of(own) == "released"


def test_an_auditor_sees_everything_and_changes_nothing(koschey: Koschey, upstream: Upstream) -> None:
    """An auditor reads the queue, a project, its downloads, what needs attention, the policy and the journal."""
    held = hold_new(koschey, upstream, "admin-audited")
    auditor = Person(koschey.url)
    auditor.log_in(add_account(koschey, "audrey", ("auditor", "*")))
    for path in ("", "projects/admin-audited", "projects/admin-audited/downloads", "attention", "policy", "journal"):
        page = auditor.ask(f"/admin/{path}")
        assert page.status == 200, path
        assert 'name="choice"' not in page.text, path
    assert "who downloaded its files" in auditor.ask("/admin/projects/admin-audited").text
    assert "admin-audited" in auditor.ask("/admin/?q=admin-audited").text
    answer = auditor.decide("approve", "admin-audited", "1.0", "mine now")
    assert (answer.status, "audrey may not decide anything here" in answer.text) == (403, True)
    assert koschey.state_of(held) == "held"


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"reason": " "}, 400, "give a reason"),
        ({"reason": "x" * 2001}, 400, "give a reason"),
        ({"reason": "n\0l"}, 400, "cannot be stored"),
        ({"choice": "delete"}, 400, "there is no decision 'delete'"),
        ({"choice": "trust"}, 400, "trust is for the whole project"),
        ({"version": ""}, 400, "choose a release"),
        ({"version": "2.0"}, 404, "admin-errors==2.0 is not known here"),
        ({"version": "1\0"}, 400, "the version is not valid"),
        ({"project": "../etc"}, 400, "is not a project name"),
    ],
)
def test_what_cannot_be_decided_is_said_on_the_page(
    koschey: Koschey, upstream: Upstream, reviewer: Person, change: dict[str, str], status: int, told: str
) -> None:
    """A decision that cannot be made changes nothing, and the page says why, with the error's status."""
    filename = hold_new(koschey, upstream, "admin-errors")
    form = {"choice": "approve", "project": "admin-errors", "version": "1.0", "reason": "because", **change}
    answer = reviewer.ask("/admin/", form | {"csrf": reviewer.ask("/admin/").csrf})
    assert answer.status == status
    assert told in answer.told
    assert "<h1>Quarantine</h1>" in answer.text
    assert koschey.state_of(filename) == "held"


def test_a_reason_is_not_lost_with_an_error(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """Where a decision fails, the reason that was typed stands in the form again."""
    filename = hold_new(koschey, upstream, "admin-draft")
    koschey.run("block", "admin-draft", "--yes", "--reason", "meanwhile")
    answer = reviewer.decide("approve", "admin-draft", "1.0", "looks <good>", "/admin/projects/admin-draft")
    assert answer.status == 400
    assert f"{filename} is blocked" in answer.told
    assert 'value="looks &lt;good&gt;"' in answer.text


def test_the_journal_goes_back_a_hundred_at_a_time(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """The journal shows the newest entry first, and its pages together show every serial once."""
    for number in range(110):
        upstream.add("admin-journal", f"1.{number}")
    koschey.page("admin-journal")
    last = int(koschey.fetch_value("SELECT serial FROM journal_head"))
    page, seen = reviewer.ask("/admin/journal"), []
    while True:
        serials = [int(serial) for serial in re.findall(r'<td class="number">(\d+)</td>', page.text)]
        assert len(serials) <= 100
        seen += serials
        older = re.search(r'<a rel="next" href="(/admin/journal\?before=\d+)">', page.text)
        if older is None:
            break
        page = reviewer.ask(older[1])
    assert [serial for serial in seen if serial <= last] == list(range(last, 0, -1))
    for bad in ("x", "-1", "1" * 30, "%00", "\u0663".encode().hex()):
        assert reviewer.ask(f"/admin/journal?before={bad}").status == 400


@pytest.mark.parametrize(
    "path", ["/admin/projects/never-seen", "/admin/nothing", "/admin/static/none.css", "/admin/x/y"]
)
def test_what_does_not_exist_is_a_page(reviewer: Person, path: str) -> None:
    """A path that leads nowhere is a 404 page of the panel, with a way back."""
    page = reviewer.ask(path)
    assert page.status == 404
    assert "Back to the quarantine" in page.text


@pytest.mark.parametrize("query", ["q=%00", "q=%25", "q=_", "q=%FF", "q=" + "x" * 3000, "page=99999999999", "page=x"])
def test_strange_searches_are_answered(reviewer: Person, query: str) -> None:
    """No query breaks the table."""
    assert reviewer.ask(f"/admin/?{query}").status == 200


def test_a_page_that_is_empty_now_shows_the_first(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """After the last release of the last page was decided on, the panel shows the first page, not an empty one."""
    hold_new(koschey, upstream, "admin-pages")
    page = reviewer.ask("/admin/?q=admin-pages&page=2").text
    assert "1 release is pending" in page
    assert '<nav class="pager"' not in page
