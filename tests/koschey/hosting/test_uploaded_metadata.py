"""The metadata in an uploaded file: the form must agree with it, its size has a limit, and the page repeats it."""

import hashlib
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.metadata import parse_email
from packaging.utils import canonicalize_name

from tests.support import archives
from tests.support.commands import twine, uv_publish
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.upload_rules import sdist, switch, wheel
from tests.support.uploads import is_clean, is_known, token_of, upload

LONG = "9" * 5000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", LONG),
        ("version", f"1.0+{LONG}"),
        ("requires_python", f">={LONG}"),
        ("requires_python", f"==1.{LONG}.*"),
        ("requires_dist", f"a=={LONG}"),
        ("provides_dist", f"a (=={LONG})"),
    ],
)
def test_number_of_five_thousand_digits_is_refused(koschey: Koschey, field: str, value: str) -> None:
    """Numbers that Python does not convert are 400 in a form and in METADATA, and leave nothing."""
    stated = wheel("ur-digits", "Requires-Python: >=3", "Requires-Dist: b", "Provides-Dist: b")
    if field != "version":
        header = f"{field.replace('_', '-').title()}: {value}"
        inside = wheel("ur-digits", header)
        answer = upload(koschey, inside)
        assert (answer.status, "is" in answer.body.decode()) == (400, True), answer
        assert is_clean(koschey, *inside)
    answer = upload(koschey, stated, {field: value})
    assert answer.status == 400, answer
    assert len(answer.body) < 500
    assert is_clean(koschey, *stated)
    assert not is_known(koschey, "ur-digits")


def test_b14_two_hundred_thousand_requirements_are_refused(koschey: Koschey) -> None:
    """B14: METADATA beyond measure is refused in words, and other clients are answered meanwhile."""
    file = wheel("ur-measure", *(f"Requires-Dist: b{number}" for number in range(200_000)))
    answer = upload(koschey, file)
    assert answer.status == 400
    assert b"has 200,003 fields, most of them 'Requires-Dist', and at most 20,000 are read. Leave out" in answer.body
    assert is_clean(koschey, *file)


def test_deprecated_classifier_names_its_successor(koschey: Koschey, switches: None) -> None:
    """A classifier that is deprecated is refused with what to write instead; `Private ::` is always free."""
    switch(koschey, "classifier", on=True)
    answer = upload(koschey, wheel("ur-deprecated", "Classifier: Natural Language :: Ukranian"))
    assert answer.body.decode().startswith(
        "The classifier 'Natural Language :: Ukranian' has been deprecated, "
        "use 'Natural Language :: Ukrainian' instead. An admin can allow it: "
    )
    file = wheel("ur-private", "Classifier: Private :: Do Not Upload", "Classifier: Typing :: Typed")
    assert upload(koschey, file).body == b"OK"


def test_form_that_contradicts_its_file_leaves_nothing(koschey: Koschey) -> None:
    """The file is the only source: a form that states something else is refused with both values."""
    file = wheel("ur-claims", "Requires-Python: >=3.9", "Summary: Really")
    answer = upload(koschey, file, {"requires_python": ">=3.8"})
    assert (answer.status, answer.body.decode()) == (
        400,
        f"The form says requires_python '>=3.8', but the metadata in {file[0]} says '>=3.9'.",
    )
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "ur-claims")
    assert upload(koschey, file, {"requires_python": ">= 3.9", "summary": "", "provides": "x"}).body == b"OK"
    assert koschey.fetch_value("SELECT summary FROM project WHERE name = 'ur-claims'") == "Really"


def test_name_is_shown_as_the_file_spells_it(koschey: Koschey) -> None:
    """twine writes hyphens into the form's name; what is kept is the name in the metadata."""
    file = wheel("Ur.Spelt_Name")
    assert upload(koschey, file, {"name": "Ur.Spelt-Name"}).status == 200
    assert koschey.fetch_value("SELECT display_name FROM project WHERE name = 'ur-spelt-name'") == "Ur.Spelt_Name"


def test_metadata_of_the_newest_version_is_served(koschey: Koschey) -> None:
    """Metadata 2.6 (PEP 808) is taken, with its new way of `Dynamic`."""
    file = wheel("ur-newest", "Dynamic: Requires-Dist", "Requires-Dist: last", metadata_version="2.6")
    assert upload(koschey, file).body == b"OK"
    inside = ask(f"{koschey.url}{koschey.path_of(file[0])}.metadata").body
    assert inside.startswith(b"Metadata-Version: 2.6\n")


RICH = (
    *("Summary: Größe und mehr", "Keywords: one,two three", "Home-Page: https://x.test/", "Author: J. Dö"),
    *("Author-Email: J <j@x.local>, K <k@x.test>", "License: MIT license\n        on two lines", "Platform: any"),
    *("Classifier: Typing :: Typed", "Classifier: Topic :: Utilities", "Dynamic: Summary", "Provides-Extra: X_y"),
    *("Project-URL: Docs, https://docs.x.test/", "Project-URL: Source, https://src.x.test/?a=1,2"),
    *("Requires-Python: >=3.8, <4", 'Requires-Dist: a.b[X_y]>=1,!=2; python_version < "3.9"', "Requires-Dist: last"),
    "Description-Content-Type: text/markdown; charset=UTF-8",
)


@pytest.mark.parametrize("client", ["twine", "uv"])
def test_rich_metadata_is_never_refused_falsely(koschey: Koschey, tmp_path: Path, client: str) -> None:
    """What a real client makes of metadata with every kind of field agrees with the file, and nothing is warned of."""
    name = f"Ur.Rich_{client}"
    files = [wheel(name, *RICH, body="# Title\r\n\r\nText é\n\n    code\n"), sdist(name, *RICH)]
    paths = [str(tmp_path / file[0]) for file in files]
    for path, (_, content) in zip(paths, files, strict=True):
        Path(path).write_bytes(content)
    if client == "uv":
        uv_publish("--publish-url", koschey.ready["upload_url"], "--token", token_of(koschey), *paths)
    else:
        options = (
            "--non-interactive",
            "--disable-progress-bar",
            "--verbose",
            "-u",
            "__token__",
            "-p",
            token_of(koschey),
        )
        twine("upload", *options, "--repository-url", koschey.ready["upload_url"], *paths)
    assert sorted(koschey.filenames(canonicalize_name(name))) == sorted(file[0] for file in files)


NUMBERS = itertools.count()
PYTHONS = st.lists(st.sampled_from([">=3.8", "<4", "!=3.9.*", ">= 3.6", "~=3.7", "==3.*", ""]), max_size=3)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PYTHONS.map(lambda parts: ", ".join(filter(None, parts))), WORDS, st.text(max_size=200))
def test_page_says_what_the_metadata_says(koschey: Koschey, python: str, summary: str, body: str) -> None:
    """Whatever is in METADATA, the page repeats its Requires-Python and its digest, and serves its very bytes."""
    name = f"ur-any-{next(NUMBERS)}x"
    headers = [f"Requires-Python: {python}"] if python else []
    file = wheel(name, *headers, f"Summary: {summary}", body=body)
    answer = upload(koschey, file)
    assert answer.status == 200, answer
    inside = archives.read_core_metadata(file[1])
    assert inside is not None
    stated = parse_email(inside)[0].get("requires_python")
    listed = wait_until(lambda: koschey.page(name)["files"])[0]
    assert listed.get("requires-python") == stated
    assert listed["core-metadata"] == {"sha256": hashlib.sha256(inside).hexdigest()}
    assert ask(f"{koschey.url}{listed['url']}.metadata").body == inside
