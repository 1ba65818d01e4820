"""The admin panel: who gets in, what keeps strangers' requests out, and that its decisions reach the index."""

import json
import re
import statistics
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

import pytest
from werkzeug.datastructures import Headers

from koschey.admin.guard import is_same_origin
from koschey.auth import sessions
from koschey.auth.sessions import SessionId, close_session, find_session, open_session
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.pool import Pool
from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.panel import PASSWORD, Person, add_account
from tests.support.postgres import set_clock
from tests.support.releases import hold_new
from tests.support.rows import NOON
from tests.support.upstream.server import Upstream
from tests.support.web_processes import web_process_url

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
MARKUP = "<script>alert('x')</script>&\"'<img src=x onerror=alert(1)>"


@pytest.fixture
def reviewer(koschey: Koschey) -> Person:
    """A reviewer of all projects, logged in."""
    person = Person(koschey.url)
    assert person.log_in(add_account(koschey, "rita", ("reviewer", "*"))).status == 303
    return person


# Getting in


def test_the_printed_login_works(koschey: Koschey) -> None:
    """The user and password that `koschey up` prints open the panel at the address that it prints."""
    person = Person(koschey.url)
    path = urlsplit(koschey.ready["admin_url"]).path
    assert person.ask(path).location == "/admin/login"
    answer = person.log_in(koschey.ready["admin_user"], koschey.ready["admin_password"])
    assert (answer.status, answer.location) == (303, "/admin/")
    page = person.ask("/admin/")
    assert page.status == 200
    assert "<h1>Quarantine</h1>" in page.text


def test_unknown_user_and_wrong_password_look_alike(koschey: Koschey) -> None:
    """A failed login has the same status, text and time whether or not the account exists."""
    known = add_account(koschey, "known", ("reviewer", "*"))
    with web_process_url(koschey) as url:
        answers, seconds = {}, {}
        for user in (known, "nobody-of-this-name", "__token__"):
            person, times = Person(url), []
            csrf = person.ask("/admin/login").csrf
            for _ in range(3):
                began = time.monotonic()
                page = person.ask("/admin/login", {"csrf": csrf, "user": user, "password": "wrong"})
                times.append(time.monotonic() - began)
            answers[user] = (page.status, page.text.replace(user, "").replace(page.csrf, ""))
            seconds[user] = statistics.median(times)
    assert len(set(answers.values())) == 1
    assert answers[known][0] == 401
    assert max(seconds.values()) < 3 * min(seconds.values()), seconds


def test_an_upload_token_is_no_login(koschey: Koschey) -> None:
    """A token, which lies on build servers, does not open the panel."""
    answer = Person(koschey.url).log_in("__token__", koschey.ready["upload_token"])
    assert answer.status == 401


def test_an_account_without_a_role_is_told_so(koschey: Koschey) -> None:
    """The right password of an account that may decide nothing is answered with 403 and a clear text."""
    person = Person(koschey.url)
    answer = person.log_in(add_account(koschey, "ursula", ("uploader", "*")))
    assert answer.status == 403
    assert answer.told == "The account ursula may not use this panel; an admin can make it a reviewer."
    assert person.ask("/admin/").location == "/admin/login"


def test_a_role_taken_away_ends_the_session(koschey: Koschey) -> None:
    """A session is worth nothing from the moment its account loses its role."""
    person = Person(koschey.url)
    person.log_in(add_account(koschey, "fired", ("reviewer", "*")))
    assert person.ask("/admin/").status == 200
    koschey.fetch_value(
        "DELETE FROM account_grant USING account WHERE account.id = account_id AND name = 'fired' RETURNING 1"
    )
    assert person.ask("/admin/").location == "/admin/login"


def test_ten_failed_logins_are_enough(koschey: Koschey) -> None:
    """After ten failed logins from an address the eleventh is refused unchecked, even with the right password."""
    user = add_account(koschey, "hasty", ("reviewer", "*"))
    with web_process_url(koschey) as url:
        person = Person(url)
        csrf = person.ask("/admin/login").csrf
        statuses = [
            person.ask("/admin/login", {"csrf": csrf, "user": user, "password": f"guess {number}"}).status
            for number in range(10)
        ]
        refused = person.log_in(user)
        other = person.log_in("somebody-else")
    assert statuses == [401] * 10
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300
    assert "Too many failed logins. Try again in" in refused.told
    assert other.status == 429


