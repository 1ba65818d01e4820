"""The bytes of files: whole, in parts, of every size, from the upstream and from the bucket."""

import gzip
import hashlib
import json

import pytest

from koschey.errors import UpstreamMalformed
from koschey.storage.blobs import HELD_BACK
from tests.support.app_in_process import AppInProcess
from tests.support.archives import noise, sdist
from tests.support.koschey_up import JSON
from tests.support.upstream.server import Upstream, UpstreamFile

LABELS = ["gzip", "x-gzip", "GZIP", "", "identity", "gzip, gzip", "br", "nonsense"]
EMPTY = hashlib.sha256(b"").hexdigest()


def published(app: AppInProcess, upstream: Upstream, project: str, content: bytes) -> UpstreamFile:
    """A released sdist of which nothing is stored yet."""
    file = upstream.add(project, "1.0", content=content, filename=f"{project}-1.0.tar.gz")
    app.page(project)
    return file


@pytest.mark.parametrize("known", [True, False], ids=["with a digest", "without"])
def test_empty_file_is_a_file(app: AppInProcess, upstream: Upstream, known: bool) -> None:
    """A file of no bytes is 200 without a body, cold and stored; it has no range (RFC 9110, 14.1.2)."""
    project = f"empty-{known}".lower()
    upstream.hashes = "sha256" if known else None
    try:
        file = published(app, upstream, project, b"")
    finally:
        upstream.hashes = "sha256"
    if not known:
        app.store(file.filename)
        app.decide("approve", project, "1.0")
    path = app.file(file.filename).file.path
    assert path is not None
    for _ in ("cold", "stored"):
        for method in ("GET", "HEAD"):
            answer = app.ask(path, method)
            assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
            assert answer.headers["etag"] == f'"{EMPTY}"'
        for ranged in ("bytes=0-", "bytes=0-9", "bytes=-1"):
            assert app.ask(path, Range=ranged).status == 416
    assert app.file(file.filename).file.stored_at is not None


def test_empty_core_metadata_is_served(app: AppInProcess, upstream: Upstream) -> None:
    """METADATA of no bytes is a document like any other, also when it comes out of the bucket."""
    file = upstream.add("empty-metadata", "1.0")
    upstream.promise(file.filename, b"")
    app.page("empty-metadata")
    for _ in ("cold", "stored"):
        answer = app.ask(f"{file.path}.metadata")
        assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"", f'"{EMPTY}"')


# Labels


def listed(upstream: Upstream, project: str, **changes: object) -> None:
    """Have the page of a project say something else of its files."""
    page = upstream.project_detail(project)
    assert page is not None
    for file in page["files"]:
        file.update(changes)
    upstream.fault(f"/simple/{project}/", body=json.dumps(page).encode(), content_type=JSON)


SDIST = sdist("labelled", "1.0", padding=200_000)[1]
"""A .tar.gz: gzip, whatever a server says of it."""


@pytest.mark.parametrize("sized", [True, False], ids=["with a size", "without"])
@pytest.mark.parametrize("label", LABELS)
def test_content_encoding_of_a_file_is_a_label(app: AppInProcess, upstream: Upstream, label: str, sized: bool) -> None:
    """The bytes on the wire have the digest of the page: they are the file, whatever `Content-Encoding` says."""
    project = f"label-{LABELS.index(label)}-{sized}".lower()
    file = upstream.add(project, "1.0", content=SDIST, filename=f"{project}-1.0.tar.gz")
    if not sized:
        listed(upstream, project, size=None)
    app.page(project)
    upstream.fault(file.filename, headers={"Content-Encoding": label})
    answer = app.ask(file.path)
    assert (answer.status, answer.body) == (200, SDIST)
    assert "content-encoding" not in answer.headers
    assert app.file(file.filename).file.stored_at is not None


@pytest.mark.parametrize("label", ["gzip", "x-gzip"])
@pytest.mark.parametrize("size", [100, 300_000])
def test_file_that_its_server_compresses_is_decompressed(
    app: AppInProcess, upstream: Upstream, label: str, size: int
) -> None:
    """Where only the decompressed bytes have the digest of the page, they are the file."""
    project = f"compressed-{label}-{size}"
    content = noise(project, size)
    file = published(app, upstream, project, content)
    upstream.fault(file.filename, body=gzip.compress(content), headers={"Content-Encoding": label})
    for _ in ("cold", "stored"):
        answer = app.ask(file.path)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, content, str(size))
    assert app.ask(file.path, Range="bytes=-10").body == content[-10:]


@pytest.mark.parametrize(
    "body",
    [b"", b"x" * 500, gzip.compress(b"other"), gzip.compress(noise("cut", 9000))[:-9], gzip.compress(bytes(10**7))],
)
def test_labelled_bytes_with_another_digest_are_refused(app: AppInProcess, upstream: Upstream, body: bytes) -> None:
    """F8: Where neither the bytes nor what they decompress to have the digest, nothing is stored or sent."""
    project = f"garbled-{len(body)}"
    file = published(app, upstream, project, noise(project, 2000))
    upstream.fault(file.filename, body=body, headers={"Content-Encoding": "gzip"})
    answer = app.ask(file.path)
    assert answer.status == 424
    row = app.file(file.filename).file
    assert (row.stored_at, row.mismatched_at) == (None, app.now)
    upstream.clear_faults()
    assert app.ask(file.path).body == file.content
    assert app.file(file.filename).file.mismatched_at is None


@pytest.mark.parametrize("size", [0, 1, 299_999, 300_001, 10**9])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "announced"])
def test_wrong_size_on_the_page_is_a_note(app: AppInProcess, upstream: Upstream, size: int, chunked: bool) -> None:
    """A file with the right digest is served, and its row, the page and the journal say how large it really is."""
    project = f"sized-{size}-{chunked}".lower()
    content = noise(project, 300_000)
    file = upstream.add(project, "1.0", content=content, filename=f"{project}-1.0.tar.gz")
    listed(upstream, project, size=size)
    app.page(project)
    upstream.fault(file.filename, chunked=chunked)
    first = app.ask(file.path)
    # A client that was told another size must not take what it gets for the whole, nor have the end of the file.
    broken_off = first.status == 0 and len(first.body) <= min(size, len(content) - HELD_BACK)
    assert (first.status, first.body) == (200, content) or (chunked and broken_off)
    answer = app.ask(file.path)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, content, "300000")
    assert app.ask(file.path, "HEAD").headers["content-length"] == "300000"
    app.hear_all()
    assert [entry["size"] for entry in app.page(project)["files"]] == [300_000]
    query = "SELECT detail FROM journal WHERE filename = $1 AND action = 'file facts'"
    [row] = app.fetch(query, file.filename)
    assert (row["detail"]["size"], row["detail"]["listed_size"]) == (300_000, size)


def test_wrong_size_without_a_digest_is_refused(app: AppInProcess, upstream: Upstream) -> None:
    """Where the page gives no digest, its size is all that there is to compare with."""
    upstream.hashes = None
    try:
        file = upstream.add("sized-alone", "1.0", content=noise("s", 500), filename="sized-alone-1.0.tar.gz")
        listed(upstream, "sized-alone", size=499)
        app.page("sized-alone")
    finally:
        upstream.hashes = "sha256"
    with pytest.raises(UpstreamMalformed, match="499"):
        app.store(file.filename)
