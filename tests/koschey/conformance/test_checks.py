"""The conformance command: each check can fail, at what it is meant for and at nothing else, and says where."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web

from koschey.client.conformance import examine_index
from koschey.conformance.checks import AssertionOutcome, registered
from koschey.conformance.examine import Result
from koschey.conformance.html import read_html
from koschey.errors import EgressRefused
from koschey.settings.private_hosts import NO_HOSTS
from koschey.upstream.egress import Egress
from tests.conformance.assertions import ASSERTIONS
from tests.support.commands import run_koschey
from tests.support.upstream.catalogue import Body, Page
from tests.support.upstream.faults import Answer
from tests.support.upstream.server import JSON, Upstream

type ChangePage = Callable[[Page], object]
type ChangeAnswer = Callable[[web.BaseRequest, Answer], Answer]

ALWAYS = {"T-2.1", "T-4.1", "T-4.2", "T-4.3"}
"""What the small upstream of the tests does not do: it knows no query, no q, no alias and no 406."""
LACKING = {"T-10.2", "T-11.1", "T-11.2", "T-15.1", "T-15.3", "T-16.2"}
"""What it has nothing of."""


class Odd(Upstream):
    """An upstream whose pages and answers are changed on their way out."""

    def __init__(self) -> None:
        super().__init__()
        self.change_page: ChangePage = lambda _: None
        self.change_answer: ChangeAnswer = lambda _, given: given

    def project_detail(self, project: str) -> Page | None:
        """The changed page, from which both forms are rendered."""
        page = super().project_detail(project)
        if page is not None:
            self.change_page(page)
        return page

    def _answer(self, request: web.BaseRequest) -> Answer:
        return self.change_answer(request, super()._answer(request))


@pytest.fixture(scope="module")
def odd_upstream() -> Iterator[Odd]:
    """An upstream with a little of everything."""
    with Odd() as upstream:
        upstream.add("spam", "1.0", requires_python=">=3.8")
        upstream.add("spam", "1.0", sdist=True)
        upstream.add("spam", "1.1", yanked="it burns")
        upstream.add("held-eggs", "1.0")
        upstream.set_status("held-eggs", "quarantined", "malware")
        yield upstream


@pytest.fixture
def odd(odd_upstream: Odd) -> Iterator[Odd]:
    """The upstream as it should be."""
    change_page, change_answer = odd_upstream.change_page, odd_upstream.change_answer
    yield odd_upstream
    odd_upstream.change_page, odd_upstream.change_answer = change_page, change_answer
    odd_upstream.clear_faults()


def failures(results: list[Result]) -> dict[str, str]:
    """The ids of what failed, and why."""
    return {result.check.id: result.detail for result in results if result.outcome is AssertionOutcome.FAIL}


async def test_good_index_fails_only_at_what_it_does_not_do(odd: Odd) -> None:
    """Without a fault all that can be checked passes, and what is lacking is passed over with a reason."""
    results = await examine_index(odd.url)
    assert set(failures(results)) == ALWAYS
    skipped = {result.check.id: result.detail for result in results if result.outcome is AssertionOutcome.SKIP}
    assert set(skipped) == LACKING
    assert all(skipped.values())
    assert [result.check.id for result in results] == [check.id for check in registered()]


@dataclass(frozen=True)
class Case:
    """One misbehaviour, and what must fail for it."""

    name: str
    fails: dict[str, str]
    page: ChangePage = lambda _: None
    answer: ChangeAnswer = lambda _, given: given


def each_file(change: Callable[[dict[str, Any]], object]) -> ChangePage:
    """Change every file of a page."""
    return lambda page: [change(file) for file in page["files"]]


def set_key(key: str, value: object) -> ChangePage:
    """Give a key of every file another value."""
    return each_file(lambda file: file.update({key: value}))


def drop_key(key: str) -> ChangePage:
    """Leave a key of every file out."""
    return each_file(lambda file: file.pop(key, None))


def with_header(name: str, change: Callable[[str], str], where: str = "/simple/") -> ChangeAnswer:
    """Change a header of the answers below a path."""

    def answer(request: web.BaseRequest, given: Answer) -> Answer:
        if not request.path.startswith(where) or name not in given.headers:
            return given
        return replace(given, headers={**given.headers, name: change(given.headers[name])})

    return answer


def in_place_of(status: int, other: int, method: str | None = None) -> ChangeAnswer:
    """Answer with another status."""
    return lambda request, given: (
        Answer(other, {"Content-Type": "text/plain"}, Body.of(b"no"))
        if given.status == status and method in (None, request.method)
        else given
    )


def at(end: str, content: object, status: int = 200, **headers: str) -> ChangeAnswer:
    """Answer requests whose path ends so."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, given: Answer(status, sent, Body.of(body)) if request.path.endswith(end) else given


