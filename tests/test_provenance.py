"""The PEP 710 record of where a file came from."""

import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.model import Sha256
from koschey.standards.provenance import render_provenance

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
