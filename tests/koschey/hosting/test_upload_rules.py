"""The rules for uploads: each refused with its status and message, each switch both ways, and nothing left behind."""

import asyncio
import bz2
import gzip
import hashlib
import io
import itertools
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urljoin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.metadata import parse_email
from packaging.utils import canonicalize_name

from koschey.db.pool import Connection
from koschey.errors import UsageError
from koschey.hosting.upload_rules import archive_rules, description, form_rules, index_rules, metadata_rules
from koschey.hosting.upload_rules.addresses import Address, kind_of
from koschey.hosting.upload_rules.description import find_fault
from koschey.hosting.upload_rules.form_rules import PORTABLE
from koschey.hosting.upload_rules.switches import RULES, switch_rule
from koschey.model import Actor
from koschey.standards.core_metadata import CoreMetadata, read_core_metadata
from tests.support import archives
from tests.support.commands import pip, twine, uv_publish
from tests.support.koschey_up import Answer, Koschey, ask, wait_until
from tests.support.uploads import encoded, form, is_clean, is_known, post, token_of
from tests.support.uploads import upload as send

type File = tuple[str, bytes]


def metadata(
    name: str, version: str, headers: Sequence[str] = (), body: str = "", *, metadata_version: str = "2.4"
) -> bytes:
    """A METADATA with these further headers."""
    first = (f"Metadata-Version: {metadata_version}", f"Name: {name}", f"Version: {version}")
    return "\n".join([*first, *headers, "", body]).encode()


def wheel(
    name: str,
    *headers: str,
    version: str = "1.0",
    body: str = "",
    tag: str = "py3-none-any",
    as_: str | None = None,
    metadata_version: str = "2.4",
) -> File:
    """A wheel whose METADATA has these headers; `as_` is the name in its filename."""
    stem = f"{as_ or canonicalize_name(name).replace('-', '_')}-{version}"
    members = {
        f"{canonicalize_name(name).replace('-', '_')}.py": b"",
        f"{stem}.dist-info/METADATA": metadata(name, version, headers, body, metadata_version=metadata_version),
        f"{stem}.dist-info/WHEEL": archives.WHEEL.replace("py3-none-any", tag).encode(),
    }
    record = f"{stem}.dist-info/RECORD"
    return f"{stem}-{tag}.whl", archives._zip({**members, record: archives._record(members, record)})


def sdist(name: str, *headers: str, version: str = "1.0", as_: str | None = None) -> File:
    """An sdist whose PKG-INFO has these headers; `as_` is the name in its filename."""
    stem = f"{as_ or canonicalize_name(name).replace('-', '_')}-{version}"
    members = {f"{stem}/PKG-INFO": metadata(name, version, headers), f"{stem}/pyproject.toml": b""}
    return f"{stem}.tar.gz", gzip.compress(archives._tar(members), mtime=0)


def upload(koschey: Koschey, file: File, changes: Mapping[str, str | None] | None = None) -> Answer:
    """Upload; the name in the form is the one in the filename."""
    return send(koschey, file, changes)


def switch(koschey: Koschey, name: str, *, on: bool | None) -> None:
    """Turn a rule on or off, or back to its default, without a word in the journal."""
    koschey.fetch_value("DELETE FROM upload_switch WHERE name = $1", name)
    if on is not None:
        koschey.fetch_value(
            "INSERT INTO upload_switch (index_id, name, enabled, reason, actor) VALUES (1, $1, $2, 'test', 'test')",
            name,
            on,
        )


@pytest.fixture
def switches(koschey: Koschey) -> Iterator[None]:
    """Leaves every rule as it is by default."""
    yield
    koschey.fetch_value("DELETE FROM upload_switch")


