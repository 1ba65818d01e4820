"""Mirroring on demand: pages and files of the upstream, fetched once, verified, and kept."""

import concurrent.futures
import hashlib
import http.client
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.upstream.server import Upstream

OLD = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_page_of_an_unknown_project_costs_one_upstream_request(koschey: Koschey, upstream: Upstream) -> None:
    """The first GET of a project asks the upstream once and lists its files with their facts."""
    file = upstream.add("first-sight", "1.0", upload_time=OLD, requires_python=">=3.9")
    page = koschey.page("first-sight")
    assert upstream.count("/simple/first-sight/") == 1
    assert page["meta"]["api-version"] == "1.4"
    assert page["versions"] == ["1.0"]
    assert page["files"] == [
        {
            "filename": file.filename,
            "url": file.path,
            "hashes": {"sha256": file.sha256},
            "size": file.size,
            "upload-time": "2020-01-02T03:04:05.678901Z",
            "yanked": False,
            "requires-python": ">=3.9",
            "core-metadata": {"sha256": hashlib.sha256(file.metadata or b"").hexdigest()},
        }
    ]


def test_cold_page_is_fetched_once_for_fifty_clients(koschey: Koschey, upstream: Upstream) -> None:
    """Fifty clients of two web processes that ask for the same cold page cost one upstream request."""
    upstream.add("cold-page", "1.0")
    upstream.fault("/simple/cold-page/", delay=0.5)
    with concurrent.futures.ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: ask(f"{koschey.index_url}cold-page/", Accept=JSON), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert upstream.count("/simple/cold-page/") == 1


def test_cold_file_is_fetched_once_for_fifty_clients(koschey: Koschey, upstream: Upstream) -> None:
    """Fifty clients of two web processes that ask for the same cold file cost one upstream request."""
    file = upstream.add("cold-file", "1.0", size=3_000_000)
    upstream.fault(file.filename, bytes_per_second=3_000_000)
    koschey.page("cold-file")
    with concurrent.futures.ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: ask(koschey.url + file.path), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert {hashlib.sha256(answer.body).hexdigest() for answer in answers} == {file.sha256}
    assert upstream.count(file.path) == 1
    assert koschey.is_stored(file.filename)


def test_stored_file_is_served_without_the_upstream(koschey: Koschey, upstream: Upstream) -> None:
    """A file that was downloaded once never costs an upstream request again, and has ranges, an ETag and HEAD."""
    file = upstream.add("stored-file", "1.0", size=300_000)
    koschey.page("stored-file")
    whole = ask(koschey.url + file.path)
    upstream.forget_requests()
    again = ask(koschey.url + file.path)
    assert again.body == whole.body == file.content
    assert again.headers["etag"] == f'"{file.sha256}"'
    assert again.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert "content-encoding" not in again.headers
    head = ask(koschey.url + file.path, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(file.size)
    assert ask(koschey.url + file.path, If_None_Match=f'"{file.sha256}"').status == 304
    for header, part in (
        ("bytes=0-9", file.content[:10]),
        ("bytes=-10", file.content[-10:]),
        (f"bytes={file.size - 10}-", file.content[-10:]),
    ):
        ranged = ask(koschey.url + file.path, Range=header)
        assert (ranged.status, ranged.body) == (206, part)
        assert ranged.headers["content-range"].endswith(f"/{file.size}")
    assert ask(koschey.url + file.path, Range="bytes=99999999-").status == 416
    assert ask(koschey.url + file.path, Range="bytes=0-9", If_Range='"other"').status == 200
    assert upstream.about(file.filename) == []


def test_range_of_a_cold_file_fetches_it_whole(koschey: Koschey, upstream: Upstream) -> None:
    """The first request may be a range; the file is stored whole all the same."""
    file = upstream.add("cold-range", "1.0", size=400_000)
    koschey.page("cold-range")
    assert ask(koschey.url + file.path, Range="bytes=-1000").body == file.content[-1000:]
    assert koschey.is_stored(file.filename)


def ask_for_what_comes(url: str) -> tuple[int, bytes]:
    """Download, and return also what came of a body that broke off."""
    try:
        answer = ask(url)
    except http.client.IncompleteRead as error:
        return 200, error.partial
    except OSError:
        return 200, b""
    return answer.status, answer.body


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("wrong-bytes", {"body": b"x" * 200_000}),
        ("cut-short", {"truncate_at": 150_000}),
        ("broken-off", {"reset_after": 100_000}),
        ("server-error", {"status": 500}),
        ("web-page", {"body": b"<html>please log in</html>", "content_type": "text/html"}),
        ("gone-file", {"status": 404}),
    ],
)
def test_bad_bytes_are_neither_stored_nor_completely_sent(
    koschey: Koschey, upstream: Upstream, name: str, fault: dict[str, object]
) -> None:
    """What the upstream garbles is never stored, never a complete download, and is fetched anew later."""
    file = upstream.add(name, "1.0", size=200_000)
    koschey.page(name)
    upstream.fault(file.filename, **fault)  # type: ignore[arg-type]
    status, received = ask_for_what_comes(koschey.url + file.path)
    assert status in (200, 404, 424, 503)
    assert len(received) < file.size - 60_000
    assert not koschey.is_stored(file.filename)
    sha = file.sha256
    assert not (koschey.data / f"s3/koschey/blobs/sha256/{sha[:2]}/{sha[2:4]}/{sha}").exists()
    upstream.clear_faults()
    assert ask(koschey.url + file.path).body == file.content
    assert koschey.is_stored(file.filename)