@pytest.mark.parametrize("path", ["/admin/", "/admin/journal", "/admin/projects/six", "/admin/nothing/here"])
def test_without_a_session_every_page_leads_to_the_login(koschey: Koschey, path: str) -> None:
    """No page below /admin/ says anything to somebody who is not logged in, not even that it does not exist."""
    answer = Person(koschey.url).ask(path, Host="evil.example")
    assert (answer.status, answer.location) == (303, "/admin/login")


def test_links_never_name_the_host_of_the_request(koschey: Koschey) -> None:
    """Redirects and pages are the same whatever host the request claims."""
    person = Person(koschey.url)
    assert person.ask("/admin", Host="evil.example").location == "/admin/login"
    for path in ("/admin//", "/admin//journal", "/admin/static//admin.css", "/admin/projects//six"):
        assert "evil" not in (person.ask(path, Host="evil.example").location or ""), path
    assert "evil" not in person.ask("/admin/login", Host="evil.example").text


# Sessions


def test_a_login_takes_a_new_id(koschey: Koschey) -> None:
    """The id that a browser had before it logged in, possibly planted, opens nothing afterwards."""
    person, planted = Person(koschey.url), Person(koschey.url)
    person.ask("/admin/login")
    planted.cookies = dict(person.cookies)
    assert person.log_in(add_account(koschey, "victor", ("reviewer", "*"))).status == 303
    assert person.cookies != planted.cookies
    assert person.ask("/admin/").status == 200
    assert planted.ask("/admin/").location == "/admin/login"


def test_logout_ends_the_session_on_the_server(koschey: Koschey) -> None:
    """After a logout the old cookie opens nothing, and other sessions of the same account go on."""
    user = add_account(koschey, "laura", ("reviewer", "*"))
    here, thief, elsewhere = Person(koschey.url), Person(koschey.url), Person(koschey.url)
    here.log_in(user)
    elsewhere.log_in(user)
    thief.cookies = dict(here.cookies)
    assert thief.ask("/admin/").status == 200
    answer = here.ask("/admin/logout", {"csrf": here.ask("/admin/").csrf})
    assert (answer.status, answer.location) == (303, "/admin/login")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert thief.ask("/admin/").location == "/admin/login"
    assert elsewhere.ask("/admin/").status == 200


def test_a_second_login_ends_the_first_session(koschey: Koschey) -> None:
    """Logging in again from the same browser leaves one session, not two."""
    user = add_account(koschey, "twice", ("reviewer", "*"))
    person, old = Person(koschey.url), Person(koschey.url)
    person.log_in(user)
    old.cookies = dict(person.cookies)
    form = {"csrf": person.ask("/admin/").csrf, "user": user, "password": PASSWORD}
    assert person.ask("/admin/login", form).status == 303
    assert person.ask("/admin/").status == 200
    assert old.ask("/admin/").location == "/admin/login"


def test_the_database_does_not_hold_what_the_cookie_holds(koschey: Koschey, reviewer: Person) -> None:
    """Only the sha256 of a session's id is stored, so a copy of the table opens no session."""
    [cookie] = reviewer.cookies.values()
    rows = koschey.fetch_value("SELECT string_agg(session::text, ' ') FROM session")
    assert cookie not in rows
    assert sessions._digest(SessionId(cookie)) in rows


def test_the_cookie_is_for_the_panel_alone(koschey: Koschey) -> None:
    """The cookie is HttpOnly, SameSite=Lax and bound to /admin; behind https it is Secure and has a secure name."""
    plain = Person(koschey.url).ask("/admin/login").headers["Set-Cookie"]
    assert re.fullmatch(r"koschey_admin=[\w-]{43}; HttpOnly; Path=/admin; SameSite=Lax", plain)
    with web_process_url(koschey, KOSCHEY_BASE_URL="https://koschey.example", KOSCHEY_HOSTS="127.0.0.1") as url:
        person = Person(url)
        secure = person.ask("/admin/login").headers["Set-Cookie"]
        answer = person.log_in(add_account(koschey, "sara", ("reviewer", "*")))
    assert re.fullmatch(r"__Secure-koschey_admin=[\w-]{43}; Secure; HttpOnly; Path=/admin; SameSite=Lax", secure), (
        secure
    )
    assert answer.status == 303