LONG = "x" * 513
ALWAYS = [
    (wheel("ur-summary", f"Summary: {LONG}"), "'summary' field must be 512 characters or less, not 513."),
    (
        wheel("ur-home", "Home-Page: javascript:alert(1)"),
        "home_page: 'javascript:alert(1)' is not a valid url; it starts with 'https://' or 'http://'.",
    ),
    (
        wheel("ur-download", "Download-URL: https://"),
        "download_url: 'https://' is not a valid url; it starts with 'https://' or 'http://'.",
    ),
    (
        wheel("ur-project-url", "Project-URL: Docs, data:text/html,x"),
        "project_urls: 'data:text/html,x' is not a valid url; it starts with 'https://' or 'http://'.",
    ),
    (
        wheel("ur-label", f"Project-URL: {'x' * 33}, https://x.test/"),
        f"project_urls: the label '{'x' * 33}' must have 1 to 32 characters.",
    ),
    (
        wheel("ur-no-label", "Project-URL: , https://x.test/"),
        "project_urls: the label '' must have 1 to 32 characters.",
    ),
    (wheel("ur-provides", "Provides-Dist: ???"), "provides_dist: '???' is not a requirement (PEP 508)."),
    (wheel("ur-obsoletes", "Obsoletes-Dist: a b"), "obsoletes_dist: 'a b' is not a requirement (PEP 508)."),
    (
        wheel("ur-license", "License: MIT", "License-Expression: MIT"),
        "License is deprecated when License-Expression is present. Only License-Expression should be present.",
    ),
    (
        wheel("unknown"),
        "The form lacks 'name'.",
    ),
    (
        wheel("requirements.txt"),
        "The name 'requirements-txt' isn't allowed: users type it by mistake too often.",
    ),
    (wheel("ur-spdx", "License-Expression: No such"), "Invalid METADATA: "),
    (wheel("ur-dynamic", "Dynamic: Name"), "Invalid METADATA: 'name' is not allowed as a dynamic field."),
    (wheel("ur-undynamic", "Dynamic: Nonsense"), "Invalid METADATA: 'nonsense' is not a valid dynamic field."),
    (sdist("ur-requires", "Requires-Dist: ???"), "Invalid PKG-INFO: '???' is invalid for 'requires-dist'."),
    (sdist("ur-python", "Requires-Python: three"), "Invalid PKG-INFO: 'three' is invalid for 'requires-python'."),
    (
        wheel("ur-type", "Description-Content-Type: text/html"),
        "Invalid METADATA: 'description-content-type' must be one of ",
    ),
]


@pytest.mark.parametrize(("file", "message"), ALWAYS, ids=[file[0].split("-")[0] for file, _ in ALWAYS])
def test_rule_without_a_switch_is_always_kept(koschey: Koschey, file: File, message: str) -> None:
    """Each fault is 400 with its message, in the body and in the header, and leaves neither row nor object."""
    changes = {"name": None} if message.startswith("The form lacks") else None
    answer = upload(koschey, file, changes)
    assert (answer.status, answer.body.decode()[: len(message)]) == (400, message)
    assert answer.headers["x-error-message"].startswith(f"Bad Request: {message}")
    assert is_clean(koschey, *file)
    assert not is_known(koschey, canonicalize_name(file[0].split("-")[0]))


@pytest.mark.parametrize("version", ["2.7", "0.9", "x", "UNKNOWN"])
def test_version_of_the_metadata_is_known(koschey: Koschey, version: str) -> None:
    """What comes after 2.6 is not known yet, and nothing can be said of what never was."""
    file = wheel("ur-metadata-version", metadata_version=version)
    answer = upload(koschey, file)
    assert answer.status == 400
    assert answer.body.decode().startswith("Invalid METADATA: "), answer
    assert "is not a valid metadata version" in answer.body.decode()
    assert is_clean(koschey, *file)


