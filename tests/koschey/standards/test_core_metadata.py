"""Core metadata: the strict reader that uploads pass, and the lenient one for what is mirrored."""

import json
import re
from dataclasses import asdict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from koschey.errors import Refused
from koschey.standards.core_metadata import (
    MAX_FIELDS,
    SINGLE,
    CoreMetadata,
    draft_fault,
    find_excess,
    parse_core_metadata,
    read_core_metadata,
)
from tests.support.archives import core_metadata

FULL = """\
Metadata-Version: 2.5
Name: Some.Thing
Version: 1.0
Platform: any
Supported-Platform: linux
Summary: Größe
Keywords: one, two
Home-page: https://thing.test/
Download-URL: https://thing.test/get
Author: A
Author-email: a@thing.test
Maintainer: B
Maintainer-email: b@thing.test
License: first line
        second line
License-File: LICENSE
Classifier: Topic :: Utilities
Requires: old
Provides: old
Obsoletes: older
Requires-Dist: other>=1
Requires-Dist: last
Provides-Dist: thing-too
Obsoletes-Dist: thing-before
Requires-Python: >=3.8
Requires-External: C
Project-URL: Docs, https://docs.thing.test/
Project-URL: Docs, https://docs.thing.test/other
Provides-Extra: extra
Dynamic: Summary
Import-Name: thing
Import-Namespace: space
Description-Content-Type: text/x-rst

  indented

text
"""


def test_every_field_is_read() -> None:
    """No field of any version of the standard is lost, and values are as they are written."""
    core = parse_core_metadata(FULL.encode(), "METADATA")
    assert core == CoreMetadata(
        project="some-thing",  # type: ignore[arg-type]
        version=core.version,
        metadata_version="2.5",
        name="Some.Thing",
        summary="Größe",
        description="  indented\n\ntext",
        description_content_type="text/x-rst",
        keywords="one, two",
        home_page="https://thing.test/",
        download_url="https://thing.test/get",
        author="A",
        author_email="a@thing.test",
        maintainer="B",
        maintainer_email="b@thing.test",
        license="first line\nsecond line",
        license_expression=None,
        requires_python=">=3.8",
        classifiers=("Topic :: Utilities",),
        project_urls=("Docs, https://docs.thing.test/", "Docs, https://docs.thing.test/other"),
        requires_dist=("other>=1", "last"),
        provides_dist=("thing-too",),
        obsoletes_dist=("thing-before",),
        requires_external=("C",),
        provides_extra=("extra",),
        requires=("old",),
        provides=("old",),
        obsoletes=("older",),
        dynamic=("Summary",),
        platforms=("any",),
        supported_platforms=("linux",),
        license_files=("LICENSE",),
        import_names=("thing",),
        import_namespaces=("space",),
    )
    assert str(core.version) == "1.0"


def test_legacy_metadata_is_legible() -> None:
    """What old tools wrote is read: no PEP 440, latin-1, UNKNOWN, a description in the header, a NUL."""
    body = (
        b"Metadata-Version: 2.0\r\nName: old\r\nVersion: 1.0-beta-final\r\nSummary: caf\xe9\0\r\nLicense: UNKNOWN\r\n"
        b"Requires-Dist: broken (>= 1\r\nRequires-Python: three\r\nDescription: one\r\n        two\r\n       |three\r\n"
    )
    core = read_core_metadata(body)
    assert core is not None
    assert (core.project, core.version, core.summary, core.license) == ("old", None, "café", None)
    assert (core.requires_dist, core.requires_python) == (("broken (>= 1",), "three")
    assert core.description == "one\ntwo\nthree"


@pytest.mark.parametrize("body", [b"", b"\n\nName: a", b"Version: 1\n", b"Name: \n", b"Name: UNKNOWN\n"])
def test_metadata_of_nothing_is_none(body: bytes) -> None:
    """What names no project is no metadata."""
    assert read_core_metadata(body) is None


@example(b":\nName:\\u0000")
@given(st.binary() | st.binary().map(lambda tail: core_metadata("a", "1")[:-1] + tail))
def test_lenient_reader_never_raises(body: bytes) -> None:
    """Whatever an upstream has as metadata gives JSON that PostgreSQL can store, or nothing."""
    core = read_core_metadata(body)
    if core is not None:
        text = json.dumps(asdict(core) | {"version": str(core.version)})
        # An escape, and not a backslash before these letters.
        assert not re.search(r"(?<!\\)(\\\\)*\\u0000", text)
        assert text.encode()


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"])
def test_every_metadata_version_is_read(version: str) -> None:
    """All versions that build tools wrote are understood, with fields ahead of their version and unknown ones."""
    body = f"Metadata-Version: {version}\nName: a.b\nVersion: 1.0+local\nLicense-File: LICENSE\nX-Ours: 1\n"
    core = parse_core_metadata(
        body.encode() + b"Requires-Python: >=3.8\nRequires-Dist: c @ https://c.test/c.whl\n", "METADATA"
    )
    assert (core.project, str(core.version), core.requires_python) == ("a-b", "1.0+local", ">=3.8")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"Metadata-Version: 2.1\nVersion: 1.0\n",
        b"Metadata-Version: UNKNOWN\nName: a\nVersion: 1.0\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: UNKNOWN\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: " + b"9" * 5000 + b"\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nRequires-Python: >=" + b"9" * 5000 + b"\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nRequires-Dist: a==" + b"9" * 5000 + b"\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nDescription-Content-Type: " + b"(" * 20_000 + b"\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nDescription-Content-Type: " + b"(" * 16_000 + b"\n",
        b"Metadata-Version: 2.7\nName: a\nVersion: 1.0\n",
        b"Metadata-Version: 2.1\nName: UNKNOWN\nVersion: 1.0\n",
        b"Metadata-Version: 9.9\nName: a\nVersion: 1.0\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: one\n",
        b"Metadata-Version: 2.1\nName: -a-\nVersion: 1.0\n",
        b"Metadata-Version: 2.1\nName: a\nName: b\nVersion: 1.0\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nRequires-Python: three\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nRequires-Python: >=3\nRequires-Python: >=2\n",
        b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nRequires-Dist: ???\n",
    ],
)
def test_bad_metadata_is_refused(body: bytes) -> None:
    """Metadata that an installer could not act on, or could read in two ways, is refused."""
    with pytest.raises(Refused, match="Invalid METADATA"):
        parse_core_metadata(body, "METADATA")


