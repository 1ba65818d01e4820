"""Checks of others: how they are found, what they are told, and that nothing they do lets a file through."""

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from koschey.errors import StartError
from koschey.inspection.archives.limits import MIB, Limits
from koschey.inspection.checks import registry
from koschey.inspection.checks.isolate import CheckOutcome, Isolated
from koschey.policy.findings import FindingAction
from tests.support.archives import wheel
from tests.support.facts import facts_of
from tests.support.plugins import check_source, install

NAME, CONTENT = wheel("thing", "1.0")
FACTS = facts_of(NAME, CONTENT)
PAGE = Path(__file__).parents[3] / "docs" / "checks.md"


async def ask(check: Isolated, content: bytes = CONTENT) -> CheckOutcome:
    """Have a check look at a file."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return await check.run(FACTS, file.fileno(), None)


async def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *body: str, limits: Limits | None = None) -> CheckOutcome:
    """Install a check of these lines, and have it look at a file."""
    install(folder, monkeypatch, check_source("acme", *body), {"acme": "acme_checks:CHECK"})
    check = (await registry.load(limits))[-1]
    assert isinstance(check, Isolated)
    return await ask(check)


async def test_the_example_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What "Write a check" shows can be installed as it stands, is found, and finds."""
    source, point = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert '[project.entry-points."koschey.check.v1"]' in point
    name, target = re.findall(r'^(\w+) = "(.+)"$', point, re.MULTILINE)[0]
    install(tmp_path, monkeypatch, source, {name: target})
    check = (await registry.load())[-1]
    assert isinstance(check, Isolated)
    assert (check.name, check.codes["no-licence"].action) == ("licensed", FindingAction.HOLD)
    outcome = await ask(check)
    assert outcome.fault is None
    assert [(found.code, found.evidence) for found in outcome.findings] == [("no-licence", {"version": "1.0"})]


async def test_check_is_told_facts_and_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check gets typed facts, and the very bytes, which it cannot change."""
    outcome = await run(
        tmp_path,
        monkeypatch,
        "import hashlib",
        "digest = hashlib.sha256(path.read_bytes()).hexdigest()",
        "try: path.open('r+b').write(b'other')",
        "except OSError: digest += ' unwritable'",
        "told = {'digest': digest, 'members': [m.name for m in facts.content.members], 'env': sorted(os.environ)}",
        "return [Finding('odd', Severity.INFO, facts.project, told)]",
    )
    assert outcome.fault is None
    (found,) = outcome.findings
    assert found.evidence["digest"] in (FACTS.sha256, f"{FACTS.sha256} unwritable")
    assert FACTS.content
    assert found.evidence["members"] == [member.name for member in FACTS.content.members]
    assert not [name for name in found.evidence["env"] if name not in ("HOME", "TMPDIR", "LC_CTYPE")]


async def test_file_is_open_for_reading_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever account runs it, the descriptor that a check inherits takes no writing."""
    outcome = await run(tmp_path, monkeypatch, "os.write(int(path.name), b'x')", "return []")
    assert outcome.fault
    assert "Bad file descriptor" in outcome.fault


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (["raise ValueError('no idea')"], "it failed: ValueError: no idea"),
        (["raise SystemExit(0)"], "it failed: SystemExit"),
        (["os._exit(0)"], "no answer that can be read"),
        (["os.kill(os.getpid(), 11)"], "it crashed (SIGSEGV)"),
        (["raise Skipped('big.py, which is too large')"], "it skipped big.py, which is too large"),
        (["return None"], "it failed: TypeError"),
        (["return 'fine'"], "a list of findings"),
        (["return [{'code': 'odd'}]"], "a list of findings"),
        (["return [Finding('new', Severity.INFO, 'x')]"], "the code 'new', which it does not declare"),
        (["return [Finding('odd', 'awful', 'x')]"], "'awful' is not a valid Severity"),
        (["return [Finding('odd', Severity.INFO, 'x', {'a': object()})]"], "TypeError"),
        (["return [Finding('odd', Severity.INFO, 'x', {'a': chr(0)})]"], "NUL"),
        (["return [Finding('odd', Severity.INFO, 'x', {'a': 'x' * 2**21})]"], "more than 1048576 bytes"),
        (["return [Finding('odd', Severity.INFO, str(n)) for n in range(101)]"], "101 findings"),
        (["return [Finding('odd', Severity.INFO, 7)]"], "no answer that can be read"),
        (["return [bytes(2**30)]"], "more memory than its limit"),
    ],
)
async def test_what_is_no_answer_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Sequence[str], words: str
) -> None:
    """Whatever a check does instead of answering, its cause is told, and nothing that it said counts as all."""
    outcome = await run(tmp_path, monkeypatch, *body, limits=Limits(memory=512 * MIB))
    assert outcome.fault
    assert words in outcome.fault
    assert len(outcome.fault) <= 500


