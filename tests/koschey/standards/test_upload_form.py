"""The upload form, the filename in it, and what it claims about the metadata in the file: pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from koschey.errors import KoscheyError, Refused
from koschey.standards.core_metadata import REPEATABLE, parse_core_metadata
from koschey.standards.upload_claims import ONCE, check_claims, read_claims
from koschey.standards.upload_claims import RENAMED as FIELD_NAMES
from koschey.standards.upload_form import UploadForm, parse_upload_form

WHEEL = "some_thing-1.0-py3-none-any.whl"
SHA256 = "a" * 64
FIELDS = {
    ":action": "file_upload",
    "protocol_version": "1",
    "name": "Some.Thing",
    "version": "1.0",
    "filetype": "bdist_wheel",
    "pyversion": "py3",
    "sha256_digest": SHA256,
}


def parse(filename: str | None = WHEEL, **changes: str | None) -> UploadForm:
    """Parse the good form with some fields changed, or left out where None; `action` is `:action`."""
    fields = {**FIELDS, **{{"action": ":action"}.get(key, key): to for key, to in changes.items()}}
    return parse_upload_form([(name, value) for name, value in fields.items() if value is not None], filename)


def test_good_form_is_read() -> None:
    """Names and versions are normalised, digests are lowercase, and attestations are passed on as they are."""
    form = parse(sha256_digest=SHA256.upper(), attestations="[]")
    assert (form.project, form.version, form.attestations) == ("some-thing", Version("1.0"), "[]")
    assert form.digests == {"sha256_digest": SHA256}


def test_sdist_is_read() -> None:
    """An sdist is a `.tar.gz`, or of before PEP 625; its Python is "source", which flit leaves out."""
    for python in ("source", "", None):
        form = parse("some_thing-1.0.tar.gz", filetype="sdist", pyversion=python)
        assert form.filename == "some_thing-1.0.tar.gz"
    for filename in ("Some.Thing-1.0.zip", "some-thing-1.0.tar.bz2", "some_thing-1.0.tgz", "Some_Thing-1.0.tar.xz"):
        form = parse(filename, filetype="sdist", pyversion=None)
        assert (form.project, form.version, form.filename) == ("some-thing", Version("1.0"), filename)


@pytest.mark.parametrize(
    "changes",
    [{"protocol_version": None}, {"unknown_field": "x"}, {"summary": " "}, {"md5_digest": ""}, {"version": "1"}],
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
        (WHEEL, {"pyversion": None}, 400, "needs 'pyversion'"),
        (WHEEL, {"pyversion": "UNKNOWN"}, 400, "needs 'pyversion'"),
        ("some_thing-1.0.tar.gz", {"filetype": "sdist", "pyversion": "py3"}, 400, "is 'source', not 'py3'"),
        (WHEEL, {"sha256_digest": None}, 400, "at least one digest"),
        (WHEEL, {"sha256_digest": "a" * 63}, 400, "64 hex digits"),
        (WHEEL, {"blake2_256_digest": "z" * 64}, 400, "64 hex digits"),
        (None, {}, 400, "does not have a file"),
        ("some_thing-1.0.egg", {"filetype": "sdist"}, 400, "tar.gz"),
        ("some_thing-1.0.tar", {"filetype": "sdist"}, 400, "tar.gz"),
        ("some_thing-1.0-py2.7.egg", {"filetype": "bdist_egg"}, 400, "wheel convert FILE"),
        ("some_thing-1.0.win32.exe", {"filetype": "bdist_wininst"}, 400, "wheel convert FILE"),
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


@pytest.mark.parametrize("content_type", [None, "application/octet-stream", "application/x-gzip; x=y", "text/plain"])
def test_types_that_clients_send_are_taken(content_type: str | None) -> None:
    """The part with the file may have any type, and none, as flit sends it."""
    assert parse_upload_form(list(FIELDS.items()), WHEEL, content_type).filename == WHEEL


@pytest.mark.parametrize("content_type", ["image/png", "IMAGE/svg+xml; charset=utf-8", "", "octets"])
def test_images_are_no_distributions(content_type: str) -> None:
    """An image, or a type that is none, is a mistake."""
    with pytest.raises(Refused, match=r"Invalid distribution file\."):
        parse_upload_form(list(FIELDS.items()), WHEEL, content_type)


METADATA = """\
Metadata-Version: 2.4
Name: Some.Thing
Version: 1.0
Summary: A thing of two lines
Keywords: one,two three
Home-Page: https://thing.test/
Author-Email: A <a@thing.test>, B <b@thing.test>
License-Expression: MIT
Classifier: Topic :: Utilities
Classifier: Typing :: Typed
Project-URL: Docs, https://docs.thing.test/
Project-URL: Source, https://code.thing.test/
Requires-Python: >=3.8,<4
Requires-Dist: other.thing[Extra_One] >=1,!=2; python_version < "3.9"
Requires-Dist: last
Provides-Extra: extra-one
Import-Name: thing
Import-Name: thing_too
Description-Content-Type: text/markdown; charset=UTF-8

