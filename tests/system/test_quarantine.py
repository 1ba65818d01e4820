"""The quarantine as its users meet it: what is hidden, what is refused, and who lets it out."""

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.koschey_up import Answer, Koschey, ask, wait_until
from tests.support.releases import add_fresh, hold, pages
from tests.support.temporal_cli import review, temporal
from tests.support.upstream.server import Upstream, UpstreamFile


def surfaces(koschey: Koschey, file: UpstreamFile) -> dict[str, Answer]:
    """Every URL under which a file's bytes, digest or metadata could be had, in every way of asking."""
    url = koschey.url + file.path
    twisted = koschey.url + file.path.replace("/packages/", "/packages//")
    return {
        "GET": ask(url),
        "HEAD": ask(url, method="HEAD"),
        "range": ask(url, Range="bytes=0-9"),
        "suffix range": ask(url, Range="bytes=-10"),
        "If-None-Match": ask(url, If_None_Match=f'"{file.sha256}"'),
        "query": ask(f"{url}?redirect=http://example.org/"),
        "metadata": ask(f"{url}.metadata"),
        "metadata HEAD": ask(f"{url}.metadata", method="HEAD"),
        "metadata range": ask(f"{url}.metadata", Range="bytes=0-9"),
        "provenance": ask(f"{url}.provenance_url.json"),
        "provenance HEAD": ask(f"{url}.provenance_url.json", method="HEAD"),
        "double slash": ask(twisted),
        "encoded": ask(url.replace(".whl", "%2Ewhl")),
    }


def test_held_file_is_on_no_surface(koschey: Koschey, upstream: Upstream) -> None:
    """A held file is absent from every form of its page and refused with 403 at every URL, with a reason."""
    file = hold(koschey, upstream, "q-held")
    for body in pages(koschey, "q-held"):
        assert file.filename.encode() not in body
        assert file.sha256.encode() not in body
        assert b"2.0" not in body
    for name, answer in surfaces(koschey, file).items():
        assert answer.status == (404 if name == "double slash" else 403), name
        assert file.sha256.encode() not in answer.body, name
        assert file.sha256 not in str(answer.headers), name
    refusal = ask(koschey.url + file.path).json
    assert refusal["state"] == "held"
    release_at = datetime.fromisoformat(refusal["release_at"])
    assert abs(release_at - (file.upload_time + timedelta(days=7))) < timedelta(seconds=1)
    assert "koschey approve q-held==2.0" in refusal["detail"]


def test_released_file_is_on_every_surface(koschey: Koschey, upstream: Upstream) -> None:
    """A released file is listed in every form of its page and served at every URL."""
    file = upstream.add("q-released", "1.0")
    koschey.page("q-released")
    ask(koschey.url + file.path)
    for body in pages(koschey, "q-released"):
        assert file.filename.encode() in body
        assert file.sha256.encode() in body
    expected = {"range": 206, "suffix range": 206, "If-None-Match": 304, "double slash": 404}
    for name, answer in surfaces(koschey, file).items():
        assert answer.status == expected.get(name, 200), name


def test_old_release_beside_a_held_one_stays(koschey: Koschey, upstream: Upstream) -> None:
    """Only the fresh release is hidden; the versions list names what is listed."""
    old = upstream.add("q-both", "1.0")
    hold(koschey_first_sight(koschey, "q-both", old), upstream, "q-other")
    add_fresh(upstream, "q-both")
    wait_until(lambda: (koschey.page("q-both"), koschey.state_of("q_both-2.0-py3-none-any.whl"))[1] == "held")
    page = koschey.page("q-both")
    assert page["versions"] == ["1.0"]
    assert [file["filename"] for file in page["files"]] == [old.filename]


def koschey_first_sight(koschey: Koschey, project: str, file: UpstreamFile) -> Koschey:
    """See a project for the first time."""
    assert koschey.filenames(project) == [file.filename]
    return koschey


def test_approved_release_is_served_within_a_second_by_every_process(koschey: Koschey, upstream: Upstream) -> None:
    """`koschey approve` puts the files on the page of every web process within a second; the decision is kept."""
    file = hold(koschey, upstream, "q-approve")
    assert koschey.run("approve", "q-approve==2.0", "--reason", "reviewed by us").returncode == 0
    time.sleep(1)
    for _ in range(20):
        assert koschey.filenames("q-approve") == [file.filename]
        assert ask(koschey.url + file.path).body == file.content
    query = "SELECT reason || ' ' || sha256 FROM decision WHERE project = 'q-approve' AND action = 'approve'"
    assert koschey.fetch_value(query) == f"reviewed by us {file.sha256}"