LINUX = "ur_linux-1.0-py3-none-linux_x86_64.whl"
RST_FAULT = "The description failed to render in the default format of reStructuredText"
TWINS = (
    "Names that some systems cannot tell apart: 'x/xt_mark.h' in ur_twins_in_it-1.0-py3-none-any.whl and "
    "'x/xt_MARK.h' differ only in case or in Unicode form. Rename one, and build again."
)
SCRIPT = (
    "entry_points.txt: 'ur_script-1.0.dist-info/entry_points.txt' in ur_script-1.0-py3-none-any.whl has a script "
    "'g++'; names of scripts consist of letters, digits, '_', '-' and '.'. Rename the script, and build again."
)
URL = "evil @ https://evil.test/evil.zip"
SWITCHED: dict[str, tuple[File, str]] = {
    "sdist-filename": (
        sdist("ur-odd-sdist", as_="Ur_Odd_Sdist"),
        "The filename of this sdist should be 'ur_odd_sdist-1.0.tar.gz', not 'Ur_Odd_Sdist-1.0.tar.gz' (PEP 625).",
    ),
    "wheel-filename": (
        wheel("ur-odd-wheel", as_="Ur.Odd_Wheel"),
        "The filename of this wheel should start with 'ur_odd_wheel-': 'Ur.Odd_Wheel-1.0-py3-none-any.whl'.",
    ),
    "local-version": (
        wheel("ur-local", version="1.0+cu121"),
        "The use of local versions such as '1.0+cu121' is not allowed (PEP 440).",
    ),
    "linux-tag": (
        wheel("ur-linux", tag="py3-none-linux_x86_64"),
        f"Binary wheel {LINUX!r} has the platform tag 'linux_x86_64', which no manylinux policy covers.",
    ),
    "platform-tag": (
        wheel("ur-tag", tag="py3-none-beos_x86_64"),
        "Binary wheel 'ur_tag-1.0-py3-none-beos_x86_64.whl' has an unsupported platform tag 'beos_x86_64'.",
    ),
    "sdist-format": (
        ("ur_zipped-1.0.zip", archives._zip({"ur_zipped-1.0/PKG-INFO": metadata("ur-zipped", "1.0")})),
        "The sdist 'ur_zipped-1.0.zip' is not a '.tar.gz', and every sdist must be one (PEP 625).",
    ),
    "case-twins": (
        archives.wheel("ur-twins-in-it", "1.0", modules={"x/xt_MARK.h": "1", "x/xt_mark.h": "2"}),
        TWINS,
    ),
    "script-name": (
        archives.wheel(
            "ur-script", "1.0", modules={"ur_script-1.0.dist-info/entry_points.txt": "[console_scripts]\ng++ = a:b\n"}
        ),
        SCRIPT,
    ),
    "email": (
        wheel("ur-email", "Author-Email: A <a@b.local>, b@c.test, ACME Corp"),
        "author_email: 'ACME' is not a valid email address: An email address must have an @-sign.",
    ),
    "repository-url": (
        wheel("ur-ssh", "Project-URL: Source, ssh://git@git.corp/x"),
        "project_urls: 'ssh://git@git.corp/x' is not a valid url; it starts with 'https://' or 'http://'.",
    ),
    "web-url": (
        wheel("ur-ftp", "Project-URL: Docs, ftp://x.test/"),
        "project_urls: 'ftp://x.test/' is not a valid url; it starts with 'https://' or 'http://'.",
    ),
    "stdlib-name": (wheel("xmlrpc"), "The name 'xmlrpc' isn't allowed: it is a module of the Python standard library."),
    "similar-name": (
        wheel("ur-10ok-a1ike"),
        "The name 'ur-10ok-a1ike' is too similar to an existing project, 'ur-look-alike'.",
    ),
    "release-age": (
        wheel("ur-aged", tag="cp313-cp313-win_amd64"),
        "The release ur-aged 1.0 was created more than 14 days ago and is closed; upload a new version.",
    ),
    "one-sdist": (
        sdist("ur-two-sdists", "Summary: another", as_="Ur_Two_Sdists"),
        "Only one sdist may be uploaded per release, and 'ur_two_sdists-1.0.tar.gz' is already here.",
    ),
    "metadata-version": (
        wheel("ur-draft", "Requires-Dist: b (>=1.0)", metadata_version="2.0"),
        "Invalid METADATA: '2.0' is not a valid metadata version.",
    ),
    "summary-lines": (
        wheel("ur-two-lines", "Summary: a", "        b"),
        "Invalid METADATA: 'summary' must be a single line.",
    ),
    "classifier": (wheel("ur-classifier", "Classifier: Ours :: Own"), "'Ours :: Own' is not a valid classifier."),
    "direct-url": (
        wheel("ur-url", f"Requires-Dist: {URL}"),
        f"requires_dist: Can't have direct dependency: '{URL}'.",
    ),
    "description": (
        wheel("ur-description", body="Title\n=====\n\n.. nothing::\n"),
        f'{RST_FAULT}: line 4: (ERROR/3) Unknown directive type "nothing".',
    ),
}
BEFORE = {
    "similar-name": [wheel("ur-look-alike")],
    "release-age": [wheel("ur-aged")],
    "one-sdist": [sdist("ur-two-sdists")],
}
"""What is here already when the file arrives."""
OFF = {"one-sdist": ("sdist-filename",)}
"""Other rules that the file breaks too."""


