"""Checks of held releases, from the upstream's bytes to the verdict: over real PostgreSQL, S3 and child processes."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from activities.checks import wire_checker
from koschey.db.findings import select_evidence, select_known_checks
from koschey.db.rules import write_rule
from koschey.inspection.archives.limits import Limits
from koschey.inspection.attestations.trust import Trust
from koschey.inspection.checks import registry
from koschey.inspection.checks.scanner import MAX_MEMBER
from koschey.model import State
from koschey.policy.findings import Evidence
from koschey.policy.rules import Rule, RuleKind
from koschey.quarantine.checking import SHORT, CheckCounts, Checker, register_checks
from tests.support.app_in_process import AppInProcess
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
def forgotten(app: AppInProcess) -> Iterator[None]:
    """Known checks are forgotten after each test."""
    yield
    app.execute("DELETE FROM known_check")


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

    def __init__(self, app: AppInProcess, limits: Limits | None = None) -> None:
        resources = app.resources
        self._inside = app
        self.checker: Checker = wire_checker(
            resources.pool, resources.bucket, resources.files, resources.provenance, None
        )
        self.checker.load = partial(registry.load, limits)
        app.run(register_checks(resources.pool))

    def check(self, project: str, version: str = "1.0", *names: str) -> dict[str, CheckCounts]:
        """Run all checks of a release, or these, one after another."""
        wanted = list(names) or self.known()
        return {name: self.check_together(project, version, name) for name in wanted}

    def check_together(self, project: str, version: str, *names: str, downloads: bool = True) -> CheckCounts:
        """Run checks of a release in one call."""
        checking = self.checker.check(canonicalize_name(project), version, [*names], downloads=downloads)
        return self._inside.run(checking)

    def known(self) -> list[str]:
        """Return the checks that are installed, then those that once were."""
        here = [*self._inside.run(self.checker.checks())]
        known = self._inside.run(select_known_checks(self._inside.resources.pool))
        return [*here, *(check.name for check in known if check.name not in here)]


def publish(app: AppInProcess, name: str, version: str = "1.0", **fields: Any) -> str:
    """Publish a file now, look at it, and fetch it; returns its name."""
    file = app.upstream.add(name, version, upload_time=app.now, **fields)
    app.refresh(name)
    app.store(file.filename)
    return file.filename


def settle_late(app: AppInProcess, name: str, version: str = "1.0") -> None:
    """Settle after the end of the window, as the worker does."""
    app.pass_time(8 * DAY)
    settle_now(app, name, version)


def settle_now(app: AppInProcess, name: str, version: str = "1.0") -> None:
    """Settle, and look at the upstream again where that is asked for."""
    if app.settle(name, version).needs_refresh:
        app.refresh(name)
        app.settle(name, version)


def evidence(app: AppInProcess, filename: str) -> Evidence:
    """What checks say of a file."""
    file = app.file(filename).file.id
    return app.run(select_evidence(app.resources.pool, [file]))[file]


def codes(app: AppInProcess, filename: str) -> set[str]:
    """All codes that were found."""
    return {f"{found.check}/{found.code}" for found in evidence(app, filename).findings}


def rows(app: AppInProcess, filename: str) -> list[Any]:
    """What the journal says of checks of a file."""
    query = "SELECT detail FROM journal WHERE action = 'check' AND filename = $1 ORDER BY serial"
    return [row["detail"] for row in app.fetch(query, filename)]


def test_clean_release_is_released_without_a_word(app: AppInProcess) -> None:
    """What every check went through is released by time; clean runs are rows, and no changes in the journal."""
    worker = Worker(app)
    filename = publish(app, "clean")
    app.settle("clean", "1.0")
    assert set(worker.check("clean")) == {check.name for check in registry.BUILT_IN}
    assert evidence(app, filename).completed == {check.name for check in registry.BUILT_IN}
    assert rows(app, filename) == []
    settle_late(app, "clean")
    assert app.file(filename).standing.state is State.RELEASED


def test_unchecked_release_waits(app: AppInProcess) -> None:
    """Without a run of every known check time releases nothing, and the reason names what is waited for."""
    worker = Worker(app)
    filename = publish(app, "unchecked")
    worker.check("unchecked", "1.0", "archive", "metadata", "changes", "name", "size")
    settle_late(app, "unchecked")
    standing = app.file(filename).standing
    app.settle("unchecked", "1.0")
    assert standing.state is State.HELD
    assert any("provenance" in reason for reason in app.settle("unchecked", "1.0").reasons)


@pytest.mark.parametrize(
    ("kind", "limits", "cause"),
    [
        ("crash", Limits(), "it crashed (SIGSEGV)"),
        pytest.param("hang", Limits(wall=1.5), "it did not end within 1.5 seconds", marks=pytest.mark.soak),
        ("skip", Limits(), f"it skipped thing/big.py, which is larger than {MAX_MEMBER} bytes"),
    ],
)
def test_scanner_that_fails_lets_nothing_out(
    app: AppInProcess, scanner: Path, kind: str, limits: Limits, cause: str
) -> None:
    """Case F13: a scanner that crashes, hangs or skips, 20 times each: all files stay held, and the cause is told."""
    name = {"crash": "crashing", "hang": "hanging", "skip": "thing"}[kind]
    for number in range(1, 21):
        if kind == "skip":
            content = wheel_with(b"thing/big.py", b"#%d" % number + b"x" * (MAX_MEMBER - 1))
        else:
            content = wheel(name, "1.0", modules={f"{name}.py": f"# {kind} {number}"})[1]
        filename = f"{name}-1.0-{number}-py3-none-any.whl"
        app.upstream.add(name, "1.0", content=content, filename=filename, upload_time=app.now)
    app.refresh(name)
    names = [f"{name}-1.0-{number}-py3-none-any.whl" for number in range(1, 21)]
    for filename in names:
        app.store(filename)
    worker = Worker(app, limits)
    done = worker.check(name)
    assert (done["scanner"].checked, done["scanner"].faults) == (0, 20)
    settle_late(app, name)
    held = [filename for filename in names if app.file(filename).standing.state is State.HELD]
    assert len(held) == 20
    expected = f"the check scanner could not be completed: {cause}"
    assert [reason for reason in app.settle(name, "1.0").reasons if not reason.startswith(expected)] == []
    assert {rows(app, filename)[-1]["check"] for filename in held} == {"scanner"}
    if kind != "skip":
        # Well again, and with time enough on a machine that is busy.
        scanner.touch()
        assert Worker(app).check(name)["scanner"].checked == 20
        settle_now(app, name)
        assert {app.file(filename).standing.state for filename in names} == {State.RELEASED}


def test_scanner_sorts_what_its_library_says(app: AppInProcess, scanner: Path) -> None:
    """What the library is sure is hidden holds a file and raises an alert; a mere import says nothing."""
    worker = Worker(app)
    bad = publish(app, "bad", modules={"bad.py": "# obfuscated", "also.py": "# obfuscated"})
    good = publish(app, "good")
    worker.check("bad"), worker.check("good")
    (found,) = evidence(app, bad).findings
    assert (found.check, found.code, found.evidence["count"]) == ("scanner", "obfuscated", 2)
    assert codes(app, good) == set()
    settle_late(app, "bad")
    assert app.file(bad).standing.state is State.HELD
    alerts = app.fetch("SELECT filename, detail FROM alert WHERE kind = 'finding' AND project = 'bad'")
    assert [(row["filename"], row["detail"]["code"]) for row in alerts] == [(bad, "obfuscated")]


def test_fault_is_told_once_and_tried_again_after_an_hour(
    app: AppInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check is not run again for what it has seen; one that failed is, an hour later, and is not told twice."""
    install(tmp_path, monkeypatch, check_source("acme", "raise ValueError('no idea')"), {"acme": "acme_checks:CHECK"})
    worker = Worker(app)
    filename = publish(app, "again")
    assert worker.check("again")["acme"].faults == 1
    assert all(done.checked + done.faults == 0 for done in worker.check("again").values())
    app.pass_time(HOUR)
    done = worker.check("again")
    assert done.pop("acme").faults == 1
    assert all(other.checked == 0 for other in done.values())
    assert [(row["check"], row["fault"]) for row in rows(app, filename)] == [("acme", "it failed: ValueError: no idea")]


