"""The README's lines for deciding from Temporal, run as they stand there against a real server."""

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from running import Koschey, wait_until
from temporal import temporal
from upstream import Upstream, UpstreamFile

README = (Path(__file__).parent.parent / "README.md").read_text()
HOUR = timedelta(hours=1)


def documented(project: str) -> list[list[str]]:
    """The README's `temporal` lines about a project, as the words of commands."""
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    lines = [line.removeprefix("$ temporal ") for line in blocks.splitlines() if line.startswith("$ temporal ")]
    return [shlex.split(line, comments=True) for line in lines if project in line]


def hold(koschey: Koschey, upstream: Upstream, project: str, *versions: str) -> list[UpstreamFile]:
    """Have fresh releases held, and their workflows waiting."""
    fresh = [upstream.add(project, version, upload_time=datetime.now(UTC) - HOUR) for version in versions]
    assert koschey.filenames(project) == []
    for file, version in zip(fresh, versions, strict=True):
        wait_until(partial(koschey.is_stored, file.filename))
        wait_until(partial(settled, koschey, project, version))
    return fresh


def settled(koschey: Koschey, project: str, version: str) -> bool:
    """Whether a workflow has settled, and waits."""
    try:
        answer = temporal(
            koschey, "workflow", "query", "--workflow-id", f"quarantine/{project}/{version}", "--type", "status"
        )
    except subprocess.CalledProcessError:
        return False
    return '"unstored":0' in answer.replace(" ", "")


def test_one_release(koschey: Koschey, upstream: Upstream) -> None:
    """Each documented line about one release does what it says."""
    [file] = hold(koschey, upstream, "six", "1.17.0")
    query, extend, approve = documented("quarantine/six/")
    assert "QueryResult" in temporal(koschey, *query)
    temporal(koschey, *extend)
    held_until = "SELECT held_until FROM standing JOIN file ON file.id = file_id WHERE filename = $1"
    assert wait_until(lambda: koschey.fetch_value(held_until, file.filename)) > datetime.now(UTC) + timedelta(days=13)
    assert "serial" in temporal(koschey, *approve)
    assert koschey.state_of(file.filename) == "released"
    assert koschey.fetch_value("SELECT door FROM decision WHERE project = 'six' AND action = 'approve'") == "signal"


def test_many_releases_by_a_search(koschey: Koschey, upstream: Upstream) -> None:
    """One documented line releases everything that a search finds, each release by PostgreSQL, and nothing else."""
    waiting = hold(koschey, upstream, "acme-tools", "2.0", "2.1", "2.2")
    [other] = hold(koschey, upstream, "acme-other", "1.0")
    [batch] = documented("acme-tools")
    wait_until(lambda: len(listed(koschey, "acme-tools")) == 3, timeout=30)
    temporal(koschey, *batch)
    wait_until(lambda: {koschey.state_of(file.filename) for file in waiting} == {"released"}, timeout=60)
    wait_until(lambda: sorted(koschey.filenames("acme-tools")) == sorted(file.filename for file in waiting))
    decided = "SELECT count(DISTINCT version) FROM decision WHERE project = 'acme-tools' AND action = 'approve'"
    assert koschey.fetch_value(decided) == 3
    assert koschey.state_of(other.filename) == "held"


def listed(koschey: Koschey, project: str) -> list[str]:
    """The ids of the held releases of a project that the documented search finds."""
    [search] = documented("WorkflowType")
    words = [word + f' AND KoscheyProject="{project}"' if word.startswith("WorkflowType") else word for word in search]
    found = json.loads(temporal(koschey, *words, "--output", "json"))
    return [one["execution"]["workflowId"] for one in found]


def test_reject(koschey: Koschey, upstream: Upstream) -> None:
    """The documented rejection blocks."""
    [file] = hold(koschey, upstream, "typosix", "1.0")
    [reject] = documented("typosix")
    temporal(koschey, *reject)
    wait_until(lambda: koschey.state_of(file.filename) == "blocked")