def test_small_file_that_lies_is_refused_with_a_clear_status(koschey: Koschey, upstream: Upstream) -> None:
    """A file that fits into the part that is held back is refused before anything is answered."""
    file = upstream.add("small-liar", "1.0")
    koschey.page("small-liar")
    upstream.fault(file.filename, body=b"y" * file.size)
    answer = ask(koschey.url + file.path)
    assert answer.status == 424
    assert "sha256" in answer.json["detail"]


def test_core_metadata_is_relayed_only_with_its_digest(koschey: Koschey, upstream: Upstream) -> None:
    """`.metadata` is served with the promised digest, from the bucket the second time, whatever the upstream sends."""
    file = upstream.add("with-metadata", "1.0", requires=["six"])
    liar = upstream.add("lying-metadata", "1.0")
    koschey.page("with-metadata")
    koschey.page("lying-metadata")
    upstream.fault(f"{liar.filename}.metadata", body=b"Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    first = ask(f"{koschey.url}{file.path}.metadata")
    assert first.body == file.metadata
    upstream.forget_requests()
    assert ask(f"{koschey.url}{file.path}.metadata").body == file.metadata
    assert upstream.about(file.filename) == []
    assert ask(f"{koschey.url}{liar.path}.metadata").body == liar.metadata


def test_provenance_names_where_the_bytes_came_from(koschey: Koschey, upstream: Upstream) -> None:
    """PEP 710: a fetched file has a record of exactly the upstream's URL and the digest of the stored bytes."""
    file = upstream.add("traced", "1.0")
    koschey.page("traced")
    assert ask(f"{koschey.url}{file.path}.provenance_url.json").status == 404
    ask(koschey.url + file.path)
    record = ask(f"{koschey.url}{file.path}.provenance_url.json").json
    assert record == {"url": upstream.root + file.path, "archive_info": {"hashes": {"sha256": file.sha256}}}


def test_upstream_down_hides_nothing_that_is_known(koschey: Koschey, upstream: Upstream) -> None:
    """While the upstream is down known pages and stored files go on, and unknown names get 503, never 404."""
    file = upstream.add("known", "1.0")
    koschey.page("known")
    ask(koschey.url + file.path)
    upstream.down()
    try:
        assert koschey.filenames("known") == [file.filename]
        assert ask(koschey.url + file.path).body == file.content
        unknown = ask(f"{koschey.index_url}never-seen/")
        assert unknown.status == 503
        assert int(unknown.headers["retry-after"]) > 0
    finally:
        upstream.up()


def test_unknown_project_is_404(koschey: Koschey, upstream: Upstream) -> None:
    """What neither Koschey nor the upstream knows is 404, with a text that says so."""
    answer = ask(f"{koschey.index_url}no-such-project/")
    assert answer.status == 404
    assert "no-such-project" in answer.json["detail"]


def test_upstream_changes_arrive_with_the_next_refresh(koschey: Koschey, upstream: Upstream) -> None:
    """A yank, and a new release that is old enough, are on the page soon after the upstream shows them."""
    upstream.add("moving", "1.0")
    assert koschey.page("moving")["files"][0]["yanked"] is False
    upstream.yank("moving", "1.0", "broken <b>build</b>")
    wait_until(lambda: koschey.page("moving")["files"][0]["yanked"] == "broken <b>build</b>")
    html = ask(f"{koschey.index_url}moving/").body.decode()
    assert 'data-yanked="broken &lt;b&gt;build&lt;/b&gt;"' in html
    upstream.unyank("moving", "1.0")
    wait_until(lambda: koschey.page("moving")["files"][0]["yanked"] is False)


def test_quarantined_project_is_an_empty_page(koschey: Koschey, upstream: Upstream) -> None:
    """PEP 792: a project that the upstream quarantines keeps its page, with the status and without files."""
    file = upstream.add("seized", "1.0")
    koschey.page("seized")
    upstream.set_status("seized", "quarantined", "malware")
    wait_until(lambda: koschey.page("seized")["files"] == [])
    page = koschey.page("seized")
    assert page["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert ask(koschey.url + file.path).status == 403


def test_html_only_upstream_without_times_is_held_from_first_sight(koschey: Koschey, upstream: Upstream) -> None:
    """An upstream that gives no upload time cannot say that a file is old: its files are held."""
    upstream.html_only = True
    try:
        file = upstream.add("html-only", "1.0")
        assert koschey.filenames("html-only") == []
        wait_until(lambda: koschey.is_stored(file.filename))
        assert koschey.state_of(file.filename) == "held"
    finally:
        upstream.html_only = False


def test_upstream_without_digests_is_held_until_its_bytes_are_hashed(koschey: Koschey, upstream: Upstream) -> None:
    """Where the page gives only md5, a file is fetched and hashed first, and then released by its age."""
    upstream.hashes = "md5"
    try:
        file = upstream.add("md5-only", "1.0", upload_time=OLD)
        assert koschey.filenames("md5-only") == []
        wait_until(lambda: koschey.filenames("md5-only") == [file.filename], timeout=40)
        listed = koschey.page("md5-only")["files"][0]
        assert listed["hashes"] == {"sha256": file.sha256}
        assert ask(koschey.url + listed["url"]).body == file.content
    finally:
        upstream.hashes = "sha256"


def test_backdated_file_gains_nothing(koschey: Koschey, upstream: Upstream) -> None:
    """A file that was absent in the last look is new, whatever upload time the upstream claims."""
    upstream.add("backdated", "1.0", upload_time=OLD)
    koschey.page("backdated")
    late = upstream.add("backdated", "2.0", upload_time=OLD + timedelta(days=1))
    wait_until(lambda: (koschey.page("backdated"), koschey.state_of(late.filename))[1])
    assert koschey.state_of(late.filename) == "held"


@pytest.mark.parametrize(
    ("name", "fault", "status", "words"),
    [
        ("plain-text", {"body": b"hello", "content_type": "text/plain"}, 424, "not an index page"),
        ("broken-json", {"body": b'{"meta":', "content_type": JSON}, 424, "not an index page"),
        ("other-json", {"body": b"[1, 2]", "content_type": JSON}, 424, "not an index page"),
        ("future", {"body": b'{"meta": {"api-version": "2.0"}, "files": []}', "content_type": JSON}, 424, "2.0"),
        ("huge-page", {"body": b" " * (50 * 2**20), "content_type": JSON}, 424, "40 MiB"),
        ("not-html", {"body": b"\x00\x01\x02", "content_type": "text/html"}, 424, "not an index page"),
        (
            "a-site",
            {"body": b"<html><a href='/about'>About</a>", "content_type": "text/html"},
            424,
            "not an index page",
        ),
        ("failing", {"status": 500}, 503, "500"),
    ],
)
def test_page_that_is_no_index_page(
    koschey: Koschey, upstream: Upstream, name: str, fault: dict[str, object], status: int, words: str
) -> None:
    """An answer that is no index page gives one clear error, and the service stays up."""
    upstream.add(name, "1.0")
    upstream.fault(f"/simple/{name}/", **fault)  # type: ignore[arg-type]
    answer = ask(f"{koschey.index_url}{name}/")
    assert answer.status == status
    assert words in answer.json["detail"]
    assert ask(f"{koschey.url}/_/health").status == 200
    upstream.clear_faults()
    assert koschey.page(name)["versions"] == ["1.0"]


def test_locked_url_of_an_unseen_project_is_found(koschey: Koschey, upstream: Upstream) -> None:
    """A lock file that names a file's URL works before anybody has asked for the project's page."""
    file = upstream.add("locked", "1.0")
    assert ask(koschey.url + file.path).body == file.content


def test_file_that_two_projects_list_belongs_to_the_first(koschey: Koschey, upstream: Upstream) -> None:
    """A page that lists another project's file is served without it, and cannot take its path."""
    file = upstream.add("shared-file", "1.0", sdist=True)
    upstream.add("shared", "1.0")
    koschey.page("shared-file")
    page = json.dumps(
        {
            "meta": {"api-version": "1.1"},
            "files": [
                {"filename": file.filename, "url": file.url, "hashes": {"sha256": file.sha256}},
                {"filename": "shared-1.0.zip", "url": file.url, "hashes": {"sha256": file.sha256}},
            ],
        }
    )
    upstream.fault("/simple/shared/", body=page.encode(), content_type=JSON)
    assert koschey.filenames("shared") == []
    assert koschey.filenames("shared-file") == [file.filename]
    assert ask(koschey.url + file.path).body == file.content


def test_serial_grows_with_every_change_and_is_on_the_page(koschey: Koschey, upstream: Upstream) -> None:
    """`X-PyPI-Last-Serial` is the project's serial, and the project list knows all serials."""
    upstream.add("counted", "1.0")
    answer = ask(f"{koschey.index_url}counted/", Accept=JSON)
    serial = int(answer.headers["x-pypi-last-serial"])
    assert answer.json["meta"]["_last-serial"] == serial
    listing = ask(koschey.index_url, Accept=JSON)
    serials = {project["name"]: project["_last-serial"] for project in listing.json["projects"]}
    assert serials["counted"] == serial
    assert int(listing.headers["x-pypi-last-serial"]) >= max(serials.values())


def test_head_of_a_page_is_its_get(koschey: Koschey, upstream: Upstream) -> None:
    """T-19.4: HEAD has the status and all headers of GET, for a page that was never asked for and for one in memory."""
    upstream.add("m-head", "1.0")
    for encoding in ("identity", "gzip", "zstd"):
        heads = [
            ask(f"{koschey.index_url}m-head/", method="HEAD", Accept=JSON, Accept_Encoding=encoding) for _ in range(2)
        ]
        full = ask(f"{koschey.index_url}m-head/", Accept=JSON, Accept_Encoding=encoding)
        for head in heads:
            assert (head.status, head.body) == (200, b"")
            volatile = ("date",)
            assert {k: v for k, v in head.headers.items() if k not in volatile} == {
                k: v for k, v in full.headers.items() if k not in volatile
            }
        assert int(full.headers["content-length"]) == len(full.body)


def test_page_links_the_record_of_what_was_downloaded(koschey: Koschey, upstream: Upstream) -> None:
    """T-11.2: once a file was downloaded its page carries the PEP 710 record, under the one private key."""
    file = upstream.add("m-origin", "1.0")
    assert "_koschey" not in koschey.page("m-origin")["files"][0]
    assert ask(koschey.url + file.path).status == 200
    wait_until(lambda: "_koschey" in koschey.page("m-origin")["files"][0])
    private = koschey.page("m-origin")["files"][0]["_koschey"]
    assert private["provenance-url"] == {"url": file.url, "archive_info": {"hashes": {"sha256": file.sha256}}}
    assert private["upstream-index"] == upstream.url
    assert ask(private["record"]).json == private["provenance-url"]
