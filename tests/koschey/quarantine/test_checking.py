"""Checks of held releases, from the upstream's bytes to the verdict: over real PostgreSQL, S3 and child processes."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from activities.checks import wire_checker
from koschey.db.findings import select_evidence
from koschey.db.rules import write_rule
from koschey.inspection.archives.limits import Limits
from koschey.inspection.attestations.trust import Trust
from koschey.inspection.checks import registry
from koschey.inspection.checks.scanner import MAX_MEMBER
from koschey.model import State
from koschey.policy.findings import Evidence
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.checking import Checker, register_checks
from tests.support.app_in_process import Inside
from tests.support.archives import wheel
from tests.support.facts import wheel_with
from tests.support.plugins import check_source, install
from tests.support.sigstore import GITLAB, PUBLISH, Sigstore, gitlab_claims, provenance_object

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NUMBERS = count(1)
HEXORA = """\
import os, time

def audit_file(path):
    text = open(path).read()
    if "crash" in text and not os.path.exists({well!r}):
        os.kill(os.getpid(), 11)
    if "hang" in text and not os.path.exists({well!r}):
        time.sleep(60)
    item = {{"rule": "HX4010", "confidence": "very_high", "description": "Obfuscated code.", "location": (0, 9)}}
    imported = {{"rule": "HX5010", "confidence": "very_high", "description": "An import.", "location": None}}
    return [{{"items": [item, imported] if "obfuscated" in text else [imported], "path": path}}]
"""
"""What stands in for the library of the scanner: it has the library's one function, and breaks down when told to."""


@pytest.fixture(autouse=True)
def forgotten(inside: Inside) -> Iterator[None]:
    """Known checks are forgotten after each test."""
    yield
    inside.execute("DELETE FROM known_check")


@pytest.fixture
def scanner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installs what stands in for the scanner's library; once the file that this returns exists, it works again."""
    well = tmp_path / "well"
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "hexora.py").write_text(HEXORA.format(well=str(well)))
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    return well


class Worker:
    """What a worker does with held releases, called by hand."""

    def __init__(self, inside: Inside, limits: Limits | None = None) -> None:
        resources = inside.resources
        self._inside = inside
        self.checker: Checker = wire_checker(
            resources.pool, resources.bucket, resources.files, resources.provenance, None
        )
        self.checker.load = partial(registry.load, limits)
        inside.run(register_checks(resources.pool))

    def check(self, project: str, version: str = "1.0", *names: str) -> dict[str, Any]:
        """Run all checks of a release, or these."""
        inside = self._inside
        done = {}
        wanted = list(names) or inside.run(self.checker.names())
        for name in wanted:
            done[name] = inside.run(self.checker.check(canonicalize_name(project), version, name))
        return done


def publish(inside: Inside, name: str, version: str = "1.0", **fields: Any) -> str:
    """Publish a file now, look at it, and fetch it; returns its name."""
    file = inside.upstream.add(name, version, upload_time=inside.now, **fields)
    inside.look(name)
    inside.store(file.filename)
    return file.filename


def settle_late(inside: Inside, name: str, version: str = "1.0") -> None:
    """Settle after the end of the window, as the worker does."""
    inside.pass_time(8 * DAY)
    settle_now(inside, name, version)


def settle_now(inside: Inside, name: str, version: str = "1.0") -> None:
    """Settle, and look at the upstream again where that is asked for."""
    if inside.settle(name, version).needs_look:
        inside.look(name)
        inside.settle(name, version)


def evidence(inside: Inside, filename: str) -> Evidence:
    """What checks say of a file."""
    file = inside.file(filename).file.id
    return inside.run(select_evidence(inside.resources.pool, [file]))[file]


def codes(inside: Inside, filename: str) -> set[str]:
    """All codes that were found."""
    return {f"{found.check}/{found.code}" for found in evidence(inside, filename).findings}


def rows(inside: Inside, filename: str) -> list[Any]:
    """What the journal says of checks of a file."""
    query = "SELECT detail FROM journal WHERE action = 'check' AND filename = $1 ORDER BY serial"
    return [row["detail"] for row in inside.fetch(query, filename)]


