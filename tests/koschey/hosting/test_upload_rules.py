"""The rules for uploads: each refused with its status and message, each switch both ways, and nothing left behind."""

import asyncio
import hashlib
import json
import re

import pytest
from packaging.utils import canonicalize_name

from koschey.db.pool import Connection
from koschey.errors import UsageError
from koschey.hosting.upload_rules import archive_rules, form_rules, index_rules, metadata_rules
from koschey.hosting.upload_rules.switches import RULES, switch_rule
from koschey.model import Actor
from tests.support import archives
from tests.support.koschey_up import Answer, Koschey
from tests.support.upload_rules import File, metadata, sdist, switch, wheel
from tests.support.uploads import is_clean, is_known, upload

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