@pytest.mark.parametrize(
    ("steps", "in_force"),
    [
        pytest.param([timedelta(hours=11)] * 5, True, id="used"),
        pytest.param([timedelta(hours=12)], False, id="idle"),
        pytest.param([timedelta(hours=11)] * 16, False, id="old"),
    ],
)
async def test_a_session_ends_by_the_one_clock(pool: Pool, steps: list[timedelta], in_force: bool) -> None:
    """A session ends after 12 hours without use and after 7 days in any case, by koschey_now()."""
    await set_clock(pool, NOON)
    await insert_grant(pool, await upsert_account(pool, "clara", None), "reviewer")
    session_id = await open_session(pool, "clara", None)
    now = NOON
    for step in steps:
        now += step
        await set_clock(pool, now)
        found = await find_session(pool, session_id)
    assert (found is not None) is in_force
    await open_session(pool, "clara", None)
    assert await pool.fetchval("SELECT count(*) FROM session") == (2 if in_force else 1)


async def test_a_disabled_account_has_no_session(pool: Pool) -> None:
    """Disabling an account ends its sessions at once, and closing a session ends that one."""
    account = await upsert_account(pool, "clara", None)
    first, second = [await open_session(pool, "clara", None) for _ in range(2)]
    await close_session(pool, first)
    assert await find_session(pool, first) is None
    assert await find_session(pool, second) is not None
    await pool.execute("UPDATE account SET disabled_at = koschey_now() WHERE id = $1", account)
    assert await find_session(pool, second) is None


# Requests that nobody meant


@pytest.mark.parametrize("path", ["/admin/", "/admin/logout", "/admin/projects/six", "/admin/login", "/admin/none"])
def test_a_form_without_its_token_does_nothing(koschey: Koschey, reviewer: Person, path: str) -> None:
    """Every POST without the session's token is 403, on routes that exist and on those that do not."""
    form = {"choice": "block", "project": "six", "version": "1.0", "reason": "x"}
    other = Person(koschey.url)
    other.ask("/admin/login")
    stranger = Person(koschey.url).ask(path, form)
    missing = reviewer.ask(path, form)
    foreign = reviewer.ask(path, form | {"csrf": other.ask("/admin/login").csrf})
    strange = reviewer.ask(path, form | {"csrf": "ü" * 64})
    assert [answer.status for answer in (stranger, missing, foreign, strange)] == [403] * 4
    assert reviewer.ask("/admin/").status == 200