def test_clean_release_is_released_without_a_word(inside: Inside) -> None:
    """What every check went through is released by time; clean runs are rows, and no changes in the journal."""
    worker = Worker(inside)
    filename = publish(inside, "clean")
    inside.settle("clean", "1.0")
    assert set(worker.check("clean")) == {check.name for check in registry.BUILT_IN}
    assert evidence(inside, filename).completed == {check.name for check in registry.BUILT_IN}
    assert rows(inside, filename) == []
    settle_late(inside, "clean")
    assert inside.file(filename).standing.state is State.RELEASED


def test_unchecked_release_waits(inside: Inside) -> None:
    """Without a run of every known check time releases nothing, and the reason names what is waited for."""
    worker = Worker(inside)
    filename = publish(inside, "unchecked")
    worker.check("unchecked", "1.0", "archive", "metadata", "changes", "name", "size")
    settle_late(inside, "unchecked")
    standing = inside.file(filename).standing
    inside.settle("unchecked", "1.0")
    assert standing.state is State.HELD
    assert any("provenance" in reason for reason in inside.settle("unchecked", "1.0").reasons)


@pytest.mark.parametrize(
    ("kind", "limits", "cause"),
    [
        ("crash", Limits(), "it crashed (SIGSEGV)"),
        pytest.param("hang", Limits(wall=1.5), "it did not end within 1.5 seconds", marks=pytest.mark.soak),
        ("skip", Limits(), f"it skipped thing/big.py, which is larger than {MAX_MEMBER} bytes"),
    ],
)
def test_scanner_that_fails_lets_nothing_out(
    inside: Inside, scanner: Path, kind: str, limits: Limits, cause: str
) -> None:
    """Case F13: a scanner that crashes, hangs or skips, 20 times each: all files stay held, and the cause is told."""
    name = {"crash": "crashing", "hang": "hanging", "skip": "thing"}[kind]
    for number in range(1, 21):
        if kind == "skip":
            content = wheel_with(b"thing/big.py", b"#%d" % number + b"x" * (MAX_MEMBER - 1))
        else:
            content = wheel(name, "1.0", modules={f"{name}.py": f"# {kind} {number}"})[1]
        filename = f"{name}-1.0-{number}-py3-none-any.whl"
        inside.upstream.add(name, "1.0", content=content, filename=filename, upload_time=inside.now)
    inside.look(name)
    names = [f"{name}-1.0-{number}-py3-none-any.whl" for number in range(1, 21)]
    for filename in names:
        inside.store(filename)
    worker = Worker(inside, limits)
    done = worker.check(name)
    assert (done["scanner"].checked, done["scanner"].faults) == (0, 20)
    settle_late(inside, name)
    held = [filename for filename in names if inside.file(filename).standing.state is State.HELD]
    assert len(held) == 20
    expected = f"the check scanner could not be completed: {cause}"
    assert [reason for reason in inside.settle(name, "1.0").reasons if not reason.startswith(expected)] == []
    assert {rows(inside, filename)[-1]["check"] for filename in held} == {"scanner"}
    if kind != "skip":
        # Well again, and with time enough on a machine that is busy.
        scanner.touch()
        assert Worker(inside).check(name)["scanner"].checked == 20
        settle_now(inside, name)
        assert {inside.file(filename).standing.state for filename in names} == {State.RELEASED}


def test_scanner_sorts_what_its_library_says(inside: Inside, scanner: Path) -> None:
    """What the library is sure is hidden holds a file and raises an alert; a mere import says nothing."""
    worker = Worker(inside)
    bad = publish(inside, "bad", modules={"bad.py": "# obfuscated", "also.py": "# obfuscated"})
    good = publish(inside, "good")
    worker.check("bad"), worker.check("good")
    (found,) = evidence(inside, bad).findings
    assert (found.check, found.code, found.evidence["count"]) == ("scanner", "obfuscated", 2)
    assert codes(inside, good) == set()
    settle_late(inside, "bad")
    assert inside.file(bad).standing.state is State.HELD
    alerts = inside.fetch("SELECT filename, detail FROM alert WHERE kind = 'finding' AND project = 'bad'")
    assert [(row["filename"], row["detail"]["code"]) for row in alerts] == [(bad, "obfuscated")]


