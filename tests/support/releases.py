"""Releases that a running index holds, and its pages and refusals about them."""

import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.temporal_cli import temporal
from tests.support.upstream.server import Upstream, UpstreamFile

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
"""A browser's Accept header."""


def add_fresh(upstream: Upstream, project: str, version: str = "2.0") -> UpstreamFile:
    """Add a release that was uploaded an hour ago."""
    return upstream.add(project, version, upload_time=datetime.now(UTC) - timedelta(hours=1))


def hold(koschey: Koschey, upstream: Upstream, project: str) -> UpstreamFile:
    """Have Koschey hold a release that was uploaded an hour ago; return once its bytes are stored."""
    file = add_fresh(upstream, project)
    assert koschey.filenames(project) == []
    wait_until(lambda: koschey.is_stored(file.filename))
    return file


def hold_new(koschey: Koschey, upstream: Upstream, project: str, **options: Any) -> str:
    """Have Koschey hold a release that was uploaded just now; return its filename at once."""
    file = upstream.add(project, "1.0", upload_time=datetime.now(UTC), **options)
    assert koschey.filenames(project) == []
    return file.filename


def hold_settled(koschey: Koschey, upstream: Upstream, project: str, *versions: str) -> list[UpstreamFile]:
    """Have Koschey hold fresh releases; return once their workflows wait for a date or a signal."""
    fresh = [add_fresh(upstream, project, version) for version in versions]
    assert koschey.filenames(project) == []
    for file, version in zip(fresh, versions, strict=True):
        wait_until(partial(koschey.is_stored, file.filename))
        wait_until(partial(_is_settled, koschey, project, version))
    return fresh


def _is_settled(koschey: Koschey, project: str, version: str) -> bool:
    try:
        answer = temporal(
            koschey, "workflow", "query", "--workflow-id", f"quarantine/{project}/{version}", "--type", "status"
        )
    except subprocess.CalledProcessError:
        return False
    return '"unstored":0' in answer.replace(" ", "")


def pages(koschey: Koschey, project: str) -> list[bytes]:
    """Every form of a project's page."""
    accepts = [JSON, "application/vnd.pypi.simple.v1+html", "text/html", "*/*", "application/json, text/html;q=0.1"]
    return [ask(f"{koschey.index_url}{project}/", Accept=accept).body for accept in accepts]


def end_of_window(file: UpstreamFile) -> str:
    """The day on which the window of a file ends."""
    return f"{file.upload_time.astimezone(UTC) + timedelta(days=7):%Y-%m-%d}"


def announce(koschey: Koschey, scope: str) -> None:
    """Activate the rule under which held files of the scope are listed as yanked."""
    insert = """
        INSERT INTO rule (index_id, kind, project, reason, actor)
        SELECT id, 'announced', $1, 'tell everybody', 'test' FROM index WHERE name = 'main' RETURNING 1
    """
    assert koschey.fetch_value(insert, scope) == 1
    koschey.fetch_value("SELECT pg_notify('koschey_project', $1)", scope)


def refusal(koschey: Koschey, path: str) -> Any:
    """The body of a file's refusal."""
    answer = ask(f"{koschey.url}{path}", Accept="application/json")
    assert answer.status == 403
    return answer.json