@given(st.binary() | st.binary().map(lambda tail: core_metadata("a", "1") + tail))
def test_no_metadata_breaks_the_parser(body: bytes) -> None:
    """Whatever an archive holds as metadata is read or refused, and raises nothing else."""
    try:
        parse_core_metadata(body, "METADATA")
    except Refused:
        return


HEAD = b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n"


@pytest.mark.parametrize(
    "field", sorted({*SINGLE, "classifier", "platform", "requires_dist", "project_url", "provides_extra"})
)
def test_unknown_means_absent(field: str) -> None:
    """Old build tools wrote UNKNOWN where there was nothing: it says nothing, in whatever field it stands."""
    body = HEAD + f"{field.replace('_', '-').title()}: UNKNOWN\n\n".encode()
    if field in ("metadata_version", "name", "version"):
        with pytest.raises(Refused, match="Invalid METADATA"):
            parse_core_metadata(body, "METADATA")
        return
    assert parse_core_metadata(body, "METADATA") == parse_core_metadata(HEAD + b"\n", "METADATA")


def test_draft_is_read_and_told_of() -> None:
    """Metadata 2.0 was never a standard: it is read as 2.1, and the rules for uploads are told of it."""
    core = parse_core_metadata(HEAD.replace(b"2.1", b"2.0") + b"Requires-Dist: b (>=1.0)\n\n", "METADATA")
    assert (core.metadata_version, core.requires_dist) == ("2.0", ("b (>=1.0)",))
    assert draft_fault(core, "METADATA") == "Invalid METADATA: '2.0' is not a valid metadata version."
    assert draft_fault(parse_core_metadata(HEAD, "METADATA"), "METADATA") is None


def test_folded_summary_is_one_line_here() -> None:
    """A summary of several lines is read as one, and is told apart from one that is one line."""
    core = parse_core_metadata(HEAD + b"Summary: a\n        b\n\n", "METADATA")
    assert (core.summary, core.summary_is_folded) == ("a b", True)
    core = parse_core_metadata(HEAD + b"Summary: a b\n\n", "METADATA")
    assert (core.summary, core.summary_is_folded) == ("a b", False)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (b"Requires-Dist: b\n" * 200_000, "has 200,003 fields, most of them 'Requires-Dist', and at most 20,000"),
        (b"".join(b"X-%d: y\n" % number for number in range(20_000)), "has fields of 20,003 different names"),
        (b"\n" + b"\n" * 1_000_000, "has more than 500,000 line ends"),
        (b"\n" + b"\r" * 1_000_000, "has more than 500,000 line ends"),
    ],
)
def test_b14_metadata_beyond_measure_is_not_parsed(more: bytes, words: str) -> None:
    """B14: What would take a parser minutes is refused by counting, and what is mirrored is not read then."""
    assert words in (find_excess(HEAD + more) or "")
    assert read_core_metadata(HEAD + more) is None
    with pytest.raises(Refused, match="Invalid METADATA: it has ") as refusal:
        parse_core_metadata(HEAD + more, "METADATA")
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"Author-Email: " + b"a@b.c, " * 10_000, "'author-email' has more than 16,384 characters"),
        (b"Description-Content-Type: text/plain" + b"; a=b" * 10_000, "'description-content-type' has more than"),
        (b"Requires-Dist: a" + b" >=1," * 10_000, "is invalid for 'requires-dist'"),
        (
            b"\n".join([b"Requires-Dist: a @ https://x.test/" + b"y" * 16_000] * 300),
            "more than 4,194,304 characters in",
        ),
        (b"License-Expression: " + b"(" * 30_000, r"Invalid METADATA: '?\(\("),
    ],
)
def test_b14_field_beyond_measure_is_refused(line: bytes, words: str) -> None:
    """B14: Fields that are parsed further are bounded, each and all requirements together; the refusal is too."""
    with pytest.raises(Refused, match=words) as refusal:
        parse_core_metadata(HEAD + line + b"\n\n", "METADATA")
    assert len(str(refusal.value)) < 300


def test_b14_large_metadata_is_read() -> None:
    """B14: METADATA with as many requirements as there may be, and a description of megabytes, is read."""
    requirements = b"".join(b"Requires-Dist: b%d; extra == 'c'\n" % number for number in range(MAX_FIELDS - 3))
    body = HEAD + requirements + b"\n" + (b"x" * 79 + b"\n") * 100_000
    core = parse_core_metadata(body, "METADATA")
    assert len(core.requires_dist) == MAX_FIELDS - 3
    assert len(core.description or "") == 8_000_000 - 1