def test_the_token_of_another_user_is_worth_nothing(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """A token from somebody else's session is refused, and so is one's own from before the login."""
    filename = hold_new(koschey, upstream, "admin-other-token")
    person = Person(koschey.url)
    before = person.ask("/admin/login").csrf
    person.log_in(add_account(koschey, "oscar", ("reviewer", "*")))
    form = {"choice": "approve", "project": "admin-other-token", "version": "1.0", "reason": "x"}
    for csrf in (before, reviewer.ask("/admin/").csrf):
        assert person.ask("/admin/", form | {"csrf": csrf}).status == 403
    assert koschey.state_of(filename) == "held"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_request_from_another_site_does_nothing(
    koschey: Koschey, upstream: Upstream, reviewer: Person, headers: dict[str, str]
) -> None:
    """A POST that another site's page sent is 403 even with the right token."""
    filename = hold_new(
        koschey, upstream, "admin-foreign-" + "".join(headers.values()).translate({46: 45, 47: 45, 58: 45})
    )
    project = filename.split("-")[0].replace("_", "-")
    form = {
        "choice": "approve",
        "project": project,
        "version": "1.0",
        "reason": "x",
        "csrf": reviewer.ask("/admin/").csrf,
    }
    assert reviewer.ask("/admin/", form, **headers).status == 403
    assert koschey.state_of(filename) == "held"
    assert reviewer.ask("/admin/", form, Sec_Fetch_Site="same-origin").status == 303
    assert koschey.state_of(filename) == "released"


def test_other_bodies_than_forms_do_nothing(reviewer: Person) -> None:
    """A body of another type, which other sites can send too, is never taken for a form; a large one is 413."""
    csrf = reviewer.ask("/admin/").csrf
    assert reviewer.ask("/admin/", {"csrf": csrf}, Content_Type="text/plain").status == 403
    assert reviewer.ask("/admin/", {"csrf": csrf}, Content_Type="multipart/form-data; boundary=x").status == 403
    # Announced, not sent: the answer could be lost with the connection while the client is still sending.
    assert reviewer.ask("/admin/", {"csrf": csrf}, Content_Length=str(2**20 + 1)).status == 413


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"Host": "a:1", "Origin": "http://a:1"}, True),
        ({"Host": "A:1", "Origin": "http://a:1"}, True),
        ({"Host": "inner:8080", "Origin": "https://koschey.example"}, True),
        ({"Host": "inner:8080", "Origin": "http://koschey.example"}, False),
        ({"Host": "a:1", "Origin": "http://a:2"}, False),
        ({"Host": "", "Origin": "null"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Host": "a", "Origin": "http://a.evil"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Host": "a", "Origin": "http://a"}, False),
    ],
)
def test_own_pages_are_told_from_others(headers: dict[str, str], own: bool) -> None:
    """A request is our own page's only if no header of the browser says otherwise."""
    assert is_same_origin(Headers(headers), "https://koschey.example") is own


# The daily job


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


# Hostile text, and headers


def test_markup_from_strangers_is_text(koschey: Koschey, upstream: Upstream, reviewer: Person) -> None:
    """Markup in a yank's text, a reason, a user's name or a search never becomes markup of a page."""
    hold_new(koschey, upstream, "admin-markup", yanked=MARKUP)
    path = "/admin/projects/admin-markup"
    reviewer.decide("block", "admin-markup", "", MARKUP, path)
    failed = Person(koschey.url).log_in(MARKUP, "wrong")
    search = reviewer.ask("/admin/?" + urlencode({"q": MARKUP}))
    nowhere = reviewer.ask("/admin/%3Cscript%3E")
    for page in (reviewer.ask(path), reviewer.ask("/admin/journal"), failed, search, nowhere):
        assert "<script" not in page.text
        assert "<img src=x" not in page.text
        assert "onerror=alert(1)&gt;" in page.text or page is nowhere
    assert reviewer.ask(path).text.count("&lt;script&gt;alert(") >= 3


def test_every_answer_has_the_headers(koschey: Koschey, reviewer: Person) -> None:
    """Pages, redirects, errors and the style sheet all forbid scripts, framing, sniffing and caching."""
    paths = ["/admin", "/admin/", "/admin/login", "/admin/journal", "/admin/projects/!", "/admin/none"]
    answers = [reviewer.ask(path) for path in [*paths, "/admin/static/admin.css", "/admin/static/icon.svg"]]
    answers += [
        reviewer.ask("/admin/", {}),
        Person(koschey.url).ask("/admin/"),
        Person(koschey.url).ask("/admin/login"),
    ]
    answers += [reviewer.ask("/admin/journal", {"csrf": reviewer.ask("/admin/").csrf})]
    assert [answer.status for answer in answers] == [308, 200, 303, 200, 400, 404, 200, 200, 403, 303, 200, 404]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"


def test_pages_need_no_script_and_no_inline_style(reviewer: Person) -> None:
    """No page has what its own policy would forbid, and every visible input has a label."""
    for page in (
        reviewer.ask("/admin/"),
        reviewer.ask("/admin/journal"),
        Person(f"http://{reviewer.host}").ask("/admin/login"),
    ):
        assert not re.search(
            r"<script|<style|<[a-z][^>]*\s(?:style=|on\w+=|\w+=\"(?:https?:|//|javascript:))", page.text
        )
        inputs = re.findall(r"<input[^>]*\bid=\"([^\"]+)\"", page.text)
        assert all(f'<label for="{name}"' in page.text.replace('<label class="aside" ', "<label ") for name in inputs)