async def test_what_was_found_beside_what_was_skipped_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that skips something says what it found elsewhere, and is faulty all the same."""
    found = "Finding('odd', Severity.INFO, 'elsewhere')"
    outcome = await run(tmp_path, monkeypatch, f"raise Skipped('big.py', [{found}])")
    assert outcome.fault == "it skipped big.py"
    assert [one.summary for one in outcome.findings] == ["elsewhere"]


async def test_what_a_check_prints_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output of a check goes nowhere, whatever it prints."""
    assert (
        await run(tmp_path, monkeypatch, 'os.write(1, b\'{"fault": "printed"}\')', "print('x')", "return []")
        == CheckOutcome()
    )


@pytest.mark.parametrize("body", ["time.sleep(60)", "while True: pass"])
async def test_hanging_check_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """A check that does not end is ended, and so is the process that it started; its folder is gone."""
    mark = tmp_path / "started"
    outcome = await run(
        tmp_path,
        monkeypatch,
        "import subprocess",
        f"child = subprocess.Popen(['sleep', '60']); open({str(mark)!r}, 'w').write(f'{{child.pid}} {{os.getcwd()}}')",
        body,
        limits=Limits(wall=2.0),
    )
    assert outcome.fault == "it did not end within 2 seconds"
    pid, folder = mark.read_text().split()
    assert not Path(folder).exists()
    deadline = time.monotonic() + 5
    while _lives(int(pid)) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert not _lives(int(pid))


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


async def test_busy_check_is_ended_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that uses up its processor time ends, and the cause says so."""
    outcome = await run(tmp_path, monkeypatch, "while True: pass", limits=Limits(cpu=1))
    assert outcome.fault
    assert "1 seconds of processor time" in outcome.fault


async def test_own_checks_come_first_and_archive_before_all() -> None:
    """Without any plugin there are Koschey's own, and `archive`, which the others need, is the first."""
    names = [check.name for check in await registry.load() if not isinstance(check, Isolated)]
    assert names == ["archive", "metadata", "provenance", "changes", "name", "size"]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (check_source("acme"), "acme_checks:OTHER", "AttributeError"),
        (check_source("acme"), "nowhere:CHECK", "ModuleNotFoundError"),
        ("raise SystemExit('gone')", "acme_checks:CHECK", "SystemExit: gone"),
        ("CHECK = 7", "acme_checks:CHECK", "AttributeError"),
        (check_source("archive", "return []"), "acme_checks:CHECK", "of another check"),
        (check_source("advisories", "return []"), "acme_checks:CHECK", "another name than `advisories`"),
        (check_source("Not A Name", "return []"), "acme_checks:CHECK", "called 'Not A Name'"),
        (check_source("acme", "return []") + "Check.codes = {'odd': 'text'}", "acme_checks:CHECK", "it is not a check"),
    ],
)
async def test_broken_check_keeps_the_worker_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, words: str
) -> None:
    """A check that cannot be loaded, or whose name is taken, is an error that names its distribution."""
    if "return" not in source and "class" in source:
        source = source.replace("previous):\n", "previous):\n        return []")
    install(tmp_path, monkeypatch, source, {"acme": target})
    with pytest.raises(StartError, match=re.escape(words)) as error:
        await registry.load()
    assert "acme of acme_checks 1.0" in str(error.value) or "acme of acme-checks 1.0" in str(error.value)


async def test_two_checks_of_one_name_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of two would run is no question that chance may answer."""
    install(tmp_path, monkeypatch, check_source("acme", "return []"), {"acme": "acme_checks:CHECK"})
    install(tmp_path, monkeypatch, check_source("acme", "return []"), {"acme": "other_checks:CHECK"}, "other_checks")
    with pytest.raises(StartError, match="of another check"):
        await registry.load()


def test_test_has_the_secrets_that_a_check_must_not_see() -> None:
    """What the child's environment lacks is really there to be lacked."""
    assert set(os.environ) - {"HOME", "TMPDIR", "LC_CTYPE"}
