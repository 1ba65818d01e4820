"""The bytes of files: whole, in parts, of every size, from the upstream and from the bucket."""

import hashlib

import pytest
from inside import Inside
from upstream import Upstream, UpstreamFile

EMPTY = hashlib.sha256(b"").hexdigest()


def published(inside: Inside, upstream: Upstream, project: str, content: bytes) -> UpstreamFile:
    """A released sdist of which nothing is stored yet."""
    file = upstream.add(project, "1.0", content=content, filename=f"{project}-1.0.tar.gz")
    inside.page(project)
    return file


@pytest.mark.parametrize("known", [True, False], ids=["with a digest", "without"])
def test_empty_file_is_a_file(inside: Inside, upstream: Upstream, known: bool) -> None:
    """A file of no bytes is 200 without a body, cold and stored; it has no range (RFC 9110, 14.1.2)."""
    project = f"empty-{known}".lower()
    upstream.hashes = "sha256" if known else None
    try:
        file = published(inside, upstream, project, b"")
    finally:
        upstream.hashes = "sha256"
    if not known:
        inside.store(file.filename)
        inside.decide("approve", project, "1.0")
    path = inside.file(file.filename).file.path
    assert path is not None
    for _ in ("cold", "stored"):
        for method in ("GET", "HEAD"):
            answer = inside.ask(path, method)
            assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
            assert answer.headers["etag"] == f'"{EMPTY}"'
        for ranged in ("bytes=0-", "bytes=0-9", "bytes=-1"):
            assert inside.ask(path, Range=ranged).status == 416
    assert inside.file(file.filename).file.stored_at is not None


def test_empty_core_metadata_is_served(inside: Inside, upstream: Upstream) -> None:
    """METADATA of no bytes is a document like any other, also when it comes out of the bucket."""
    file = upstream.add("empty-metadata", "1.0")
    upstream.promise(file.filename, b"")
    inside.page("empty-metadata")
    for _ in ("cold", "stored"):
        answer = inside.ask(f"{file.path}.metadata")
        assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"", f'"{EMPTY}"')