def double_projects(request: web.BaseRequest, given: Answer) -> Answer:
    """List every project in two spellings."""
    if request.path != "/simple/" or given.headers.get("Content-Type") != JSON:
        return given
    page = json.loads(b"".join(given.body.chunks(0, given.body.size)))
    page["projects"] += [{**project, "name": project["name"].title()} for project in page["projects"]]
    return replace(given, body=Body.of(json.dumps(page).encode()))


def without_serials(request: web.BaseRequest, given: Answer) -> Answer:
    """Leave the serials of the projects out, but not the header."""
    if request.path != "/simple/" or given.headers.get("Content-Type") != JSON:
        return given
    page = json.loads(b"".join(given.body.chunks(0, given.body.size)))
    page["projects"] = [{"name": project["name"]} for project in page["projects"]]
    return replace(given, body=Body.of(json.dumps(page).encode()))


def only_html_is_broken(request: web.BaseRequest, given: Answer) -> Answer:
    """Leave out an end tag, and the doctype."""
    if not given.headers.get("Content-Type", "").startswith("text/html"):
        return given
    html = b"".join(given.body.chunks(0, given.body.size))
    return replace(given, body=Body.of(html.replace(b"<!DOCTYPE html>", b"").replace(b"</a>", b"")))


def html_without_yanks(request: web.BaseRequest, given: Answer) -> Answer:
    """Forget the yanks in one of the forms."""
    if not given.headers.get("Content-Type", "").startswith("text/html"):
        return given
    html = b"".join(given.body.chunks(0, given.body.size))
    return replace(given, body=Body.of(html.replace(b"data-yanked", b"data-spanked")))


def without_ranges(request: web.BaseRequest, given: Answer) -> Answer:
    """Give the whole to whoever asks for a part."""
    return replace(given, status=200, span=None) if given.status in (206, 416) else given


def one_etag_for_all(request: web.BaseRequest, given: Answer) -> Answer:
    """The same validator for both forms."""
    return replace(given, headers={**given.headers, "ETag": '"same"'}) if "ETag" in given.headers else given


def never_not_modified(request: web.BaseRequest, given: Answer) -> Answer:
    """Ignore what the client has."""
    return Answer(200, given.headers, Body.of(b"{}")) if given.status == 304 else given


def not_modified_without_etag(request: web.BaseRequest, given: Answer) -> Answer:
    """Let a 304 forget the validator."""
    if given.status != 304:
        return given
    return replace(given, headers={name: value for name, value in given.headers.items() if name != "ETag"})


def sdists_encoded(request: web.BaseRequest, given: Answer) -> Answer:
    """Call an archive compressed on its way, as servers do that guess."""
    if not request.path.endswith(".tar.gz") or given.status != 200:
        return given
    return replace(given, headers={**given.headers, "Content-Encoding": "x-gzip"})


def head_knows_no_size(request: web.BaseRequest, given: Answer) -> Answer:
    """Answer HEAD without what it is for."""
    return replace(given, body=Body.of(b"")) if request.method == "HEAD" else given


def with_record(record: object) -> ChangeAnswer:
    """Put a record beside every file."""
    return at(".provenance_url.json", record)


SPAM = {"filename": "spam-1.0-py3-none-any.whl", "url": "/packages/x", "digests": {"sha256": "0" * 64}, "size": 1}
SPAM |= {"upload_time_iso_8601": "", "requires_python": None, "yanked": False, "yanked_reason": None}
OF_SPAM = {"info": {"name": "spam"}, "last_serial": 1, "releases": {"1.0": [SPAM]}, "urls": []}
NO_NUMBER = b"<methodResponse><params><param><value><string>many</string></value></param></params></methodResponse>"

