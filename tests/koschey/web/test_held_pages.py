"""`/held/<project>/`, the headers that lead to it, and held files that are announced on their project's page."""

from datetime import UTC, datetime, timedelta

import pytest
from packaging.utils import NormalizedName

from koschey.addresses import Addresses
from koschey.db.pool import Pool
from koschey.model import State
from koschey.serving.served import Served
from koschey.standards import simple_html, simple_json
from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.releases import BROWSER, announce, end_of_window, hold, pages
from tests.support.rows import NOON, add_project, new_file
from tests.support.upstream.server import Upstream, UpstreamFile


def announced(koschey: Koschey, upstream: Upstream, project: str) -> UpstreamFile:
    """A project with a free release, and a held one that is announced."""
    upstream.add(project, "1.0")
    file = upstream.add(project, "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page(project)
    wait_until(lambda: koschey.is_stored(file.filename))
    announce(koschey, project)
    wait_until(lambda: file.filename in koschey.filenames(project))
    return file


# What is held of a project


def test_the_page_lists_what_is_held(koschey: Koschey, upstream: Upstream) -> None:
    """Names, versions, states, reasons and moments of all that is not served; no digest, no address."""
    upstream.add("hp-list", "1.0")
    blocked = upstream.add("hp-list", "1.5")
    file = held_beside(koschey, upstream, "hp-list")
    koschey.run("block", "hp-list==1.5", "--reason", "malware & more")
    for accept in (BROWSER, "application/json"):
        answer = ask(f"{koschey.url}/held/hp-list/", Accept=accept)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        text = answer.body.decode()
        assert file.filename in text
        assert end_of_window(file) in text
        assert "in quarantine" in text
        assert blocked.filename in text
        assert "hp_list-1.0" not in text
        for secret in (file.sha256, file.path, blocked.sha256, blocked.path, file.url):
            assert secret not in text
    page = ask(f"{koschey.url}/held/hp-list/", Accept=BROWSER)
    assert page.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert "malware &amp; more" in page.body.decode()
    assert "koschey request hp-list==2.0 --reason WHY" in page.body.decode()
    rows = ask(f"{koschey.url}/held/hp-list/").json["held"]
    assert [(row["version"], row["state"]) for row in rows] == [("1.5", "blocked"), ("2.0", "held")]
    assert all(set(row) == ROW for row in rows)


ROW = {"filename", "version", "served", "state", "reason", "release_at", "findings"}


def held_beside(koschey: Koschey, upstream: Upstream, project: str) -> UpstreamFile:
    """A fresh release beside those that are there."""
    file = upstream.add(project, "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page(project)
    return file


def test_names_of_all_kinds(koschey: Koschey, upstream: Upstream) -> None:
    """Spellings are redirected, what nobody has is 404, a name that is closed and empty is none."""
    upstream.add("hp-names", "1.0")
    assert ask(f"{koschey.url}/held/Hp_Names/").json == {
        "project": "hp-names",
        "held": [],
        "ask": f"{koschey.url}/api/v1/requests",
    }
    assert (
        "No file of hp-names is held or blocked" in ask(f"{koschey.url}/held/hp-names/", Accept=BROWSER).body.decode()
    )
    assert ask(f"{koschey.url}/held/hp-nobody-has-this/").status == 404
    koschey.run("block", "hp-closed-and-empty", "--yes", "--reason", "no")
    assert ask(f"{koschey.url}/held/hp-closed-and-empty/").json["held"] == []


def test_the_page_is_closed_where_reading_is(koschey: Koschey, closed_url: str, upstream: Upstream) -> None:
    """Without anonymous reading nobody learns what is held without a login."""
    upstream.add("hp-gate", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    for path in ("/held/hp-gate/", "/held/hp-gate/2.0/", "/held/hp-gate-2.0/x/y/hp_gate-2.0-py3-none-any.whl"):
        assert ask(closed_url + path).status == 401
    token = koschey.ready["upload_token"]
    assert ask(f"{closed_url}/held/hp-gate/", Authorization=f"Bearer {token}").json["held"]
    body = ask(f"{closed_url}/api/v1/preflight", method="POST", Content_Type="application/json")
    assert body.status == 401


# Headers of the Simple API


def test_simple_pages_say_how_many_are_held(koschey: Koschey, upstream: Upstream) -> None:
    """`X-Koschey-Held` counts held files that are not listed, and a link leads to them; both are gone with the hold."""
    upstream.add("hp-header", "1.0")
    assert koschey.filenames("hp-header")
    for _ in range(2):
        assert "x-koschey-held" not in ask(f"{koschey.index_url}hp-header/").headers
    held_beside(koschey, upstream, "hp-header")
    wait_until(lambda: "x-koschey-held" in ask(f"{koschey.index_url}hp-header/").headers)
    for accept in (JSON, "text/html", "application/vnd.pypi.simple.v1+html"):
        for method in ("GET", "HEAD"):
            answer = ask(f"{koschey.index_url}hp-header/", method=method, Accept=accept)
            assert answer.headers["x-koschey-held"] == "1"
            assert answer.headers["link"] == '<../../held/hp-header/>; rel="help"'
    etag = answer.headers["etag"]
    again = ask(f"{koschey.index_url}hp-header/", Accept=accept, If_None_Match=etag)
    assert (again.status, again.headers["x-koschey-held"]) == (304, "1")
    wait_until(lambda: koschey.is_stored("hp_header-2.0-py3-none-any.whl"))
    koschey.run("approve", "hp-header==2.0", "--reason", "reviewed")
    wait_until(lambda: "x-koschey-held" not in ask(f"{koschey.index_url}hp-header/").headers)


# Announced files


def test_announced_file_is_listed_as_yanked_and_refused(koschey: Koschey, upstream: Upstream) -> None:
    """Both forms list it as yanked with the reason; file and metadata are refused; no other surface shows it."""
    file = announced(koschey, upstream, "hp-told")
    reason = f"Koschey: held until {end_of_window(file)}: in quarantine; ask: koschey request hp-told==2.0"
    page = koschey.page("hp-told")
    [listed] = [entry for entry in page["files"] if entry["filename"] == file.filename]
    assert (listed["yanked"], listed["hashes"]) == (reason, {"sha256": file.sha256})
    assert not {"core-metadata", "provenance", "_koschey"} & set(listed)
    assert page["versions"] == ["1.0", "2.0"]
    html = ask(f"{koschey.index_url}hp-told/", Accept="text/html").body.decode()
    assert f'data-yanked="{reason}"' in html
    assert html.count("data-core-metadata") == 1
    assert "x-koschey-held" not in ask(f"{koschey.index_url}hp-told/").headers
    for beside in ("", ".metadata", ".provenance_url.json"):
        assert ask(koschey.url + file.path + beside).status == 403, beside
    for path in ("/pypi/hp-told/json", "/rss/project/hp-told/releases.xml", "/rss/updates.xml"):
        assert b"hp_told-2.0" not in ask(koschey.url + path).body, path
        assert b">hp-told 2.0<" not in ask(koschey.url + path).body, path
    assert ask(f"{koschey.url}/pypi/hp-told/2.0/json").status == 404
    served = "SELECT count(*) FROM served_file WHERE project = 'hp-told'"
    assert koschey.fetch_value(served) == 1


def test_announced_file_is_listed_as_itself_once_it_is_let_out(koschey: Koschey, upstream: Upstream) -> None:
    """An approval takes the mark from the page, and the metadata is promised again; a block takes the file."""
    file = announced(koschey, upstream, "hp-free")
    koschey.run("approve", "hp-free==2.0", "--reason", "reviewed")
    wait_until(lambda: ask(koschey.url + file.path).status == 200)
    [listed] = [entry for entry in koschey.page("hp-free")["files"] if entry["filename"] == file.filename]
    assert listed["yanked"] is False
    assert listed["core-metadata"]
    other = announced(koschey, upstream, "hp-bad")
    koschey.run("block", "hp-bad==2.0", "--reason", "malware")
    wait_until(lambda: other.filename not in koschey.filenames("hp-bad"))
    for body in pages(koschey, "hp-bad"):
        assert other.sha256.encode() not in body


@pytest.fixture
async def row_page(pool: Pool) -> Served:
    """What a page says of rows."""
    return Served(pool, Addresses("http://localhost"), "http://localhost/simple/", timedelta(days=7))


async def test_only_what_is_held_with_digest_and_path_is_announced(pool: Pool, row_page: Served) -> None:
    """Neither a file without a digest, nor a blocked, malformed or conflicting one is ever announced."""
    until_then = NOON + timedelta(days=9000)
    rows = (
        new_file("announced-1.0-py3-none-any.whl", release_at=until_then),
        new_file("announced-2.0-py3-none-any.whl", sha256=None, release_at=until_then),
        new_file("announced-3.0-py3-none-any.whl", State.BLOCKED),
        new_file("announced-4.0-py3-none-any.whl", State.MALFORMED),
        new_file("announced-5.0-py3-none-any.whl", State.CONFLICT),
        new_file("announced-6.0-py3-none-any.whl", State.RELEASED),
    )
    async with pool.acquire() as connection:
        await add_project(connection, "announced", rows)
    name = NormalizedName("announced")
    page = await row_page.load(name)
    assert page is not None
    assert (page.announced, page.held) == ((), 4)
    values = "SELECT id, 'announced', '*', 'x', 'y' FROM index"
    await pool.execute(f"INSERT INTO rule (index_id, kind, project, reason, actor) {values}")
    page = await row_page.load(name)
    assert page is not None
    assert ([file.version for file in page.announced], page.held) == (["1.0"], 3)
    assert [file.version for file in page.files] == ["6.0"]
    assert b"announced-1.0" in simple_json.render_project(page)
    assert b"announced-1.0" in simple_html.render_project(page)


def test_held_file_without_the_rule_is_not_listed(koschey: Koschey, upstream: Upstream) -> None:
    """Announcing is a decision of policy: without it a held version is on no page."""
    file = hold(koschey, upstream, "hp-silent")
    for body in pages(koschey, "hp-silent"):
        assert file.filename.encode() not in body
