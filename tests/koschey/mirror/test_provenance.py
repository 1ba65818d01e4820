"""The PEP 710 record of where a file came from, and how provenance is kept and fetched."""

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.db.attestations import select_attestation
from koschey.db.pool import Connection
from koschey.errors import UpstreamMalformed, UpstreamUnavailable, UsageError
from koschey.hosting.attested_uploads import store_uploaded
from koschey.model import AttestationVerdict, Sha256
from koschey.settings.private_hosts import NO_HOSTS
from koschey.standards.provenance import parse_provenance, render_provenance
from koschey.upstream import client
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress
from tests.support.rows import add_project, new_file, select_files
from tests.support.upstream.server import Upstream

DIGEST = Sha256("0f" * 32)


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("https://files.example.org/a/spam-1.0.zip", "https://files.example.org/a/spam-1.0.zip"),
        ("https://ada:secret@files.example.org:8443/spam.zip", "https://files.example.org:8443/spam.zip"),
        ("https://token@files.example.org/spam.zip", "https://files.example.org/spam.zip"),
        ("https://a@b:c@files.example.org/spam.zip", "https://files.example.org/spam.zip"),
        ("https://files.example.org/spam.zip?X-Signature=secret#sha256=00", "https://files.example.org/spam.zip"),
        ("https://[2001:db8::1]:8443/spam%2B1.zip", "https://[2001:db8::1]:8443/spam%2B1.zip"),
    ],
)
def test_record(url: str, recorded: str) -> None:
    """T-11.1: exactly two keys, one hash of a good kind, and no credential of any kind."""
    assert json.loads(render_provenance(url, DIGEST)) == {
        "url": recorded,
        "archive_info": {"hashes": {"sha256": DIGEST}},
    }


secrets = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1).map(lambda text: f"XX{text}XX")


@given(secrets, secrets, secrets, secrets)
def test_no_secret_is_recorded(user: str, password: str, query: str, fragment: str) -> None:
    """Neither user nor password, query nor fragment of a URL gets into the record."""
    record = render_provenance(f"https://{user}:{password}@files.example.org/a.zip?{query}#{fragment}", DIGEST)
    assert not [secret for secret in (user, password, query, fragment) if secret in record]
    parts = urlsplit(json.loads(record)["url"])
    assert (parts.username, parts.password, parts.query, parts.fragment) == (None, None, "", "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"url": "https://example.org/a.whl"}',
        b'{"url": "https://example.org/a.whl", "archive_info": {"hashes": {"md5": "0"}}}',
        b'{"url": "https://example.org/a.whl", "archive_info": {"hash": "sha256=0", "hashes": {"sha256": "0"}}}',
        b'{"url": "https://example.org/a.whl", "archive_info": {"hashes": {"sha256": "0"}}, "more": 1}',
        b"\xff",
    ],
)
def test_records_are_read_strictly(body: bytes) -> None:
    """T-11.1: what has other keys than the two, or no sha256, is no record."""
    with pytest.raises(UsageError, match="not one of PEP 710"):
        parse_provenance(body)


def test_what_is_written_can_be_read() -> None:
    """A record survives."""
    url = "https://files.example.org/spam.zip"
    assert parse_provenance(render_provenance(url, DIGEST).encode()) == (url, DIGEST)


async def test_uploaded_object_is_kept_as_it_is(connection: Connection) -> None:
    """What came with an upload is stored byte for byte as verified, with the publishers that it names."""
    project = await add_project(connection, "spam", [new_file("spam-1.0-py3-none-any.whl")])
    [item] = (await select_files(connection, project)).values()
    body = b'{"version": 1,  "attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": [{}]}]}'
    async with connection.transaction():
        await store_uploaded(connection, item.file.id, body)
    kept = await select_attestation(connection, item.file.id)
    assert kept is not None
    assert (kept.object, kept.url, kept.judgement.publishers) == (body, None, [{"kind": "GitHub"}])
    [item] = (await select_files(connection, project)).values()
    assert item.file.attestation is AttestationVerdict.VERIFIED
    assert item.file.has_provenance


@pytest.fixture
async def asks(upstream: Upstream) -> AsyncIterator[UpstreamClient]:
    """A client of the upstream."""
    egress = Egress(NO_HOSTS.with_urls([upstream.url]))
    yield UpstreamClient(egress, upstream.url, max_page=2**20, max_file=2**20)
    await egress.close()


async def test_slow_object_is_not_waited_for(
    asks: UpstreamClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upstream that sends an object a byte at a time is unavailable, though it never falls silent."""
    monkeypatch.setattr(client, "DOCUMENT_TIMEOUT", 0.5)
    file = upstream.add("slow-proof", "1.0", provenance=lambda *_: b"{}" + b" " * 1000)
    upstream.fault(file.provenance_path, bytes_per_second=100)
    with pytest.raises(UpstreamUnavailable, match=r"longer than 0\.5 seconds"):
        await asks.fetch_provenance(upstream.root + file.provenance_path)


async def test_large_object_is_not_taken(
    asks: UpstreamClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object is read up to its limit, and not one byte further."""
    monkeypatch.setattr(client, "MAX_PROVENANCE", 2**20)
    file = upstream.add("large-proof", "1.0", provenance=lambda *_: b" " * 2**20)
    url = upstream.root + file.provenance_path
    assert len(await asks.fetch_provenance(url)) == 2**20
    upstream.attest(file.filename, b" " * (2**20 + 1))
    with pytest.raises(UpstreamMalformed, match="larger than 1 MiB"):
        await asks.fetch_provenance(url)