CASES = [
    Case("404 in place of a redirect", {"T-2.1": "answered 404"}, answer=in_place_of(301, 404)),
    Case("302 in place of 301", {"T-2.1": "answered 302"}, answer=in_place_of(301, 302)),
    Case(
        "an opaque URL",
        {"T-2.2": "/blob/1", "T-7.1": "spam-1.0", "T-8.1": "404", "T-19.3": "404", "T-19.6": "404"},
        page=set_key("url", "/blob/1"),
    ),
    Case(
        "a query in a URL",
        {"T-2.3": "?token=1", "T-8.1": "not the advertised one", "T-11.1": "not JSON", "T-11.2": "not JSON"},
        page=each_file(lambda file: file.update(url=file["url"] + "?token=1")),
    ),
    Case(
        "a permanent redirect to another index",
        {"T-2.4": "answered 301"},
        answer=at("/koschey-conformance-no-such-project/", b"", 301, Location="http://127.0.0.1:1/simple/"),
    ),
    Case("another version", {"T-3.1": "'2.0'"}, page=lambda page: page["meta"].update({"api-version": "2.0"})),
    Case("a key of one's own", {"T-3.2": "verdict"}, page=set_key("verdict", "good")),
    Case(
        "JSON as HTML",
        {"T-4.1": "text/html"},
        answer=with_header("Content-Type", lambda _: "text/html", "/simple/spam/"),
    ),
    Case(
        "a charset on JSON",
        {"T-4.4": "charset"},
        answer=with_header("Content-Type", lambda kind: f"{kind}; charset=utf-8" if kind == JSON else kind),
    ),
    Case("no serials", {"T-5.1": "without a serial"}, answer=without_serials),
    Case("a header behind the list", {"T-5.1": "is 1,"}, answer=with_header("X-PyPI-Last-Serial", lambda _: "1")),
    Case("a project twice", {"T-5.2": "spam"}, answer=double_projects),
    Case("no size", {"T-6.1": "size is missing"}, page=drop_key("size")),
    Case("a null size", {"T-6.1": "size is None"}, page=set_key("size", None)),
    Case("a null upload-time", {"T-6.1": "upload-time is None", "T-8.2": "None"}, page=set_key("upload-time", None)),
    Case("a null yank", {"T-6.1": "yanked is None"}, page=set_key("yanked", None)),
    Case(
        "a null status",
        {"T-6.1": "project-status is"},
        page=lambda page: page.update({"project-status": {"status": None}}),
    ),
    Case("an md5", {"T-6.2": "md5"}, page=set_key("hashes", {"md5": "0" * 32})),
    Case("no versions", {"T-6.3": "1.1"}, page=lambda page: page.update(versions=["1.0"])),
    Case("an open link", {"T-7.1": "an <a> lies within", "T-2.2": "spam", "T-7.2": "spam"}, answer=only_html_is_broken),
    Case("a forgotten yank", {"T-7.2": "spam-1.1"}, answer=html_without_yanks),
    Case("promised metadata that are not there", {"T-8.1": "404"}, answer=at(".metadata", b"", 404)),
    Case("other metadata", {"T-8.1": "not the advertised one"}, answer=at(".metadata", b"Name: spam\n")),
    Case(
        "other metadata of the right digest",
        {"T-8.1": "not the METADATA inside"},
        page=set_key("core-metadata", True),
        answer=at(".metadata", b"Name: spam\n"),
    ),
    Case("an upload-time without Z", {"T-8.2": "00:00:00'"}, page=set_key("upload-time", "2020-01-01T00:00:00")),
    Case(
        "a provenance URL of no security",
        {"T-10.2": "http://index"},
        page=set_key("provenance", "http://index.example.org/x"),
    ),
    Case("a relative provenance URL", {"T-10.2": "/integrity"}, page=set_key("provenance", "/integrity/x")),
    Case(
        "a record with an extra key",
        {"T-11.1": "keys", "T-11.2": ""},
        answer=with_record({"url": "x", "archive_info": {"hash": "y"}, "note": 1}),
    ),
    Case(
        "a record of other bytes",
        {"T-11.2": "0000"},
        answer=with_record({"url": "https://index.example.org/x", "archive_info": {"hashes": {"sha256": "0" * 64}}}),
    ),
    Case(
        "a record with credentials",
        {"T-11.1": "user:password", "T-11.2": ""},
        answer=with_record(
            {"url": "https://user:password@index.example.org/x", "archive_info": {"hashes": {"sha256": "0" * 64}}}
        ),
    ),
    Case(
        "a quarantined project with files",
        {"T-13.4": "lists files", "T-13.1": "lists files"},
        page=lambda page: page["files"] and page.update({"project-status": {"status": "quarantined"}}),
    ),
    Case(
        "a quarantine without a reason",
        {"T-13.1": "without a reason"},
        page=lambda page: page["project-status"].pop("reason", None),
    ),
    Case(
        "a JSON API without a field",
        {"T-15.1": "core-metadata"},
        answer=at("/pypi/spam/json", OF_SPAM, X_PyPI_Last_Serial="1"),
    ),
    Case(
        "a JSON API with an old header",
        {"T-15.3": "the header has the serial 2, the body 1", "T-15.1": ""},
        answer=at("/pypi/spam/json", OF_SPAM, X_PyPI_Last_Serial="2"),
    ),
    Case("a serial that is no number", {"T-16.2": "not a number"}, answer=at("/pypi", NO_NUMBER)),
    Case("an XML-RPC that is none", {"T-16.2": "with XML"}, answer=at("/pypi", b"<html><br></html>")),
    Case("no 304", {"T-19.1": "answered 200"}, answer=never_not_modified),
    Case("a 304 without its ETag", {"T-19.1": "ETag of the 304 is None"}, answer=not_modified_without_etag),
    Case("weak ETags", {"T-19.2": "not strong"}, answer=with_header("ETag", lambda etag: f"W/{etag}")),
    Case("one ETag for both forms", {"T-19.2": "has the ETag", "T-19.1": "answered 200"}, answer=one_etag_for_all),
    Case("no ranges", {"T-19.3": "not 206"}, answer=without_ranges),
    Case("a HEAD without a length", {"T-19.4": "Content-Length"}, answer=head_knows_no_size),
    Case("no HEAD", {"T-19.4": "answered 405"}, answer=in_place_of(200, 405, "HEAD")),
    Case("an encoded archive", {"T-19.6": "x-gzip"}, answer=sdists_encoded),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_misbehaviour_fails_what_it_should(odd: Odd, case: Case) -> None:
    """Each misbehaviour fails exactly its own assertions, beside those that fail here always, and says why."""
    odd.change_page, odd.change_answer = case.page, case.answer
    failed = failures(await examine_index(odd.url))
    assert set(failed) == ALWAYS | set(case.fails)
    for assertion, fragment in case.fails.items():
        assert fragment in failed[assertion]


def test_every_check_can_fail() -> None:
    """There is a misbehaviour for every check, or it fails at the small upstream anyway."""
    assert {assertion for case in CASES for assertion in case.fails} | ALWAYS == {check.id for check in registered()}


def test_every_check_is_an_assertion() -> None:
    """The checks say what the table of assertions says."""
    assert {check.id: check.says for check in registered()}.items() <= ASSERTIONS.items()


def test_command_says_what_failed(odd: Odd) -> None:
    """The exit code is 1 where an assertion fails, and JSON has a row for each."""
    done = run_koschey("conformance", odd.url, "--json")
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert {row["id"] for row in rows if row["result"] == "fail"} == ALWAYS
    assert {row["what"] for row in rows} <= set(ASSERTIONS.values())
    shown = run_koschey("conformance", odd.url, "--project", "Held.Eggs")
    assert shown.returncode == 1
    assert "T-13.1" in shown.stdout
    assert "held-eggs" in shown.stdout


def test_index_that_cannot_be_reached(odd: Odd) -> None:
    """Where nothing answers, or something that is no index, the exit code is 2 and one line says what to do."""
    for url, said in (
        ("http://127.0.0.1:9/simple/", "could not be read"),
        (f"{odd.root}/packages/", "Simple API"),
        ("ftp://127.0.0.1/simple/", "is not https"),
    ):
        done = run_koschey("conformance", url)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_broken_html_is_read() -> None:
    """The reader finds every link and names every fault, however broken the page."""
    page = read_html(b'<a href="/x" href="/y">one <a href="/z">two</b><base href="/files/"><p>\xff')
    assert [anchor.attributes["href"] for anchor in page.anchors] == ["/y", "/z"]
    assert page.base == "/files/"
    assert page.faults == [
        "<a> has an attribute twice",
        "an <a> lies within an <a>",
        "</b> has no start tag",
        "there is no <!DOCTYPE html>",
        "<a> is never closed",
        "<a> is never closed",
    ]
    good = read_html(b'<!doctype html><html><head><meta name="a" content="b"><body><p><a href="/x">x</a><br>')
    assert (good.faults, good.metas) == ([], {"a": "b"})


async def test_single_request_is_sent_as_it_stands(odd: Odd) -> None:
    """No redirect is followed, no header is added, and the rules about addresses hold as for every request."""
    odd.forget_requests()
    egress = Egress(NO_HOSTS.with_urls([odd.url]))
    try:
        async with egress.send("HEAD", f"{odd.url}Spam", {}) as response:
            assert (response.status, response.headers["Location"]) == (301, "/simple/spam/")
    finally:
        await egress.close()
    (request,) = odd.requests
    assert (request.method, request.path) == ("HEAD", "/simple/Spam")
    assert not {"Accept", "Accept-Encoding"} & set(request.headers)
    closed = Egress()
    try:
        for url in (odd.url, "https://127.0.0.1/simple/", "https://user:password@index.example.org/"):
            with pytest.raises(EgressRefused):
                async with closed.send("GET", url, {}):
                    pass
    finally:
        await closed.close()
