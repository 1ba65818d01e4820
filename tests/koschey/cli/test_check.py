"""`koschey check`: every kind of lock is read, what is not served is told, and CI gets its reports."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from defusedxml.ElementTree import fromstring

from koschey.client.locks import Lock, read_lock
from koschey.errors import StartError
from tests.support.commands import isolated, run_koschey
from tests.support.koschey_up import Koschey
from tests.support.releases import end_of_window
from tests.support.upstream.server import Upstream, UpstreamFile

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
REQUIREMENTS = f"""\
# a comment
--index-url http://localhost/simple/
Spam[extra]==1.0 ; python_version < "3" \\
    --hash={A} \\
    --hash {B} \\
    # via toast
ham===2.0  # another comment
eggs>=3
toast==1.*
./local.whl
here @ http://localhost/here-1.0.tar.gz
-e git+http://localhost/x#egg=x
-r more/other.txt
--constraint=more/limits.txt
"""
UV = f"""\
version = 1
[[package]]
name = "app"
version = "1.0"
source = {{ virtual = "." }}

[[package]]
name = "spam"
version = "1.0"
source = {{ registry = "http://localhost/simple/" }}
sdist = {{ url = "http://localhost/spam-1.0.tar.gz", hash = "{A}", size = 1 }}
wheels = [{{ url = "http://localhost/spam-1.0-py3-none-any.whl", hash = "{B}", size = 1 }}]
"""
PYLOCK = f"""\
lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "app"
directory = {{ path = "." }}

[[packages]]
name = "spam"
version = "1.0"
sdist = {{ url = "http://localhost/spam-1.0.tar.gz", hashes = {{ sha256 = "{"a" * 64}" }} }}
[[packages.wheels]]
url = "http://localhost/spam-1.0-py3-none-any.whl"
hashes = {{ sha256 = "{"b" * 64}" }}
"""
POETRY = f"""\
[[package]]
name = "app"
version = "1.0"
files = []
[package.source]
type = "git"
url = "http://localhost/app"

[[package]]
name = "spam"
version = "1.0"
files = [{{file = "spam-1.0.tar.gz", hash = "{A}"}}, {{file = "spam-1.0-py3-none-any.whl", hash = "{B}"}}]
"""
PDM = f"""\
[[package]]
name = "app"
version = "1.0"
path = "./app"