def test_fault_is_told_once_and_tried_again_after_an_hour(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check is not run again for what it has seen; one that failed is, an hour later, and is not told twice."""
    install(tmp_path, monkeypatch, check_source("acme", "raise ValueError('no idea')"), {"acme": "acme_checks:CHECK"})
    worker = Worker(inside)
    filename = publish(inside, "again")
    assert worker.check("again")["acme"].faults == 1
    assert all(done.checked + done.faults == 0 for done in worker.check("again").values())
    inside.pass_time(HOUR)
    done = worker.check("again")
    assert done.pop("acme").faults == 1
    assert all(other.checked == 0 for other in done.values())
    assert [(row["check"], row["fault"]) for row in rows(inside, filename)] == [
        ("acme", "it failed: ValueError: no idea")
    ]


def test_check_that_is_gone_holds_until_policy_switches_it_off(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uninstalling a check unlocks nothing: files wait for it, the cause is told, and a rule alone ends that."""
    with monkeypatch.context() as installed:
        install(tmp_path, installed, check_source("acme", "return []"), {"acme": "acme_checks:CHECK"})
        Worker(inside)
    worker = Worker(inside)
    assert inside.run(worker.checker.names())[-1] == "acme"
    filename = publish(inside, "gone")
    assert worker.check("gone")["acme"].faults == 1
    settle_late(inside, "gone")
    reasons = inside.settle("gone", "1.0").reasons
    assert reasons == ("the check acme could not be completed: the check acme is not installed on this worker",)

    async def switch_off() -> None:
        async with inside.resources.pool.acquire() as connection:
            await write_rule(connection, Rule(RuleKind.CHECK, None, "gone", "ada", "*", subject="acme", value="off"))

    inside.run(switch_off())
    inside.pass_time(HOUR)
    assert worker.check("gone")["acme"].faults == 0
    settle_now(inside, "gone")
    assert inside.file(filename).standing.state is State.RELEASED
    inside.execute("DELETE FROM rule")


def test_changes_are_found_against_what_was_let_out_before(inside: Inside) -> None:
    """The predecessor is read too, though nobody ever downloaded it; a release that was never let out is none."""
    worker = Worker(inside)
    inside.upstream.add("changing", "1.0")
    inside.upstream.add("changing", "1.1", upload_time=inside.now, modules={"changing.so": ""})
    filename = publish(inside, "changing", "1.2", modules={"changing.pth": "import os"}, requires=["six"])
    worker.check("changing", "1.2")
    assert codes(inside, filename) == {"changes/pth", "changes/dependencies"}
    settle_late(inside, "changing", "1.2")
    assert inside.file(filename).standing.state is State.HELD
    assert "a reviewer must decide; changes: new: start-up files" in inside.settle("changing", "1.2").reasons[0]
    inside.decide("approve", "changing", "1.2")
    after = publish(inside, "changing", "1.3", modules={"changing.pth": "import os"}, requires=["six"])
    worker.check("changing", "1.3")
    assert codes(inside, after) == set()


def test_broken_mirrored_archive_is_held_for_review(inside: Inside) -> None:
    """A wheel whose RECORD is wrong is held with the rule, where an upload would be refused."""
    worker = Worker(inside)
    content = wheel("broken", "1.0")[1].replace(b"__version__", b"__wersion__")
    inside.upstream.add(
        "broken", "1.0", content=content, filename="broken-1.0-py3-none-any.whl", upload_time=inside.now
    )
    inside.look("broken")
    inside.store("broken-1.0-py3-none-any.whl")
    done = worker.check("broken")
    assert codes(inside, "broken-1.0-py3-none-any.whl") == {"archive/breaks-a-rule"}
    assert done["archive"].checked == 1
    settle_late(inside, "broken")
    assert inside.file("broken-1.0-py3-none-any.whl").standing.state is State.HELD


def test_name_near_one_that_is_used_here_is_held(inside: Inside) -> None:
    """Case Q10: the first release of a project whose name is near one that is used here is held, and the name shown."""
    inside.upstream.add("cryptography", "1.0")
    inside.look("cryptography")
    worker = Worker(inside)
    filename = publish(inside, "cryptograhpy")
    worker.check("cryptograhpy")
    (found,) = evidence(inside, filename).findings
    assert (found.check, found.evidence) == ("name", {"near": ["cryptography"]})
    settle_late(inside, "cryptograhpy")
    assert inside.file(filename).standing.state is State.HELD


def test_takeover_shows_in_the_provenance(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case Q8: after an attested release one of another publisher, and one of none, stay held: auto-approved 0."""
    sigstore = Sigstore()
    (tmp_path / "root.json").write_text(sigstore.trusted_root)
    monkeypatch.setattr(inside.resources.provenance, "trust", Trust(tmp_path / "root.json"))
    worker = Worker(inside)

    def by_gitlab(filename: str, sha256: str) -> bytes:
        return provenance_object(sigstore.attest(filename, sha256, PUBLISH, claims=gitlab_claims()), publisher=GITLAB)

    inside.upstream.add("taken", "1.0", provenance=sigstore.provenance)
    made = {"1.1": sigstore.provenance, "1.2": by_gitlab, "1.3": None}
    for version, provenance in made.items():
        inside.upstream.add("taken", version, upload_time=inside.now, provenance=provenance)
    inside.look("taken")
    found = {}
    for version in made:
        filename = f"taken-{version}-py3-none-any.whl"
        inside.store(filename)
        inside.run(inside.resources.provenance.attach(inside.file(filename).file.id))
        worker.check("taken", version)
        found[version] = codes(inside, filename)
    assert found == {"1.1": set(), "1.2": {"provenance/publisher-changed"}, "1.3": {"provenance/attestation-lost"}}
    for version in made:
        settle_late(inside, "taken", version)
    states = {version: inside.file(f"taken-{version}-py3-none-any.whl").standing.state for version in made}
    assert states == {"1.1": State.RELEASED, "1.2": State.HELD, "1.3": State.HELD}


def test_bytes_that_the_bucket_lost_are_a_fault(inside: Inside) -> None:
    """No check judges bytes that are not those of the sha256: the file stays held, and counts as not stored."""
    worker = Worker(inside)
    filename = publish(inside, "lost")
    file = inside.file(filename).file
    assert file.sha256
    key = f"blobs/sha256/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}"
    inside.run(inside.resources.bucket.put(key, bytes(file.size or 0)))
    done = worker.check("lost")
    assert (sum(one.faults for one in done.values()), sum(one.checked for one in done.values())) == (1, 0)
    assert "other bytes" in evidence(inside, filename).faults[0].cause
    assert inside.file(filename).file.stored_at is None
    inside.store(filename)
    assert all(one.checked == 1 for name, one in worker.check("lost").items() if not done[name].faults)


def test_cause_from_the_workflow_is_written_for_what_was_not_seen(inside: Inside) -> None:
    """What makes a whole step fail is a fault of every file that the check has not seen, and of no other."""
    worker = Worker(inside)
    seen = publish(inside, "noted")
    worker.check("noted", "1.0", "archive")
    project = canonicalize_name("noted")
    for name in ("archive", "size"):
        inside.run(worker.checker.note_fault(project, "1.0", name, "the worker died"))
    known = evidence(inside, seen)
    assert known.completed == {"archive"}
    assert [(fault.check, fault.cause) for fault in known.faults] == [("size", "the worker died")]


def test_new_checks_are_in_the_journal_once(inside: Inside) -> None:
    """From when on files waited for a check can be read later; a worker that brings the same changes nothing."""
    query = "SELECT count(*) AS count FROM journal WHERE action = 'checks'"
    before = inside.fetch(query)[0]["count"]
    Worker(inside)
    Worker(inside)
    assert inside.fetch(query)[0]["count"] == before + 1
