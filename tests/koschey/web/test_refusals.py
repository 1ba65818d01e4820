"""Every refusal explains itself: a redirect to a URL in words, and behind it all that a developer should know."""

from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support.api import Api
from tests.support.koschey_up import Answer, Koschey, ask, wait_until
from tests.support.releases import BROWSER, end_of_window, hold
from tests.support.upstream.server import Upstream, UpstreamFile


def once(url: str, method: str = "GET", **headers: str) -> Answer:
    """Send one request, and follow nothing."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=60)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    finally:
        connection.close()


def urls(koschey: Koschey, file: UpstreamFile) -> dict[str, str]:
    """Every URL under which a file or what stands beside it is had."""
    url = koschey.url + file.path
    provenance = f"{koschey.url}/integrity/{file.project}/{file.version}/{file.filename}/provenance"
    return {"": url, ".metadata": f"{url}.metadata", ".json": f"{url}.provenance_url.json", "provenance": provenance}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_held_file_is_refused_by_way_of_an_url_in_words(koschey: Koschey, upstream: Upstream, method: str) -> None:
    """File, metadata, record and provenance: 302 to a URL that says until when and what to do, which answers 403."""
    file = hold(koschey, upstream, f"rf-held-{method.lower()}")
    words = f"/held/{file.project}-2.0/quarantine-until-{end_of_window(file)}/ask-with-koschey-request/{file.filename}"
    for name, url in urls(koschey, file).items():
        first = once(url, method)
        assert (first.status, first.headers["cache-control"], first.body) == (302, "no-store", b""), name
        assert first.headers["location"].startswith(words), name
        assert len(first.headers["location"]) < 200
        second = once(koschey.url + first.headers["location"], method)
        assert (second.status, second.headers["cache-control"]) == (403, "no-store"), name
        assert second.headers["content-type"] == "application/problem+json"
        assert f"koschey request {file.project}==2.0" in second.headers["x-error-message"]
        for answer in (first, second):
            assert file.sha256 not in str(answer.headers) + answer.body.decode()
            assert file.path not in str(answer.headers) + answer.body.decode()
    ranged = once(koschey.url + file.path, Range="bytes=0-9")
    assert (ranged.status, ranged.headers["location"]) == (302, words)
    assert once(koschey.url + words, Range="bytes=0-9").status == 403


def test_the_problem_tells_everything(koschey: Koschey, upstream: Upstream) -> None:
    """RFC 9457: project, version, filename, state, reason, moment, what is free, and where to ask."""
    upstream.add("rf-problem", "1.0")
    upstream.add("rf-problem", "1.5rc1")
    upstream.add("rf-problem", "1.1", yanked="broken")
    file = upstream.add("rf-problem", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page("rf-problem")
    problem = ask(koschey.url + file.path).json
    assert problem["title"] == "rf-problem 2.0 is held"
    assert (problem["project"], problem["version"], problem["filename"]) == ("rf-problem", "2.0", file.filename)
    assert (problem["state"], problem["status"], problem["reason"]) == ("held", 403, "in quarantine")
    assert problem["release_at"].startswith(end_of_window(file))
    assert problem["free"] == "1.0"
    assert problem["ask"]["command"] == "koschey request rf-problem==2.0 --reason WHY"
    assert problem["ask"]["url"].endswith("/api/v1/requests")
    assert problem["help"].endswith("/held/rf-problem/")
    assert "is held until" in problem["detail"]
    assert "available older version is 1.0" in problem["detail"]


def test_blocked_and_removed_files_have_their_own_words(koschey: Koschey, upstream: Upstream) -> None:
    """A block is named in the URL, and a removed file is 410 with nothing to ask for."""
    file = upstream.add("rf-blocked", "1.0")
    koschey.page("rf-blocked")
    koschey.run("block", "rf-blocked==1.0", "--reason", "<b>malware</b>")
    first = once(koschey.url + file.path)
    assert first.headers["location"] == f"/held/rf-blocked-1.0/blocked/ask-with-koschey-request/{file.filename}"
    problem = ask(koschey.url + file.path).json
    assert (problem["state"], problem["release_at"]) == ("blocked", None)
    assert "malware" in problem["detail"]
    api = Api(koschey)
    assert api.upload("rf-removed").status == 200
    path = koschey.path_of("rf_removed-1.0-py3-none-any.whl")
    assert api.call("DELETE", "projects/rf-removed/releases/1.0", query={"reason": "a mistake"}).status == 200
    wait_until(lambda: once(koschey.url + path).status == 302)
    assert "/removed/" in once(koschey.url + path).headers["location"]
    gone = ask(koschey.url + path)
    assert (gone.status, gone.json["state"], gone.json["ask"]) == (410, "removed", None)
    assert "a mistake" in gone.json["detail"]


def test_a_person_is_told_in_html(koschey: Koschey, upstream: Upstream) -> None:
    """A browser gets a page on which nothing runs and every reason is escaped; whoever takes anything gets JSON."""
    file = upstream.add("rf-html", "1.0")
    koschey.page("rf-html")
    koschey.run("block", "rf-html==1.0", "--reason", "<script>alert(1)</script>")
    answer = ask(koschey.url + file.path, Accept=BROWSER)
    assert (answer.status, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", "Accept")
    page = answer.body.decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "koschey request rf-html==1.0" in page
    assert answer.headers["x-error-message"].startswith("rf-html 1.0 is blocked")
    for accept in ("*/*", "application/json", "application/octet-stream, */*;q=0.1"):
        assert ask(koschey.url + file.path, Accept=accept).headers["content-type"] == "application/problem+json"


def test_the_middle_is_decoration_and_the_rest_is_not(koschey: Koschey, upstream: Upstream) -> None:
    """The page is found by release and filename, whatever stands between; other releases and files are 404."""
    file = hold(koschey, upstream, "rf-words")
    held_url = f"{koschey.url}/held/rf-words-2.0"
    assert ask(f"{held_url}/x/y/{file.filename}").status == 403
    for path in (f"rf-words-2.1/x/y/{file.filename}", f"rf-2.0/x/y/{file.filename}", "rf-words-2.0/x/y/other.whl"):
        assert ask(f"{koschey.url}/held/{path}").status == 404, path
    for path in ("rf-words-2.0/x/y/..%2f..%2fx", f"{'a-' * 400}/x/y/z.whl"):
        assert ask(f"{koschey.url}/held/{path}").status == 404, path
    for path in ("a%00b/x/y/z.whl", "a/x/y/%00.whl", f"{'a-' * 2000}/x/y/z.whl"):
        assert ask(f"{koschey.url}/held/{path}").status == 400, path
    unknown = f"{koschey.url}/packages/00/11/{'0' * 60}/rf_nothing_at_all.whl"
    assert once(unknown).status == 404


def test_what_was_let_out_since_is_sent_on_to(koschey: Koschey, upstream: Upstream) -> None:
    """Behind the URL of a refusal that is over stands the file itself, and what is beside it."""
    file = hold(koschey, upstream, "rf-over")
    locations = {name: once(url).headers["location"] for name, url in urls(koschey, file).items()}
    koschey.run("approve", "rf-over==2.0", "--reason", "reviewed")
    wait_until(lambda: once(koschey.url + file.path).status == 200)
    assert ask(koschey.url + locations[""]).body == file.content
    assert ask(koschey.url + locations[".metadata"]).body == file.metadata
    assert ask(koschey.url + locations[".json"]).json["url"] == file.url
    assert once(koschey.url + locations["provenance"]).headers["location"].startswith("/integrity/rf-over/2.0/")


def test_odd_versions_are_words_too(koschey: Koschey, upstream: Upstream) -> None:
    """Epochs and local versions become words of which no client or terminal makes anything else."""
    file = upstream.add("rf-odd", "1!2.0+local.1", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page("rf-odd")
    location = once(koschey.url + koschey.path_of(file.filename)).headers["location"]
    assert location.startswith("/held/rf-odd-1-2.0-local.1/quarantine-until-")
    answer = ask(koschey.url + location)
    assert (answer.status, answer.json["version"]) == (403, "1!2.0+local.1")
    assert answer.json["ask"]["command"] == "koschey request 'rf-odd==1!2.0+local.1' --reason WHY"
