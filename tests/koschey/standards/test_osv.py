"""Records of the OSV schema: which are malware, and which versions they are about."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.errors import UpstreamMalformed
from koschey.model import Advisory, VersionRange
from koschey.policy.advisories import affects, fixes
from koschey.standards.osv import parse_record
from tests.support.advisories import parse
from tests.support.rows import NOON


def test_record_is_read() -> None:
    """A record gives its id, its project normalised, its versions and its ranges as pairs."""
    advisory = parse(
        *(
            "PYSEC-2026-1",
            "Spam_Egg",
            {"introduced": "0"},
            {"fixed": "1.5"},
            {"introduced": "2"},
            {"last_affected": "2.3"},
        ),
        versions=["1.4"],
        modified="2026-11-01T00:00:00Z",
    )
    assert advisory == Advisory(
        id="PYSEC-2026-1",
        project=NormalizedName("spam-egg"),
        malicious=False,
        summary="about Spam_Egg",
        versions=("1.4",),
        ranges=(VersionRange(None, "1.5"), VersionRange("2", None, "2.3")),
        modified=datetime(2026, 11, 1, tzinfo=UTC),
        withdrawn_at=None,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "MAL-2026-1"},
        {"aliases": ["CVE-2026-1", "MAL-2026-1"]},
        {"database_specific": {"malicious-packages-origins": [{"source": "x"}]}},
        {"database_specific": {"cwe_ids": ["CWE-506"]}},
        {"database_specific": {"malicious": True}},
    ],
)
def test_marks_of_malware(changes: dict[str, Any]) -> None:
    """Malware is known by its id, an alias, or what databases write beside it; a vulnerability has none of these."""
    assert parse("GHSA-1", versions=["1.0"], **changes).malicious
    assert not parse(
        "GHSA-1", versions=["1.0"], aliases=["CVE-2026-1"], database_specific={"cwe_ids": ["CWE-79"]}
    ).malicious


def test_other_ecosystems_are_left_out() -> None:
    """What is about packages of other indexes, or cannot be a project's name, is nothing."""
    for package in ({"ecosystem": "npm", "name": "spam"}, {"ecosystem": "PyPI", "name": "-"}, {"name": "spam"}, None):
        assert parse_record(json.dumps({"id": "X-1", "affected": [{"package": package}, 7, None]}).encode()) == []


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "0"}], ["0.1", "1!1"], []),
        ([{"introduced": "1"}, {"fixed": "2"}], ["1", "1.0.0", "1.9", "2rc1"], ["0.9", "2", "2.0.0", "3"]),
        ([{"introduced": "1"}, {"last_affected": "2"}], ["1", "2", "2.0"], ["2.0.1", "0"]),
        ([{"fixed": "2"}, {"introduced": "1"}], ["1.5"], ["2"]),
        ([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], ["0.5", "2.5"], ["1", "1.5", "3"]),
        ([{"introduced": "not a version"}, {"fixed": "2"}], ["0.1"], ["2"]),
        ([{"fixed": "2"}], [], ["1", "2"]),
    ],
)
def test_ranges(events: list[dict[str, str]], inside: list[str], outside: list[str]) -> None:
    """Ranges are evaluated in the order of PEP 440, whatever the order of their events."""
    advisory = parse("PYSEC-1", "spam", *events)
    assert [version for version in inside + outside if affects(advisory, version)] == inside
    assert not any(affects(replace(advisory, withdrawn_at=NOON), version) for version in inside)


def test_listed_versions_are_compared_as_versions() -> None:
    """`1.0` and `1.0.0` are one version; one that nobody can compare is only what it is called."""
    advisory = parse("PYSEC-1", versions=["1.0", "2004d"])
    assert affects(advisory, "1.0.0")
    assert affects(advisory, "2004d")
    assert not affects(advisory, "1.0.1")
    assert not affects(parse("PYSEC-1", "spam", {"introduced": "0"}), "2004d")
    assert affects(parse("MAL-1", "spam", {"introduced": "0"}), "2004d")


def test_malware_without_versions_is_all_of_the_project() -> None:
    """Where a record of malware names no version that can be read, every version is meant."""
    assert affects(parse("MAL-1"), "1.0")
    assert affects(parse("MAL-1", versions=[7, None, ""]), "1.0")
    assert not affects(parse("PYSEC-1"), "1.0")


@pytest.mark.parametrize(
    ("had", "offered", "expected"),
    [
        ("1.2", "1.5", True),
        ("1.2", "1.9", True),
        ("1.2", "1.4", False),
        ("1.2", "2.1", False),
        ("1.2", "2.4", True),
        ("1.6", "1.9", False),
        ("1.2", "0.9", False),
        ("1.2", "odd", False),
    ],
)
def test_fixes(had: str, offered: str, expected: bool) -> None:
    """A later version that the advisory is not about fixes one that it is about."""
    events = ({"introduced": "1"}, {"fixed": "1.5"}, {"introduced": "2"}, {"last_affected": "2.3"})
    assert fixes(parse("PYSEC-1", "spam", *events), had, offered) is expected


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
TEXTS = (
    st.sampled_from(["PyPI", "npm", "spam", "0", "1.0", "1!2", "x", "", "MAL-1", "ECOSYSTEM", "9" * 90]) | JSON_VALUES
)
EVENTS = st.lists(
    st.dictionaries(st.sampled_from(["introduced", "fixed", "last_affected", "limit"]), TEXTS, max_size=3), max_size=5
)
RECORDS = st.fixed_dictionaries(
    {"id": TEXTS},
    optional={
        "affected": JSON_VALUES
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "package": st.fixed_dictionaries({}, optional={"ecosystem": TEXTS, "name": TEXTS}) | TEXTS,
                    "versions": st.lists(TEXTS, max_size=4) | TEXTS,
                    "ranges": st.lists(st.fixed_dictionaries({}, optional={"type": TEXTS, "events": EVENTS | TEXTS}))
                    | TEXTS,
                    "database_specific": TEXTS,
                },
            ),
            max_size=3,
        ),
        "aliases": st.lists(TEXTS, max_size=3) | TEXTS,
        "withdrawn": TEXTS,
        "modified": TEXTS,
        "summary": TEXTS,
        "database_specific": JSON_VALUES | st.dictionaries(st.sampled_from(["cwe_ids", "malicious"]), TEXTS),
    },
)


@given(st.binary(max_size=200) | RECORDS.map(lambda each: json.dumps(each).encode()), st.text(max_size=8))
def test_parsing_raises_nothing_but_the_trade_s_error(body: bytes, version: str) -> None:
    """Whatever a feed holds, it is advisories that can be compared with any version, or `UpstreamMalformed`."""
    try:
        advisories = parse_record(body)
    except UpstreamMalformed:
        return
    for advisory in advisories:
        assert affects(advisory, version) in (True, False)
        assert fixes(advisory, "1.0", version) in (True, False)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"{}", b'{"id": 7}', b'{"id": "a b"}', b"{" * 100_000, b"[" * 100_000, b"\xff", b'{"id": "X-1"'],
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    """Bytes that are no record of the schema make the feed unusable."""
    with pytest.raises(UpstreamMalformed):
        parse_record(body)