[[package]]
name = "spam"
version = "1.0"
files = [{{file = "spam-1.0.tar.gz", hash = "{A}"}}, {{file = "spam-1.0-py3-none-any.whl", hash = "{B}"}}]
"""


def pins(lock: Lock) -> list[tuple[str, str, tuple[str, ...], str, int]]:
    """What a lock pins, and where."""
    return [(p.project, p.version, p.hashes, place.file.name, place.line) for p, place in lock.pins.items()]


def test_requirements_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    """Continued lines, comments, hashes, extras, markers, `-r` and `-c`; what is no pin is passed over and said."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/other.txt").write_text("toast == 4.0\n")
    (tmp_path / "more/limits.txt").write_text("\ufeff\njam==5.0\n", "utf-8")
    path = tmp_path / "requirements-dev.txt"
    path.write_text(REQUIREMENTS)
    lock = read_lock(path)
    assert pins(lock) == [
        ("spam", "1.0", (A, B), path.name, 3),
        ("ham", "2.0", (), path.name, 7),
        ("toast", "4.0", (), "other.txt", 1),
        ("jam", "5.0", (), "limits.txt", 2),
    ]
    assert [text.partition(": ")[2].split()[0] for text in lock.skipped] == [
        *("eggs>=3", "toast==1.*", "./local.whl", "here", "-e")
    ]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("uv.lock", UV, 8),
        ("pylock.toml", PYLOCK, 8),
        ("pylock.dev.toml", PYLOCK, 8),
        ("poetry.lock", POETRY, 10),
        ("pdm.lock", PDM, 7),
    ],
)
def test_locks_are_read(tmp_path: Path, name: str, text: str, line: int) -> None:
    """Each format gives the same pin with both digests at its line, and passes over what no index has."""
    path = tmp_path / name
    path.write_text(text)
    lock = read_lock(path)
    assert pins(lock) == [("spam", "1.0", (A, B), name, line)]
    assert [text.endswith("app does not come from an index") for text in lock.skipped] == [True]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("uv.lock", "[[", "is not TOML"),
        ("uv.lock", "[[package]]\nversion = '1'", "does not follow its format: an entry has no source"),
        ("uv.lock", "package = 1", "does not follow its format"),
        ("uv.lock", "[[package]]\nname = '../x'\nversion = '1'\nsource = {registry = 'x'}", "not a project name"),
        ("pylock.toml", "lock-version = '1.0'", "is not a lock file of PEP 751"),
        ("Pipfile.lock", "{}", "is not a lock file that Koschey can read"),
        ("requirements.txt", "spam==one", "requirements.txt:1: 'spam==one' is neither a requirement nor an option"),
        ("requirements.txt", "spam==1.0\x1b]0;title\x07", r"requirements.txt:1: 'spam==1.0\\x1b"),
        ("requirements.txt", "spam==1.0 ; python_version <", "neither a requirement"),
        ("requirements.txt", "--frobnicate", "neither a requirement nor an option"),
        ("requirements.txt", "-r '", "neither a requirement nor an option"),
        ("requirements.txt", "-r /dev/zero", "/dev/zero is not a regular file"),
        (
            "requirements.txt",
            "a==1\n-r http://localhost/x.txt",
            "requirements.txt:2: Koschey does not read 'http://localhost/x.txt'",
        ),
        (
            "requirements.txt",
            "-c https://localhost/x.txt",
            "Koschey does not read .*; download it, and include the file",
        ),
        ("requirements.txt", f"spam=={'9' * 5000}", "requirements.txt:1"),
        ("uv.lock", f"a={'[' * 50_000}", "nested too deeply"),
        ("uv.lock", f"a = {'9' * 5000}", "does not follow its format"),
        ("uv.lock", f"[[package]]\nname='a'\nversion='{'9' * 5000}'\nsource={{registry='x'}}", "is not a version"),
        ("poetry.lock", f"[[package]]\nname='a'\nversion='{'9' * 5000}'", "is not a version"),
        ("requirements.txt", "-r requirements.txt", "include each other"),
        ("requirements.txt", "-r missing.txt", "cannot be read"),
        ("requirements.txt", None, "cannot be read"),
    ],
)
def test_bad_locks(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    """What cannot be read, and a line that nobody understands, is one clear line and never a pass."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(StartError, match=words):
        read_lock(path)


# Against an index


@pytest.fixture
def fresh(koschey: Koschey, upstream: Upstream) -> UpstreamFile:
    """A project with a free and a held release that the index has not seen yet, and one that is blocked."""
    upstream.add("ck-app", "1.0")
    upstream.add("ck-bad", "1.0")
    koschey.page("ck-bad")
    koschey.run("block", "ck-bad", "--yes", "--reason", "<malware> & \x1b more")
    try:
        return upstream.file("ck_app-2.0-py3-none-any.whl")
    except KeyError:
        return upstream.add("ck-app", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))


def test_a_table_and_what_to_do(koschey: Koschey, fresh: UpstreamFile, tmp_path: Path) -> None:
    """What is not served stands in the table with its end and what is free, and one command asks for all of it."""
    path = tmp_path / "requirements.txt"
    path.write_text(f"ck-app==2.0 --hash=sha256:{fresh.sha256}\nck-app==1.0\nck-bad==1.0\nck-loose>=1\n")
    done = check(koschey, path)
    assert done.returncode == 1
    assert "ck-loose>=1 is not pinned to one version" in done.stdout
    assert (
        f"1 served, 1 held, 1 blocked of 3 pins; the windows of all held pins end by {end_of_window(fresh)}"
        in done.stdout
    )
    ask = f"koschey request ck-app==2.0 ck-bad==1.0 --reason WHY --index {koschey.index_url}"
    assert f"to request all: {ask}" in done.stdout
    path.write_text("ck-app==1.0\n")
    done = check(koschey, path)
    assert (done.returncode, done.stdout) == (0, "1 served of 1 pins\n")


def check(koschey: Koschey, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a developer does, who has no database."""
    environment = isolated(path.parent) | {"COLUMNS": "200"}
    return run_koschey("check", str(path), "--index", koschey.index_url, *options, environment=environment)


SARIF = {
    "type": "object",
    "additionalProperties": False,
    "required": ["$schema", "version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "type": "object",
            "additionalProperties": False,
            "required": ["tool", "results"],
            "properties": {
                "tool": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["driver"],
                    "properties": {"driver": {"$ref": "#/$defs/driver"}},
                },
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
        },
        "driver": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "rules"],
            "properties": {
                "name": {"type": "string"},
                "version": {"type": "string"},
                "rules": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/rule"}},
            },
        },
        "rule": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "shortDescription": {"$ref": "#/$defs/message"},
                "defaultConfiguration": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"level": {"$ref": "#/$defs/level"}},
                },
            },
        },
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": {
            "type": "object",
            "additionalProperties": False,
            "required": ["text"],
            "properties": {"text": {"type": "string", "minLength": 1}},
        },
        "result": {
            "type": "object",
            "additionalProperties": False,
            "required": ["message"],
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": -1},
                "level": {"$ref": "#/$defs/level"},
                "message": {"$ref": "#/$defs/message"},
                "locations": {"type": "array", "items": {"$ref": "#/$defs/location"}},
            },
        },
        "location": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["artifactLocation"],
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"uri": {"type": "string", "format": "uri-reference"}},
                        },
                        "region": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"startLine": {"type": "integer", "minimum": 1}},
                        },
                    },
                }
            },
        },
    },
}
"""What SARIF 2.1.0 says (sections 3.13, 3.14, 3.19, 3.27 to 3.30, 3.49) of the properties that are written here."""


