"""Core metadata that an upstream's page promises: kept, read out of the wheel, corrected or taken back; never 502."""

import asyncio
import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pytest

from koschey.model import State
from koschey.upstream import client
from tests.support import archives
from tests.support.app_in_process import AppInProcess
from tests.support.koschey_up import JSON
from tests.support.upstream.server import Upstream, UpstreamFile

FAULTS = {
    "missing": {"status": 404},
    "gone": {"status": 410},
    "forbidden": {"status": 403},
    "failing": {"status": 500},
    "altered": {"body": b"Metadata-Version: 2.1\nName: other\nVersion: 1\n"},
    "empty": {"body": b""},
    "a page": {"body": b"<html>please log in</html>", "content_type": "text/html"},
    "mislabelled": {"headers": {"Content-Encoding": "gzip"}},
}
"""What an upstream may do with core metadata that its page promises."""
BROKEN = [name for name in FAULTS if name not in ("failing", "mislabelled")]
"""Those by which it breaks its promise; the others may pass."""


def promised(app: AppInProcess, upstream: Upstream, project: str, metadata: bytes | None = None) -> UpstreamFile:
    """A released wheel of which nothing is stored, perhaps with a false promise."""
    file = upstream.add(project, "1.0", requires=["other>=1"], size=100_000)
    if metadata is not None:
        file = upstream.promise(file.filename, metadata)
    app.page(project)
    upstream.forget_requests()
    return file


def fail(upstream: Upstream, file: UpstreamFile, name: str) -> None:
    """Have the upstream misbehave beside the wheel."""
    upstream.fault(f"{file.filename}.metadata", **FAULTS[name])  # type: ignore[arg-type]


def own(file: UpstreamFile) -> bytes:
    """What the wheel holds."""
    found = archives.read_core_metadata(file.content)
    assert found is not None
    return found


def listed(app: AppInProcess, project: str) -> str | None:
    """The digest of core metadata that the page lists."""
    app.hear_all()
    [entry] = app.page(project)["files"]
    digest: str | None = entry.get("core-metadata", {}).get("sha256")
    return digest


def corrections(app: AppInProcess, filename: str) -> list[dict[str, object]]:
    """What the journal says of core metadata of a file."""
    query = "SELECT detail FROM journal WHERE filename = $1 AND action = 'core metadata'"
    return [row["detail"] for row in app.fetch(query, filename)]


FALSE = archives.core_metadata("false-promise", "1.0", ["innocent"])
"""Metadata that no wheel here holds."""


# A promise that the wheel keeps


@pytest.mark.parametrize("fault", list(FAULTS))
def test_metadata_is_read_out_of_the_wheel(app: AppInProcess, upstream: Upstream, fault: str) -> None:
    """Where the upstream does not serve what its page promises, ranges of the wheel do; nobody notices."""
    file = promised(app, upstream, f"kept-{fault.replace(' ', '-')}")
    fail(upstream, file, fault)
    answer = app.ask(f"{file.path}.metadata")
    assert (answer.status, answer.body) == (200, own(file))
    assert answer.headers["etag"] == f'"{hashlib.sha256(own(file)).hexdigest()}"'
    assert {request.status for request in upstream.requests if request.path == file.path} == {206}
    assert corrections(app, file.filename) == []
    upstream.forget_requests()
    assert app.ask(f"{file.path}.metadata").body == own(file)
    assert upstream.about(file.filename) == []
    assert app.ask(file.path).body == file.content


@pytest.mark.parametrize("fault", BROKEN)
def test_metadata_of_an_upstream_without_ranges(app: AppInProcess, upstream: Upstream, fault: str) -> None:
    """Where the upstream serves no ranges either, the whole wheel is fetched for it, once."""
    file = promised(app, upstream, f"whole-{fault.replace(' ', '-')}")
    fail(upstream, file, fault)
    upstream.fault(file.filename, status=200, body=file.content)
    answer = app.ask(f"{file.path}.metadata")
    assert (answer.status, answer.body) == (200, own(file))
    assert app.file(file.filename).file.stored_at is not None
    assert listed(app, file.project) == hashlib.sha256(own(file)).hexdigest()


def test_metadata_of_a_stored_wheel_needs_no_upstream(app: AppInProcess, upstream: Upstream) -> None:
    """Where the wheel is here, its METADATA is too, whatever became of the upstream."""
    file = promised(app, upstream, "kept-stored")
    app.store(file.filename)
    upstream.down()
    try:
        assert app.ask(f"{file.path}.metadata").body == own(file)
    finally:
        upstream.up()