def prepare(koschey: Koschey, rule: str) -> None:
    """Put in place what the fault of a rule needs."""
    for other in OFF.get(rule, ()):
        switch(koschey, other, on=False)
    for file in BEFORE.get(rule, []):
        assert upload(koschey, file).status == 200
    koschey.fetch_value(
        "UPDATE file SET first_seen_at = first_seen_at - interval '15 days' WHERE filename LIKE 'ur_aged-%'"
    )


@pytest.mark.parametrize("rule", SWITCHED)
def test_switch_of_a_rule(koschey: Koschey, switches: None, rule: str) -> None:
    """On, the fault is 400 and leaves nothing; off, the file is taken and the same words are a warning."""
    file, message = SWITCHED[rule]
    prepare(koschey, rule)
    switch(koschey, rule, on=True)
    answer = upload(koschey, file)
    remedy = f"An admin can allow it: koschey upload-rules set {rule} off --reason WHY"
    assert (answer.status, answer.body.decode()) == (400, f"{message} {remedy}")
    assert is_clean(koschey, *file)
    assert rule in BEFORE or not is_known(koschey, canonicalize_name(file[0].split("-")[0]))
    switch(koschey, rule, on=False)
    answer = upload(koschey, file)
    assert answer.status == 200, answer
    assert f"Warning ({rule}): {message}" in answer.body.decode().split("\n")
    assert upload(koschey, file).body == b"OK", "the same again changes nothing, so there is nothing to warn of"