def test_reports_for_ci(koschey: Koschey, fresh: UpstreamFile, tmp_path: Path) -> None:
    """SARIF and JUnit say the same as the JSON: one result, or failure, for each pin that is not served."""
    path = tmp_path / "requirements.txt"
    path.write_text("ck-app==1.0\nck-bad==1.0\nck-app==2.0\n")
    sarif, junit = tmp_path / "out.sarif", tmp_path / "out.xml"
    done = check(koschey, path, "--json", "--sarif", str(sarif), "--junit", str(junit))
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["served"] is False
    assert [(pin["state"], pin["line"]) for pin in told["pins"]] == [("served", 1), ("blocked", 2), ("held", 3)]
    log = json.loads(sarif.read_text())
    jsonschema.Draft202012Validator(SARIF).validate(log)
    [part] = log["runs"]
    rules = [rule["id"] for rule in part["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in part["results"])
    assert [(result["ruleId"], result["level"]) for result in part["results"]] == [
        ("koschey/blocked", "error"),
        ("koschey/held", "warning"),
    ]
    where = part["results"][1]["locations"][0]["physicalLocation"]
    assert (where["artifactLocation"]["uri"], where["region"]["startLine"]) == (path.as_uri(), 3)
    suites = fromstring(junit.read_text())
    [suite] = suites
    assert (suites.tag, suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuites", "testsuite", "3", "2")
    cases = {case.get("name"): [failure.get("type") for failure in case] for case in suite}
    assert cases == {"ck-app==1.0": [], "ck-bad==1.0": ["blocked"], "ck-app==2.0": ["held"]}
    assert "<malware> &" in str(suite.findall(".//failure")[0].get("message"))


def test_usage_errors_are_two(koschey: Koschey, tmp_path: Path) -> None:
    """What cannot be told is exit code 2, with one line: no lock, no index, no place for the report."""
    path = tmp_path / "requirements.txt"
    path.write_text("ck-app==1.0\n")
    missing = check(koschey, tmp_path / "uv.lock")
    away = check(koschey, path, "--index", "http://127.0.0.1:1/simple/")
    unwritable = check(koschey, path, "--sarif", str(tmp_path / "none" / "x"))
    for done in (missing, away, unwritable):
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
        assert done.stderr.startswith("koschey: ")
    assert check(koschey, path, "--unknown").returncode == 2