# Thing

A thing.
"""
CORE = parse_core_metadata(METADATA.encode(), "METADATA")


def check(*fields: tuple[str, str]) -> None:
    """Compare what a form states with the metadata above."""
    check_claims(read_claims(fields), CORE, "METADATA")


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("summary", "A thing of two lines"),),
        (("summary", "A thing\n        of two lines"),),
        (("summary", ""), ("requires_python", ""), ("author", "UNKNOWN")),
        (("keywords", "one, two three"),),
        (("keywords", "one,two,three"),),
        (("requires_python", "<4, >=3.8"),),
        (("classifiers", "Typing :: Typed"), ("classifiers", "Topic :: Utilities")),
        (("project_urls", "Source,https://code.thing.test/"), ("project_urls", "Docs, https://docs.thing.test/")),
        (("requires_dist", "last"), ("requires_dist", "Other_Thing[extra.one]!=2,>=1 ; python_version<'3.9'")),
        (("provides_extra", "Extra_One"),),
        (("description", "# Thing\r\n\r\nA thing.\r\n"),),
        (("description_content_type", "text/markdown;charset=utf-8"),),
        (("import_name", "thing_too"),),
        (("import_names", "thing"), ("import_names", "thing_too")),
        (("license", "MIT"), ("provides", "thing"), ("download_url", "https://x.test"), ("platform", "any")),
        (("metadata_version", "2.1"), ("maintainer", " ")),
    ],
)
def test_honest_forms_agree_with_their_files(fields: tuple[tuple[str, str], ...]) -> None:
    """What twine, uv, poetry, flit and hatch make of metadata means the same, however it is written."""
    check(*fields)


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("summary", "Another thing", "'A thing of two lines'"),
        ("description", "# Other", "'# Thing\\n\\nA thing.'"),
        ("description_content_type", "text/x-rst", "'text/markdown; charset=UTF-8'"),
        ("keywords", "one", "'one,two three'"),
        ("home_page", "https://evil.test/", "'https://thing.test/'"),
        ("author", "Somebody", "nothing"),
        ("author_email", "a@thing.test", "'A <a@thing.test>, B <b@thing.test>'"),
        ("maintainer", "Somebody", "nothing"),
        ("license_expression", "Apache-2.0", "'MIT'"),
        ("requires_python", ">=3.9", "'>=3.8,<4'"),
        ("requires_python", "three", "'>=3.8,<4'"),
        ("classifiers", "Typing :: Typed", "'Topic :: Utilities, Typing :: Typed'"),
        ("project_urls", "Docs, https://evil.test/", "'Docs, https://docs.thing.test/, Source, https://code"),
        ("requires_dist", "last", "'other.thing[Extra_One] >=1,!=2;"),
        ("requires_dist", "???", "'other.thing[Extra_One] >=1,!=2;"),
        ("provides_extra", "other", "'extra-one'"),
        ("import_name", "other", "'thing, thing_too'"),
        ("license_file", "LICENSE", "nothing"),
        ("requires_external", "C", "nothing"),
        ("dynamic", "Version", "nothing"),
    ],
)
def test_false_claim_is_refused_with_both_values(field: str, value: str, found: str) -> None:
    """A form that states what the file does not is refused, and the message has the field and both values."""
    with pytest.raises(Refused) as refusal:
        check((field, value))
    expected = f"The form says {FIELD_NAMES.get(field, field)} {value!a}, but METADATA says {found}"
    assert str(refusal.value).startswith(expected), str(refusal.value)
    assert str(refusal.value).isprintable()


def test_single_claim_given_twice_is_refused() -> None:
    """Of two summaries nobody can say which is claimed; the same one twice is harmless."""
    check(("summary", "A thing of two lines"), ("summary", "A thing of two lines"))
    with pytest.raises(Refused, match="'summary' twice"):
        check(("summary", "A thing of two lines"), ("summary", "B"))


@given(st.lists(st.tuples(st.sampled_from([*FIELD_NAMES, *ONCE, *REPEATABLE]), st.text())))
def test_no_claim_breaks_the_comparison(fields: list[tuple[str, str]]) -> None:
    """Whatever a form states agrees or is refused, and raises nothing else."""
    try:
        check(*fields)
    except Refused:
        return