def test_metadata_that_trickles_is_read_out_of_the_wheel(
    app: AppInProcess, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Core metadata that never comes to its end does not keep a client waiting."""
    monkeypatch.setattr(client, "DOCUMENT_TIMEOUT", 0.5)
    file = promised(app, upstream, "kept-trickle")
    upstream.fault(f"{file.filename}.metadata", bytes_per_second=20)
    assert app.ask(f"{file.path}.metadata").body == own(file)


def test_metadata_is_brought_once_for_all(app: AppInProcess, upstream: Upstream) -> None:
    """Twenty clients that ask for the same core metadata cost one request upstream."""
    file = promised(app, upstream, "kept-popular")

    async def ask_all() -> set[bytes]:
        answers = await asyncio.gather(*(app._follow("GET", f"{file.path}.metadata", {}, b"") for _ in range(20)))
        return {answer.body for (answer,) in answers}

    assert app.run(ask_all()) == {own(file)}
    assert upstream.count(f"{file.path}.metadata") == 1


@pytest.mark.parametrize("serves", [True, False], ids=["served beside it", "read out of it"])
def test_metadata_of_a_wheel_whose_url_has_a_query(app: AppInProcess, upstream: Upstream, serves: bool) -> None:
    """A query of signed storage stays behind the path, for core metadata, parts and the whole wheel."""
    project = f"signed-{serves}".lower()
    file = upstream.add(project, "1.0", size=100_000)
    page = upstream.project_detail(project)
    assert page is not None
    page["files"][0]["url"] = f"{file.url}?token=a/b.whl&expires=1"
    upstream.fault(f"/simple/{project}/", body=json.dumps(page).encode(), content_type=JSON)
    if not serves:
        fail(upstream, file, "missing")
    app.page(project)
    assert app.ask(f"{file.path}.metadata").body == own(file)
    assert upstream.count(f"{file.path}.metadata") == 1
    assert app.ask(file.path).body == file.content
    assert app.file(file.filename).standing.state is State.RELEASED


# A promise that nobody keeps


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("first", ["metadata", "wheel"])
def test_broken_promise_is_corrected(app: AppInProcess, upstream: Upstream, fault: str, first: str) -> None:
    """A digest that neither the upstream nor the wheel bears out gives way to the wheel's own; the wheel is served."""
    file = promised(app, upstream, f"broken-{first}-{fault.replace(' ', '-')}", FALSE)
    fail(upstream, file, fault)
    asks = [f"{file.path}.metadata", file.path]
    bodies = [own(file), file.content]
    for path in asks if first == "metadata" else reversed(asks):
        answer = app.ask(path)
        assert (answer.status, answer.body) == (200, bodies[asks.index(path)])
    digest = hashlib.sha256(own(file)).hexdigest()
    assert listed(app, file.project) == digest
    [correction] = corrections(app, file.filename)
    assert (correction["promised"], correction["core_metadata"]) == (hashlib.sha256(FALSE).hexdigest(), digest)
    assert app.file(file.filename).standing.state is State.RELEASED
    app.refresh(file.project)
    assert listed(app, file.project) == digest
    assert len(corrections(app, file.filename)) == 1


def two_metadata(project: str) -> bytes:
    """A wheel of which readers take different METADATA."""
    name, buffer = project.replace("-", "_"), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for folder in (name, name.title()):
            archive.writestr(f"{folder}-1.0.dist-info/METADATA", archives.core_metadata(project, "1.0", [folder]))
    return buffer.getvalue()


@pytest.mark.parametrize("first", ["metadata", "wheel"])
def test_promise_of_a_wheel_without_metadata_is_taken_back(app: AppInProcess, upstream: Upstream, first: str) -> None:
    """Where there is no METADATA to list in place of a broken promise, the page lists none, and later looks neither."""
    project = f"nothing-{first}"
    file = upstream.add(
        project, "1.0", content=two_metadata(project), filename=f"{project.replace('-', '_')}-1.0-py3-none-any.whl"
    )
    upstream.promise(file.filename, FALSE)
    app.page(project)
    fail(upstream, file, "missing")
    if first == "wheel":
        assert app.ask(file.path).body == file.content
    assert app.ask(f"{file.path}.metadata").status == 404
    assert listed(app, project) is None
    [correction] = corrections(app, file.filename)
    assert correction["core_metadata"] is None
    assert "2 METADATA" in str(correction["reason"])
    app.refresh(project)
    assert listed(app, project) is None
    assert app.ask(file.path).body == file.content
    assert len(corrections(app, file.filename)) == 1
    honest = upstream.promise(file.filename, b"Metadata-Version: 2.1\n")
    upstream.clear_faults()
    app.refresh(project)
    assert listed(app, project) == hashlib.sha256(honest.metadata or b"").hexdigest()


def test_promise_is_not_replaced_while_the_upstream_fails(app: AppInProcess, upstream: Upstream) -> None:
    """An upstream that does not answer may keep its promise later: until then it is 503, and nothing is corrected."""
    file = promised(app, upstream, "in-doubt", FALSE)
    fail(upstream, file, "failing")
    for path in (f"{file.path}.metadata", file.path):
        answer = app.ask(path)
        assert answer.status in (0, 503)
    assert corrections(app, file.filename) == []
    upstream.clear_faults()
    assert app.ask(f"{file.path}.metadata").body == FALSE


# A promise that is kept, and deceives


@pytest.mark.parametrize("first", ["metadata", "wheel"])
def test_wheel_that_differs_from_what_its_upstream_serves_is_blocked(
    app: AppInProcess, upstream: Upstream, first: str
) -> None:
    """Q3: other core metadata beside a wheel than in it blocks the wheel, in whichever order they are fetched."""
    file = promised(app, upstream, f"deceives-{first}", FALSE)
    if first == "metadata":
        assert app.ask(f"{file.path}.metadata").body == FALSE
    assert len(app.ask(file.path).body) < file.size
    assert app.file(file.filename).standing.state is State.BLOCKED
    assert app.ask(file.path).status == 403


def test_what_was_served_binds_the_wheel(app: AppInProcess, upstream: Upstream) -> None:
    """Core metadata that was served is not corrected because its upstream lacks it later: the wheel is blocked."""
    file = promised(app, upstream, "served-once", FALSE)
    assert app.ask(f"{file.path}.metadata").body == FALSE
    fail(upstream, file, "missing")
    assert len(app.ask(file.path).body) < file.size
    assert app.file(file.filename).standing.state is State.BLOCKED
    assert corrections(app, file.filename) == []


def test_metadata_of_a_held_wheel_is_asked_of_nobody(app: AppInProcess, upstream: Upstream) -> None:
    """Q3: core metadata of a held wheel is refused, and costs its upstream nothing."""
    file = upstream.add("held-promise", "1.0", upload_time=app.now - timedelta(hours=1))
    app.page("held-promise")
    assert app.ask(f"{file.path}.metadata").status == 403
    assert upstream.count(f"{file.path}.metadata") == 0