def test_check_that_is_gone_holds_until_policy_switches_it_off(
    app: AppInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uninstalling a check unlocks nothing: files wait for it, the cause is told, and a rule alone ends that."""
    with monkeypatch.context() as installed:
        install(tmp_path, installed, check_source("acme", "return []"), {"acme": "acme_checks:CHECK"})
        Worker(app)
    worker = Worker(app)
    assert worker.known()[-1] == "acme"
    filename = publish(app, "gone")
    assert worker.check("gone")["acme"].faults == 1
    settle_late(app, "gone")
    reasons = app.settle("gone", "1.0").reasons
    assert reasons == ("the check acme could not be completed: the check acme is not installed on this worker",)

    async def switch_off() -> None:
        async with app.resources.pool.acquire() as connection:
            await write_rule(connection, Rule(RuleKind.CHECK, None, "gone", "ada", "*", subject="acme", value="off"))

    app.run(switch_off())
    app.pass_time(HOUR)
    assert worker.check("gone")["acme"].faults == 0
    settle_now(app, "gone")
    assert app.file(filename).standing.state is State.RELEASED
    app.execute("DELETE FROM rule")


def test_changes_are_found_against_what_was_let_out_before(app: AppInProcess) -> None:
    """The predecessor is read too, though nobody ever downloaded it; a release that was never let out is none."""
    worker = Worker(app)
    app.upstream.add("changing", "1.0")
    app.upstream.add("changing", "1.1", upload_time=app.now, modules={"changing.so": ""})
    filename = publish(app, "changing", "1.2", modules={"changing.pth": "import os"}, requires=["six"])
    worker.check("changing", "1.2")
    assert codes(app, filename) == {"changes/pth", "changes/dependencies"}
    settle_late(app, "changing", "1.2")
    assert app.file(filename).standing.state is State.HELD
    assert "a reviewer must decide; changes: new: start-up files" in app.settle("changing", "1.2").reasons[0]
    app.decide("approve", "changing", "1.2")
    after = publish(app, "changing", "1.3", modules={"changing.pth": "import os"}, requires=["six"])
    worker.check("changing", "1.3")
    assert codes(app, after) == set()


def test_broken_mirrored_archive_is_held_for_review(app: AppInProcess) -> None:
    """A wheel whose RECORD is wrong is held with the rule, where an upload would be refused."""
    worker = Worker(app)
    content = wheel("broken", "1.0")[1].replace(b"__version__", b"__wersion__")
    app.upstream.add("broken", "1.0", content=content, filename="broken-1.0-py3-none-any.whl", upload_time=app.now)
    app.refresh("broken")
    app.store("broken-1.0-py3-none-any.whl")
    done = worker.check("broken")
    assert codes(app, "broken-1.0-py3-none-any.whl") == {"archive/breaks-a-rule"}
    assert done["archive"].checked == 1
    settle_late(app, "broken")
    assert app.file("broken-1.0-py3-none-any.whl").standing.state is State.HELD


def test_name_near_one_that_is_used_here_is_held(app: AppInProcess) -> None:
    """Case Q10: the first release of a project whose name is near one that is used here is held, and the name shown."""
    app.upstream.add("cryptography", "1.0")
    app.refresh("cryptography")
    worker = Worker(app)
    filename = publish(app, "cryptograhpy")
    worker.check("cryptograhpy")
    (found,) = evidence(app, filename).findings
    assert (found.check, found.evidence) == ("name", {"near": ["cryptography"]})
    settle_late(app, "cryptograhpy")
    assert app.file(filename).standing.state is State.HELD


def test_takeover_shows_in_the_provenance(app: AppInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case Q8: after an attested release one of another publisher, and one of none, stay held: auto-approved 0."""
    sigstore = Sigstore()
    (tmp_path / "root.json").write_text(sigstore.trusted_root)
    monkeypatch.setattr(app.resources.provenance, "trust", Trust(tmp_path / "root.json"))
    worker = Worker(app)

    def by_gitlab(filename: str, sha256: str) -> bytes:
        return provenance_object(sigstore.attest(filename, sha256, PUBLISH, claims=gitlab_claims()), publisher=GITLAB)

    app.upstream.add("taken", "1.0", provenance=sigstore.provenance)
    made = {"1.1": sigstore.provenance, "1.2": by_gitlab, "1.3": None}
    for version, provenance in made.items():
        app.upstream.add("taken", version, upload_time=app.now, provenance=provenance)
    app.refresh("taken")
    found = {}
    for version in made:
        filename = f"taken-{version}-py3-none-any.whl"
        app.store(filename)
        app.run(app.resources.provenance.attach(app.file(filename).file.id))
        worker.check("taken", version)
        found[version] = codes(app, filename)
    assert found == {"1.1": set(), "1.2": {"provenance/publisher-changed"}, "1.3": {"provenance/attestation-lost"}}
    for version in made:
        settle_late(app, "taken", version)
    states = {version: app.file(f"taken-{version}-py3-none-any.whl").standing.state for version in made}
    assert states == {"1.1": State.RELEASED, "1.2": State.HELD, "1.3": State.HELD}


def test_bytes_that_the_bucket_lost_are_a_fault(app: AppInProcess) -> None:
    """No check judges bytes that are not those of the sha256: the file stays held, and counts as not stored."""
    worker = Worker(app)
    filename = publish(app, "lost")
    file = app.file(filename).file
    assert file.sha256
    key = f"blobs/sha256/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}"
    app.run(app.resources.bucket.put(key, bytes(file.size or 0)))
    done = worker.check("lost")
    assert (sum(one.faults for one in done.values()), sum(one.checked for one in done.values())) == (1, 0)
    assert "other bytes" in evidence(app, filename).faults[0].cause
    assert app.file(filename).file.stored_at is None
    app.store(filename)
    assert all(one.checked == 1 for name, one in worker.check("lost").items() if not done[name].faults)


def test_a_lost_file_is_one_fault_of_checks_that_run_together(app: AppInProcess) -> None:
    """The checks that have not seen lost bytes run as soon as the file is stored again, without waiting an hour."""
    worker = Worker(app)
    filename = publish(app, "lost-whole")
    file = app.file(filename).file
    assert file.sha256
    key = f"blobs/sha256/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}"
    app.run(app.resources.bucket.put(key, bytes(file.size or 0)))
    names = worker.known()
    assert worker.check_together("lost-whole", "1.0", *names) == CheckCounts(0, 1, left=False)
    assert [fault.check for fault in evidence(app, filename).faults] == ["archive"]
    app.store(filename)
    assert worker.check_together("lost-whole", "1.0", *names) == CheckCounts(len(names) - 1, 0, left=False)


def test_without_downloads_no_file_is_compared_with_one_that_is_not_stored(app: AppInProcess) -> None:
    """What compares waits for the predecessor; all else runs. With downloads the rest runs, and nothing twice."""
    worker = Worker(app)
    app.upstream.add("waiting", "1.0")
    filename = publish(app, "waiting", "1.1", modules={"waiting.pth": "import os"})
    names, comparing = worker.known(), {"changes", "provenance"}
    app.upstream.forget_requests()
    alone = worker.check_together("waiting", "1.1", *names, downloads=False)
    assert alone == CheckCounts(len(names) - len(comparing), 0, left=True)
    assert evidence(app, filename).completed == {*names} - comparing
    assert app.file("waiting-1.0-py3-none-any.whl").file.stored_at is None
    assert worker.check_together("waiting", "1.1", *names) == CheckCounts(len(comparing), 0, left=False)
    assert evidence(app, filename).completed == {*names}
    assert codes(app, filename) == {"changes/pth"}


def test_what_is_stored_is_compared_without_a_download(app: AppInProcess) -> None:
    """If the predecessor is stored, one call without downloads runs every check of every file."""
    worker = Worker(app)
    app.upstream.add("stored", "1.0")
    first = publish(app, "stored", "1.1", modules={"stored.pth": "import os"})
    app.store("stored-1.0-py3-none-any.whl")
    names = worker.known()
    assert worker.check_together("stored", "1.1", *names, downloads=False) == CheckCounts(len(names), 0, left=False)
    assert codes(app, first) == {"changes/pth"}


def test_a_call_without_downloads_is_short(app: AppInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time no further file is begun, and the answer says that some are left; the next call begins there."""
    worker = Worker(app)
    for tag in ("py38", "py39", "py310"):
        app.upstream.add(
            "short", "1.0", filename=f"short-1.0-{tag}-none-any.whl", modules={f"{tag}.py": ""}, upload_time=app.now
        )
    app.refresh("short")
    for tag in ("py38", "py39", "py310"):
        app.store(f"short-1.0-{tag}-none-any.whl")
    moments = itertools.chain([0.0, 1.0, 1.0, 2.0, 2.0, SHORT + 1], itertools.repeat(SHORT + 1))
    with monkeypatch.context() as slow:
        slow.setattr("koschey.quarantine.checking.time", SimpleNamespace(monotonic=lambda: 0.0))
        slow.setattr("koschey.quarantine.portion_checks.time", SimpleNamespace(monotonic=lambda: next(moments)))
        done = worker.check_together("short", "1.0", "name", downloads=False)
    assert done.left
    assert 1 <= done.checked < 3
    assert worker.check_together("short", "1.0", "name", downloads=False) == CheckCounts(
        3 - done.checked, 0, left=False
    )


def test_cause_from_the_workflow_is_written_for_what_was_not_seen(app: AppInProcess) -> None:
    """What makes a whole step fail is a fault of every file that the check has not seen, and of no other."""
    worker = Worker(app)
    seen = publish(app, "noted")
    worker.check("noted", "1.0", "archive")
    project = canonicalize_name("noted")
    for name in ("archive", "size"):
        app.run(worker.checker.note_fault(project, "1.0", [name], "the worker died"))
    known = evidence(app, seen)
    assert known.completed == {"archive"}
    assert [(fault.check, fault.cause) for fault in known.faults] == [("size", "the worker died")]


def test_new_checks_are_in_the_journal_once(app: AppInProcess) -> None:
    """From when on files waited for a check can be read later; a worker that brings the same changes nothing."""
    query = "SELECT count(*) AS count FROM journal WHERE action = 'checks'"
    before = app.fetch(query)[0]["count"]
    Worker(app)
    Worker(app)
    assert app.fetch(query)[0]["count"] == before + 1
