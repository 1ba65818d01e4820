"""The upload form, the filename in it, and core metadata: pure functions."""

import pytest
from archives import core_metadata
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from koschey.errors import KoscheyError, Refused
from koschey.standards.core_metadata import parse_core_metadata
from koschey.standards.upload_form import UploadForm, parse_upload_form

WHEEL = "some_thing-1.0-py3-none-any.whl"
SHA256 = "a" * 64
FIELDS = {
    ":action": "file_upload",
    "protocol_version": "1",
    "name": "Some.Thing",
    "version": "1.0",
    "filetype": "bdist_wheel",
    "sha256_digest": SHA256,
}


def parse(filename: str | None = WHEEL, **changes: str | None) -> UploadForm:
    """Parse the good form with some fields changed, or left out where None; `action` is `:action`."""
    fields = {**FIELDS, **{{"action": ":action"}.get(key, key): to for key, to in changes.items()}}
    return parse_upload_form([(name, value) for name, value in fields.items() if value is not None], filename)


def test_good_form_is_read() -> None:
    """Names and versions are normalised, digests are lowercase, and the name keeps its spelling for display."""
    form = parse(sha256_digest=SHA256.upper())
    assert (form.project, form.display_name, form.version) == ("some-thing", "Some.Thing", Version("1.0"))
    assert form.digests == {"sha256_digest": SHA256}


def test_sdist_is_read() -> None:
    """An sdist is a `.tar.gz`."""
    assert parse("some_thing-1.0.tar.gz", filetype="sdist").filename == "some_thing-1.0.tar.gz"


@pytest.mark.parametrize(
    "changes", [{"protocol_version": None}, {"summary": "x"}, {"md5_digest": ""}, {"version": "1"}]
)
def test_absent_and_unknown_fields_are_ignored(changes: dict[str, str | None]) -> None:
    """The protocol's version defaults to 1, unknown and empty fields say nothing, and 1 is 1.0."""
    assert parse(**changes) == parse()


@pytest.mark.parametrize(
    ("filename", "changes", "status", "words"),
    [
        (WHEEL, {"action": "submit"}, 410, "no longer"),
        (WHEEL, {"action": "doc_upload"}, 410, "no longer"),
        (WHEEL, {"action": None}, 400, ":action"),
        (WHEEL, {"protocol_version": "2"}, 400, "protocol version"),
        (WHEEL, {"name": None}, 400, "lacks 'name'"),
        (WHEEL, {"name": "UNKNOWN"}, 400, "lacks 'name'"),
        (WHEEL, {"version": ""}, 400, "lacks 'version'"),
        (WHEEL, {"version": "one"}, 400, "not a version"),
        (WHEEL, {"version": "1.1"}, 400, "version 1.0"),
        (WHEEL, {"name": "other"}, 400, "of the project some-thing"),
        (WHEEL, {"filetype": "bdist_egg"}, 400, "filetype"),
        (WHEEL, {"filetype": "sdist"}, 400, "Invalid filename"),
        (WHEEL, {"sha256_digest": None}, 400, "at least one digest"),
        (WHEEL, {"sha256_digest": "a" * 63}, 400, "64 hex digits"),
        (WHEEL, {"blake2_256_digest": "z" * 64}, 400, "64 hex digits"),
        (None, {}, 400, "does not have a file"),
        ("some_thing-1.0.zip", {"filetype": "sdist"}, 400, "tar.gz"),
        ("some_thing-1.0.tar.bz2", {"filetype": "sdist"}, 400, "tar.gz"),
        ("some_thing.whl", {}, 400, "Invalid"),
        ("", {}, 400, "Invalid filename"),
        ("../" + WHEEL, {}, 400, "Invalid filename"),
        ("a\\" + WHEEL, {}, 400, "Invalid filename"),
        (WHEEL + "\x00.whl", {}, 400, "Invalid filename"),
        ("some_thing-1.0\r\nX: y-py3-none-any.whl", {}, 400, "Invalid filename"),
        ("sömething-1.0-py3-none-any.whl", {}, 400, "Invalid filename"),
        ("<b>-1.0-py3-none-any.whl", {}, 400, "Invalid filename"),
        ("x" * 300 + "-1.0-py3-none-any.whl", {}, 400, "Invalid filename"),
    ],
)
def test_bad_form_is_refused_in_words(
    filename: str | None, changes: dict[str, str | None], status: int, words: str
) -> None:
    """Each fault has its status and says what is wrong, in one line of ASCII."""
    with pytest.raises(Refused) as refusal:
        parse(filename, **changes)
    assert refusal.value.status == status
    assert words in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_field_given_twice_is_refused() -> None:
    """Two different values of a field that is read are no claim that could be compared."""
    with pytest.raises(Refused, match="twice"):
        parse_upload_form([*FIELDS.items(), ("name", "other")], WHEEL)


def test_every_given_digest_is_compared() -> None:
    """One wrong digest beside a right one is refused."""
    form = parse(md5_digest="b" * 32)
    found = {"sha256_digest": SHA256, "md5_digest": "b" * 32, "blake2_256_digest": "c" * 64}
    form.check_digests(found)
    with pytest.raises(Refused, match="md5_digest"):
        form.check_digests(found | {"md5_digest": "c" * 32})


@given(st.lists(st.tuples(st.sampled_from([*FIELDS, "x"]), st.text())), st.text() | st.none())
def test_no_form_breaks_the_parser(fields: list[tuple[str, str]], filename: str | None) -> None:
    """Whatever a client sends is read or refused, and raises nothing else."""
    for form in (fields, [*FIELDS.items(), *fields]):
        try:
            parse_upload_form(form, filename)
        except KoscheyError:
            continue


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5"])
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