def test_every_switch_has_its_test() -> None:
    """No rule can be added that is not tried both ways; each says why it is as it is, and names are unique."""
    assert {rule.name for rule in RULES if rule.default is not None} == set(SWITCHED)
    assert all(bool(rule.why) is (rule.default is not None) and rule.says.endswith(".") for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert len(RULES) == sum(map(len, (form_rules.RULES, index_rules.RULES, archive_rules.RULES, metadata_rules.RULES)))


def test_defaults_are_a_companys() -> None:
    """What private builds need is allowed; what confuses people or goes past the index is not."""
    assert {rule.name: rule.default for rule in RULES if rule.default is not None} == {
        "sdist-format": True,
        "sdist-filename": True,
        "wheel-filename": True,
        "local-version": False,
        "linux-tag": False,
        "platform-tag": True,
        "stdlib-name": True,
        "similar-name": True,
        "release-age": False,
        "one-sdist": True,
        "case-twins": False,
        "script-name": False,
        "metadata-version": True,
        "summary-lines": False,
        "email": False,
        "repository-url": False,
        "web-url": True,
        "classifier": False,
        "direct-url": True,
        "description": False,
    }


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://x.test/a?b#c", Address.WEB),
        ("HTTP://x.test", Address.WEB),
        ("ssh://git@git.corp:2222/x", Address.REPOSITORY),
        ("git@git.corp:team/x.git", Address.REPOSITORY),
        ("git+https://git.corp/x@main", Address.REPOSITORY),
        ("svn+ssh://svn.corp/x", Address.REPOSITORY),
        ("git://git.corp/x", Address.REPOSITORY),
        ("ftp://x.test/", Address.OTHER),
        ("www.example.org", Address.OTHER),
        ("example.org:8080/path", Address.OTHER),
        ("https://", Address.NONE),
        ("https://x.test/a b", Address.NONE),
        ("https://[x", Address.NONE),
        ("javascript:alert(1)", Address.NONE),
        ("javascript://x.test/%0aalert(1)", Address.NONE),
        ("javascript:x@y:alert(1)", Address.NONE),
        ("data:text/html,x", Address.NONE),
        ("file:///etc/passwd", Address.NONE),
        ("vbscript://x.test/", Address.NONE),
        ("git+file:///x", Address.NONE),
        ("none", Address.OTHER),
        ("see the wiki", Address.OTHER),
        ("//wiki/x", Address.OTHER),
        ("mailto:a@b.test", Address.OTHER),
        ("see javascript:alert(1)", Address.NONE),
        ("C:\\x", Address.NONE),
        ("", Address.NONE),
        ("git@git.corp:x\u202e", Address.NONE),
    ],
)
def test_kind_of_an_address(text: str, kind: Address) -> None:
    """Addresses of repositories and of older days are told apart from what runs something where it is followed."""
    assert kind_of(text) is kind


OLD = (
    ("wheel-filename", wheel("My.Old_Wheel", as_="My.Old_Wheel", metadata_version="2.0")),
    ("sdist-filename", sdist("My.Old-Sdist", "Home-Page: UNKNOWN", "License: UNKNOWN", as_="My.Old-Sdist")),
)
"""What tools of ten years ago built, and which rule is the first to refuse it."""


@pytest.mark.parametrize(("rule", "file"), OLD, ids=[rule for rule, _ in OLD])
def test_old_packages_can_be_moved_in(koschey: Koschey, switches: None, rule: str, file: File) -> None:
    """With the rules off that are for today's build tools they are taken, served, and installed."""
    project = canonicalize_name(file[0].rpartition("-1.0")[0])
    changes = {"name": project, "version": "1.0"}
    answer = send(koschey, file, changes)
    assert (answer.status, f"upload-rules set {rule} off" in answer.body.decode()) == (400, True)
    for name in ("sdist-format", "sdist-filename", "wheel-filename", "metadata-version", "web-url"):
        switch(koschey, name, on=False)
    answer = send(koschey, file, changes)
    assert answer.status == 200, answer
    assert f"Warning ({rule}): " in answer.body.decode()
    assert koschey.filenames(project) == [file[0]]
    assert ask(koschey.url + koschey.path_of(file[0])).body == file[1]


def test_old_formats_of_sdists_are_installed(koschey: Koschey, switches: None, tmp_path: Path) -> None:
    """A `.zip` and a `.tar.bz2` that were moved in are what pip builds from."""
    for name in ("sdist-format", "sdist-filename"):
        switch(koschey, name, on=False)
    for suffix in (".zip", ".tar.bz2"):
        project = f"ur-built{suffix.replace('.', '-')}"
        filename, content = archives.sdist(project, "1.0")
        repacked = repack(content, suffix)
        file = (filename.replace("_", "-").replace(".tar.gz", suffix), repacked)
        answer = send(koschey, file, {"name": project, "version": "1.0"})
        assert answer.status == 200, answer
        target = tmp_path / suffix
        pip("install", "--index-url", koschey.index_url, "--no-binary=:all:", "--target", str(target), project)
        assert (target / f"{project.replace('-', '_')}.py").exists()


