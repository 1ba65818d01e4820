"""Sections 9, 13 and 17: what is hidden, what is held, and what comes of upstreams that misbehave."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from koschey.client.conformance import examine_index
from koschey.conformance.checks import AssertionOutcome
from tests.support import archives
from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.uploads import upload
from tests.support.upstream.server import Upstream

RECENT = timedelta(hours=1)


def test_t_9_1(koschey: Koschey, upstream: Upstream) -> None:
    """A hosted project hides all files of an upstream's project of the same name, newer versions too."""
    assert upload(koschey, archives.wheel("t-hidden", "1.0")).status == 200
    upstream.add("t-hidden", "9.9")
    page = koschey.page("t-hidden")
    assert page["versions"] == ["1.0"]
    assert [file["filename"] for file in page["files"]] == ["t_hidden-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_t_9_2(koschey: Koschey, upstream: Upstream, status: int) -> None:
    """While an upstream fails, the index never answers that a project does not exist."""
    name = f"t-failing-{status}"
    upstream.add(name, "1.0")
    upstream.fault(name, status=status)
    assert ask(f"{koschey.index_url}{name}/", Accept=JSON).status == 503
    upstream.clear_faults()
    wait_until(lambda: ask(f"{koschey.index_url}{name}/", Accept=JSON).status == 200)


def test_t_13_2(koschey: Koschey, upstream: Upstream) -> None:
    """A blocked file is not served under any of its addresses."""
    file = upstream.add("t-blocked", "1.0")
    koschey.page("t-blocked")
    beside = ("", ".metadata", ".provenance_url.json")
    urls = [koschey.url + file.path + suffix for suffix in beside]
    assert [ask(url).status for url in urls] == [200, 200, 200]
    koschey.run("block", "t-blocked==1.0", "--reason", "malware")
    urls.append(f"{koschey.url}/integrity/t-blocked/1.0/{file.filename}/provenance")
    wait_until(lambda: koschey.filenames("t-blocked") == [])
    for url in urls:
        assert ask(url).status in (403, 404), url
        assert ask(url, Range="bytes=0-9").status in (403, 404), url
    assert ask(urls[0]).status == 403


def test_t_13_3(koschey: Koschey, upstream: Upstream) -> None:
    """A release that leaves quarantine is on the page within the lifetime of a cached page, under a new serial."""
    upstream.add("t-cooling", "1.0")
    upstream.add("t-cooling", "1.1", upload_time=datetime.now(UTC) - RECENT)
    before = koschey.page("t-cooling")
    assert before["versions"] == ["1.0"]
    koschey.run("approve", "t-cooling==1.1", "--reason", "needed")
    after = wait_until(lambda: (page := koschey.page("t-cooling"))["versions"] == ["1.0", "1.1"] and page, timeout=5)
    assert after["meta"]["_last-serial"] > before["meta"]["_last-serial"]


def test_t_15_2(koschey: Koschey, upstream: Upstream) -> None:
    """A held or blocked file is in neither `releases` nor `urls`."""
    for version in ("1.0", "1.1"):
        upstream.add("t-listed", version)
    upstream.add("t-listed", "2.0", upload_time=datetime.now(UTC) - RECENT)
    koschey.page("t-listed")
    koschey.run("block", "t-listed==1.1", "--reason", "malware")
    wait_until(lambda: koschey.page("t-listed")["versions"] == ["1.0"])
    found = ask(f"{koschey.url}/pypi/t-listed/json").json
    assert [file["filename"] for file in found["urls"]] == ["t_listed-1.0-py3-none-any.whl"]
    assert [version for version, files in found["releases"].items() if files] == ["1.0"]
    for version in ("1.1", "2.0"):
        assert ask(f"{koschey.url}/pypi/t-listed/{version}/json").status == 404


DIRTY = {
    "empty": {"upload-time": "", "requires-python": "", "size": 1, "yanked": "", "core-metadata": None},
    "null": {"upload-time": None, "requires-python": None, "size": None, "yanked": None, "provenance": None},
    "mistyped": {"upload-time": "yesterday", "requires-python": ">=three", "size": "12", "core-metadata": "yes"},
}
"""What other servers are known to send."""


@pytest.mark.parametrize("kind", DIRTY)
async def test_t_17_3(koschey: Koschey, upstream: Upstream, kind: str) -> None:
    """If an upstream's page has empty, null or mistyped values, the index's page is still valid."""
    name = f"t-{kind}"
    upstream.add(name, "1.0")
    page = upstream.project_detail(name)
    assert page is not None
    page["files"][0].pop("requires-python", None)
    page["files"][0].update(DIRTY[kind])
    page["meta"]["_last-serial"] = "12"
    page["project-status"] = None
    upstream.fault(f"/simple/{name}/", body=json.dumps(page).encode(), content_type=JSON)
    # Without an upload-time it counts as seen now for the first time, and is held.
    koschey.page(name)
    koschey.run("approve", f"{name}==1.0", "--reason", "needed")
    wait_until(lambda: koschey.filenames(name))
    results = {result.check.id: result for result in await examine_index(koschey.index_url, [name])}
    for assertion in ("T-2.2", "T-3.1", "T-3.2", "T-6.1", "T-6.2", "T-6.3", "T-7.1", "T-7.2", "T-8.2"):
        assert results[assertion].outcome is AssertionOutcome.PASS, results[assertion].detail