def test_blocked_release_is_refused_within_a_second_by_every_process(koschey: Koschey, upstream: Upstream) -> None:
    """`koschey block` takes released files from every page and URL within a second, also those stored and cached."""
    file = upstream.add("q-block", "1.0")
    koschey.page("q-block")
    etag = ask(f"{koschey.index_url}q-block/").headers["etag"]
    assert ask(koschey.url + file.path).status == 200
    koschey.run("block", "q-block==1.0", "--reason", "malware")
    time.sleep(1)
    for _ in range(20):
        assert koschey.filenames("q-block") == []
        refusal = ask(koschey.url + file.path)
        assert refusal.status == 403
        assert "malware" in refusal.json["detail"]
        assert ask(f"{koschey.index_url}q-block/", If_None_Match=etag).status == 200
    koschey.run("unblock", "q-block==1.0", "--reason", "false alarm")
    assert koschey.state_of(file.filename) == "held"
    koschey.run("approve", "q-block==1.0", "--reason", "false alarm")
    wait_until(lambda: koschey.filenames("q-block") == [file.filename])


def test_block_of_a_project_covers_what_is_to_come(koschey: Koschey, upstream: Upstream) -> None:
    """A blocked project lists nothing, also no release that the upstream adds later."""
    upstream.add("q-banned", "1.0")
    koschey.page("q-banned")
    koschey.run("block", "q-banned", "--yes", "--reason", "not for us")
    later = upstream.add("q-banned", "1.1")
    wait_until(lambda: (koschey.page("q-banned"), koschey.state_of(later.filename))[1])
    assert koschey.state_of(later.filename) == "blocked"
    assert koschey.filenames("q-banned") == []


def test_trusted_project_is_not_held(koschey: Koschey, upstream: Upstream) -> None:
    """`koschey trust` lets in what is held, and later releases after their checks; `untrust` holds them again."""
    first = hold(koschey, upstream, "q-trust")
    koschey.run("trust", "q-trust", "--reason", "our own work")
    wait_until(lambda: koschey.filenames("q-trust") == [first.filename])
    second = add_fresh(upstream, "q-trust", "2.1")
    wait_until(lambda: second.filename in koschey.filenames("q-trust"))
    koschey.run("untrust", "q-trust", "--reason", "new maintainer")
    third = add_fresh(upstream, "q-trust", "2.2")
    wait_until(lambda: (koschey.page("q-trust"), koschey.state_of(third.filename))[1] == "held")
    assert koschey.filenames("q-trust") == [first.filename, second.filename]


def test_list_of_what_is_held(koschey: Koschey, upstream: Upstream) -> None:
    """`koschey quarantine` shows what is held and until when, as a table and as JSON."""
    file = hold(koschey, upstream, "q-listed")
    rows = json.loads(koschey.run("quarantine", "--json").stdout)
    row = next(row for row in rows if row["project"] == "q-listed")
    assert row["version"] == "2.0"
    assert row["files"] == [{"filename": file.filename, "sha256": file.sha256, "stored": True}]
    assert row["release_at"].startswith(f"{file.upload_time + timedelta(days=7):%Y-%m-%dT%H:%M:%S}")
    assert "q-listed" in koschey.run("quarantine").stdout


def test_provenance_is_recorded_for_what_is_held(koschey: Koschey, upstream: Upstream) -> None:
    """The PEP 710 record exists as soon as a held file is stored, and is served once the file is."""
    file = hold(koschey, upstream, "q-traced")
    query = "SELECT record FROM provenance JOIN file ON file.id = file_id WHERE filename = $1"
    record = koschey.fetch_value(query, file.filename)
    assert json.loads(record)["archive_info"] == {"hashes": {"sha256": file.sha256}}
    koschey.run("approve", "q-traced==2.0", "--reason", "ok")
    assert ask(f"{koschey.url}{file.path}.provenance_url.json").body.decode() == record


def test_signal_from_temporal_releases_a_file(koschey: Koschey, upstream: Upstream) -> None:
    """`temporal workflow signal` with a reviewer's name, code and reason is a decision like any other."""
    file = hold(koschey, upstream, "q-signal")
    given = json.dumps(review(koschey, "approve", ("q-signal", "2.0"), reason="seen in Temporal"))
    temporal(koschey, "workflow", "signal", "-w", "quarantine/q-signal/2.0", "--name", "approve", "--input", given)
    wait_until(lambda: koschey.filenames("q-signal") == [file.filename])
    assert koschey.fetch_value("SELECT actor || '/' || door FROM decision WHERE project = 'q-signal'") == "admin/code"