def repack(content: bytes, suffix: str) -> bytes:
    """The members of a `.tar.gz` in another format."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {info.name: (archive.extractfile(info) or io.BytesIO()).read() for info in archive}
    return archives._zip(members) if suffix == ".zip" else bz2.compress(archives._tar(members))


def test_warnings_stand_one_a_line(koschey: Koschey) -> None:
    """All that switched-off rules have to say is in the body of the 200, and the file is served."""
    file = wheel("ur-warned", "Classifier: Ours :: A", "Classifier: Ours :: B", version="1.0+local")
    answer = upload(koschey, file)
    assert answer.status == 200
    assert answer.body.decode().split("\n") == [
        "Warning (local-version): The use of local versions such as '1.0+local' is not allowed (PEP 440).",
        "Warning (classifier): 'Ours :: A' is not a valid classifier.",
        "Warning (classifier): 'Ours :: B' is not a valid classifier.",
    ]
    assert koschey.filenames("ur-warned") == [file[0]]


def test_warnings_have_a_measure(koschey: Koschey) -> None:
    """Of thousands of faults of one kind the client is told the first."""
    answer = upload(koschey, wheel("ur-warned-much", *(f"Classifier: Ours :: {number}" for number in range(5_000))))
    assert answer.status == 200
    warnings = answer.body.decode().split("\n")
    assert len(warnings) == 21
    assert warnings[-1] == "Warning (classifier): and more of this kind."


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


def test_late_wheel_is_taken_by_default(koschey: Koschey) -> None:
    """A company builds wheels of old releases for new machines; the second release of a name asks about no name."""
    assert upload(koschey, wheel("ur-late")).body == b"OK"
    koschey.fetch_value("UPDATE file SET first_seen_at = now() - interval '1 year' WHERE filename LIKE 'ur_late-%'")
    answer = upload(koschey, wheel("ur-late", tag="cp313-cp313-linux_x86_64"))
    assert (answer.status, b"release-age" in answer.body, b"linux-tag" in answer.body) == (200, True, True)


def test_two_lookalikes_at_once_are_not_both_taken(koschey: Koschey) -> None:
    """Of names that look alike one is taken, also where both arrive in the same moment."""

    async def run() -> list[Answer]:
        names = ("ur-tw1n", "ur-twin", "ur-twln", "ur_t-w-1-n")
        return await asyncio.gather(*(asyncio.to_thread(upload, koschey, wheel(name)) for name in names))

    with asyncio.Runner() as runner:
        answers = runner.run(run())
    assert sorted(answer.status for answer in answers) == [200, 400, 400, 400], answers
    lookalikes = (
        "SELECT count(*) FROM project JOIN file ON project_id = project.id WHERE translate(name, 'li-', '11') = $1"
    )
    assert koschey.fetch_value(lookalikes, "urtw1n") == 1


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_closed_project_takes_nothing(koschey: Koschey, status: str) -> None:
    """PEP 792: neither an archived nor a quarantined project takes a file; it is 403 with the reason."""
    name = f"ur-{status}"
    assert upload(koschey, wheel(name)).status == 200
    koschey.fetch_value("UPDATE project SET status = $2, status_reason = 'no more' WHERE name = $1", name, status)
    file = wheel(name, version="2.0")
    answer = upload(koschey, file)
    assert (answer.status, answer.body.decode()) == (403, f"{name} is {status}: no more")
    assert is_clean(koschey, *file)


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


def test_same_bytes_under_another_name_are_refused(koschey: Koschey) -> None:
    """A build number is in the filename only, so one wheel could be uploaded under many names."""
    file = wheel("ur-same-bytes")
    assert upload(koschey, file).status == 200
    other = file[0].replace("-1.0-", "-1.0-2-")
    answer = upload(koschey, (other, file[1]))
    digest = hashlib.sha256(file[1]).hexdigest()
    assert (answer.status, answer.body.decode()) == (
        400,
        f"File already exists ('{file[0]}', with sha256 hash '{digest}').",
    )


@pytest.mark.parametrize("attestations", ["", "[]", "no JSON", "{}", "[1]", '[{"version": 1}]'])
def test_attestations_are_verified_or_refused(koschey: Koschey, attestations: str) -> None:
    """What proves nothing is 400 and never 500, and nothing is left; an empty field is no field."""
    file = wheel(f"ur-attested-{len(attestations)}")
    answer = upload(koschey, file, {"attestations": attestations})
    if attestations:
        assert answer.status == 400
        assert answer.body.startswith(b"Invalid attestations supplied during upload: ")
        assert is_clean(koschey, *file)
    else:
        assert answer.body == b"OK"


def test_signature_is_dropped_whatever_is_in_it(koschey: Koschey) -> None:
    """twine still sends signatures as a second file, and a binary one is no text."""
    file = wheel("ur-signed")
    signature = encoded({}, file[0] + ".asc", b"\xff\x00", name="gpg_signature").rpartition(b"--b0undary--")[0]
    assert post(koschey, signature + encoded(form(*file), *file)).body == b"OK"
    answer = post(koschey, encoded(form(*file), *file).replace(b'"pyversion"\r\n\r\npy3', b'"summary"\r\n\r\n\xff'))
    assert (answer.status, answer.body) == (400, b"'summary' is not UTF-8.")


@pytest.mark.parametrize(("kind", "status"), [("image/png", 400), ("", 400), ("application/zip", 200)])
def test_image_is_no_distribution(koschey: Koschey, kind: str, status: int) -> None:
    """The part with the file has a type that a distribution can have."""
    file = wheel("ur-image")
    body = encoded(form(*file), *file)
    named = f'filename="{file[0]}"\r\n'.encode()
    answer = post(koschey, body.replace(named, named + f"Content-Type: {kind}\r\n".encode()))
    assert answer.status == status
    if status == 400:
        assert answer.body.decode() == f"Invalid distribution file. The part 'content' has the type '{kind}'."
        assert is_clean(koschey, *file)


def test_metadata_of_the_newest_version_is_served(koschey: Koschey) -> None:
    """Metadata 2.6 (PEP 808) is taken, with its new way of `Dynamic`."""
    file = wheel("ur-newest", "Dynamic: Requires-Dist", "Requires-Dist: last", metadata_version="2.6")
    assert upload(koschey, file).body == b"OK"
    inside = ask(f"{koschey.url}{koschey.path_of(file[0])}.metadata").body
    assert inside.startswith(b"Metadata-Version: 2.6\n")


def test_hatch_finds_what_is_here_below_the_upload_url(koschey: Koschey) -> None:
    """hatch asks for any type and reads the texts of links; other pages are not found there."""
    file = wheel("ur-hatch")
    assert upload(koschey, file).status == 200
    answer = wait_until(
        lambda: (got := ask(f"{koschey.url}/legacy/%2Bsimple/ur-hatch/", Accept="*/*")).status == 200 and got
    )
    assert answer.headers["content-type"].startswith("text/html")
    assert f">{file[0]}</a>" in answer.body.decode()
    [link] = re.findall('href="([^#"]+)', answer.body.decode())
    assert ask(urljoin(f"{koschey.url}/legacy/%2Bsimple/ur-hatch/", link)).status == 200
    assert ask(f"{koschey.url}/legacy/%2Bsimple/ur-nothing-here/").status == 404


def test_rules_are_listed_and_switched_by_command(koschey: Koschey, switches: None) -> None:
    """The command shows every rule with its state, and a switch is in the journal with who and why."""
    listed = json.loads(koschey.run("upload-rules", "--json").stdout)
    assert [rule["rule"] for rule in listed] == [rule.name for rule in RULES]
    states = {rule["rule"]: rule["state"] for rule in listed}
    assert (states["local-version"], states["similar-name"], states["summary"]) == ("off", "on", "always")
    koschey.run("upload-rules", "set", "local-version", "on", "--reason", "we publish these")
    assert upload(koschey, wheel("ur-by-command", version="1.0+x")).status == 400
    table = koschey.run("upload-rules").stdout
    assert [name for name in SWITCHED if name not in table] == []
    assert re.search(r"local-version .* on .* we publish", table), table
    detail = koschey.fetch_value(
        "SELECT detail FROM journal WHERE action = 'switch upload rule' AND project = '*' ORDER BY serial DESC LIMIT 1"
    )
    assert json.loads(detail) == {"rule": "local-version", "enabled": True, "reason": "we publish these"}
    done = koschey.run("upload-rules", "set", "summary", "off", "--reason", "x", check=False)
    assert (done.returncode, "'summary' is always on; these can be switched: " in done.stderr) == (1, True)


async def test_switch_needs_a_reason_and_a_rule(connection: Connection) -> None:
    """Nobody has to guess later why a rule is off, or which."""
    with pytest.raises(UsageError, match="give a reason"):
        await switch_rule(connection, Actor("ada", "cli"), "local-version", " ", enabled=True)
    with pytest.raises(UsageError, match="'nothing' is not an upload rule"):
        await switch_rule(connection, Actor("ada", "cli"), "nothing", "why not", enabled=True)
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0


@pytest.mark.parametrize(
    "tag",
    [
        *("any", "win32", "win_amd64", "win_arm64", "win_ia64", "linux_armv6l", "linux_armv7l"),
        *("manylinux1_x86_64", "manylinux2010_i686", "manylinux2014_ppc64le", "manylinux_2_28_riscv64"),
        *("musllinux_1_2_aarch64", "macosx_10_9_universal2", "macosx_11_0_arm64", "macosx_26_0_arm64"),
        *("ios_13_0_arm64_iphoneos", "ios_13_0_x86_64_iphonesimulator", "android_21_arm64_v8a"),
        *("pyemscripten_2025_0_wasm32",),
    ],
)
def test_tags_of_the_public_index_are_portable(tag: str) -> None:
    """What the public index takes needs no switch here."""
    assert PORTABLE.fullmatch(tag)


@pytest.mark.parametrize(
    "tag",
    [
        *("linux_x86_64", "linux_aarch64", "manylinux1_aarch64", "manylinux2010_ppc64le", "manylinux_2_28"),
        *("musllinux_1_2_ppc64", "macosx_12_1_arm64", "macosx_16_0_arm64", "win_x86", "anything", "ANY", ""),
        *("ios_13_0_x86_64_iphoneos", "android_21_mips", "emscripten_3_1_wasm32"),
    ],
)
def test_other_tags_are_not(tag: str) -> None:
    """What the public index refuses is seen here too."""
    assert not PORTABLE.fullmatch(tag)


def described(text: str, kind: str | None = None) -> CoreMetadata:
    """Metadata with a description."""
    headers = [f"Description-Content-Type: {kind}"] if kind else []
    core = read_core_metadata(metadata("a", "1", headers, text))
    assert core is not None
    return core


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", None),
        ("Title\n=====\n\n* one\n", None),
        ("Title\n=====\n", "text/x-rst"),
        ("# Title\n<b>", "text/markdown"),
        ("# Title", "text/markdown; charset=UTF-8; variant=CommonMark"),
        ("Title\n===", "text/plain"),
    ],
)
async def test_description_that_can_be_shown(text: str, kind: str | None) -> None:
    """Each type has its renderer; without one it is reStructuredText."""
    assert await find_fault(described(text, kind)) is None


async def test_description_that_opens_files_is_refused() -> None:
    """The renderer reads nothing beside the description."""
    fault = await find_fault(described(".. include:: /etc/passwd\n", "text/x-rst"))
    assert fault is not None
    assert fault.startswith("The description failed to render for 'text/x-rst': line 1: ")
    assert "root" not in fault


async def test_description_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renderer that takes too long is ended, and the message says so."""
    monkeypatch.setattr(description, "WALL", 0.01)
    fault = await find_fault(described("Title\n=====\n", "text/x-rst"))
    assert fault == "The description failed to render for 'text/x-rst': it takes more than 0.01 seconds"


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
