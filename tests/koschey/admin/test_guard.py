"""What protects the admin panel: from requests that other sites send, from markup in texts, and by headers."""

import re
from urllib.parse import urlencode

import pytest
from werkzeug.datastructures import Headers

from koschey.admin.guard import is_same_origin
from tests.support.koschey_up import Koschey
from tests.support.panel import Person, add_account
from tests.support.releases import hold_new
from tests.support.upstream.server import Upstream

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
MARKUP = "<script>alert('x')</script>&\"'<img src=x onerror=alert(1)>"


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


def test_links_never_name_the_host_of_the_request(koschey: Koschey) -> None:
    """Redirects and pages are the same whatever host the request claims."""
    person = Person(koschey.url)
    assert person.ask("/admin", Host="evil.example").location == "/admin/login"
    for path in ("/admin//", "/admin//journal", "/admin/static//admin.css", "/admin/projects//six"):
        assert "evil" not in (person.ask(path, Host="evil.example").location or ""), path
    assert "evil" not in person.ask("/admin/login", Host="evil.example").text


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