def test_reject_by_signal_blocks(koschey: Koschey, upstream: Upstream) -> None:
    """The signal `reject` blocks the release."""
    file = hold(koschey, upstream, "q-reject")
    given = json.dumps(review(koschey, "block", ("q-reject", "2.0")))
    temporal(koschey, "workflow", "signal", "-w", "quarantine/q-reject/2.0", "--name", "reject", "--input", given)
    wait_until(lambda: koschey.state_of(file.filename) == "blocked")


@pytest.mark.parametrize(
    "given",
    [
        '{"reviewer": "mallory", "reason": "please"}',
        '{"reviewer": "admin", "reason": "let it out"}',
        '{"reviewer": "admin", "reason": "let it out", "code": "00000-00000"}',
        '{"reviewer": "admin", "reason": ""}',
        '"approve"',
        "7",
        "{}",
    ],
)
def test_forged_signal_changes_nothing(koschey: Koschey, upstream: Upstream, given: str) -> None:
    """A signal without a right code, without a reason, or of another form, is answered and changes nothing."""
    name = f"q-forged-{sum(given.encode())}"
    file = hold(koschey, upstream, name)
    workflow = f"quarantine/{name}/2.0"
    temporal(koschey, "workflow", "signal", "-w", workflow, "--name", "approve", "--input", given)

    def answers() -> str:
        return temporal(koschey, "workflow", "query", "-w", workflow, "--name", "answers")

    wait_until(lambda: "refused" in answers())
    assert koschey.state_of(file.filename) == "held"
    assert ask(koschey.url + file.path).status == 403


def test_temporal_lists_what_waits(koschey: Koschey, upstream: Upstream) -> None:
    """Temporal's own list can be searched by project, version, state and release time, and has readable summaries."""
    hold(koschey, upstream, "q-searched")
    query = (
        "KoscheyProject = 'q-searched' AND KoscheyVersion = '2.0' AND KoscheyState = 'held' "
        f"AND KoscheyReleaseAt > '{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}'"
    )

    def found() -> list[str]:
        rows = json.loads(temporal(koschey, "workflow", "list", "--query", query, "--output", "json") or "[]")
        return [row["execution"]["workflowId"] for row in rows]

    wait_until(lambda: found() == ["quarantine/q-searched/2.0"])
    described = temporal(koschey, "workflow", "describe", "-w", "quarantine/q-searched/2.0", "--output", "json")
    assert "q-searched 2.0 in quarantine" in described or "InNlYXJjaGVk" in described


def test_old_releases_cost_no_workflow(koschey: Koschey, upstream: Upstream) -> None:
    """A release that is older than the window at first sight is released at once, without a workflow."""
    file = upstream.add("q-old", "1.0")
    assert koschey.filenames("q-old") == [file.filename]
    with pytest.raises(subprocess.CalledProcessError):
        temporal(koschey, "workflow", "describe", "-w", "quarantine/q-old/1.0")
    assert koschey.fetch_value("SELECT count(*) FROM outbox WHERE key LIKE '%q-old%'") == 0


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("approve", "six", "--reason", "x"), 1, "name==version"),
        (("approve", "six==not a version", "--reason", "x"), 1, "PEP 440"),
        (("approve", "_six_==1", "--reason", "x"), 1, "not a project name"),
        (("approve", "q-unknown==1.0", "--reason", "x"), 1, "not known here"),
        (("approve", "six==1.0", "--reason", " "), 1, "give a reason"),
        (("approve", "six==1.0"), 2, "--reason"),
        (("trust", "six==1.0", "--reason", "x"), 1, "not a project name"),
        (("frobnicate",), 2, "No such command"),
        (("quarantine", "--nope"), 2, "No such option"),
    ],
)
def test_wrong_command_line(koschey: Koschey, command: tuple[str, ...], code: int, words: str) -> None:
    """A wrong command line ends with one clear text on standard error and its exit code, and changes nothing."""
    before = koschey.fetch_value("SELECT serial FROM journal_head")
    done = koschey.run(*command, check=False)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert koschey.fetch_value("SELECT serial FROM journal_head") == before
