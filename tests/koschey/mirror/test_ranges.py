"""Ranges of wheels that are not stored yet: answered from the upstream at once, and never parts of a whole file."""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator

import pytest

from koschey.mirror.ranges import MOST
from koschey.web.conditional import parse_bounded
from tests.support.app_in_process import AppInProcess
from tests.support.archives import noise
from tests.support.koschey_up import Answer
from tests.support.upstream.server import Upstream, UpstreamFile

SIZE = 4 * 2**20
"""Bytes of a wheel that is large enough."""
HALF = SIZE // 2

WAITING = (
    "bytes=0-99",
    f"bytes={HALF - 1}-{HALF + 9}",
    f"bytes=-{MOST + 1}",
    f"bytes={HALF + 5}-",
    "bytes=0-",
    "",
)
"""Ranges that are not relayed."""


def cold(app: AppInProcess, upstream: Upstream, project: str, *, size: int = SIZE, ending: str = "") -> UpstreamFile:
    """A released file, by default a wheel, of which nothing is stored."""
    filename = f"{project}-1.0{ending or '-py3-none-any.whl'}"
    file = upstream.add(project, "1.0", content=noise(project, size), filename=filename)
    app.page(project)
    upstream.forget_requests()
    return file


def is_stored(app: AppInProcess, file: UpstreamFile) -> bool:
    """Whether the file is in the bucket."""
    return app.file(file.filename).file.stored_at is not None


def settle(app: AppInProcess) -> None:
    """Let what goes on behind the answers come to its end."""

    async def wait() -> None:
        store = app.resources.files
        # A task leaves the set a turn of the loop after its end, and to await what is done gives no turn.
        while unfinished := [task for task in store._tasks if not task.done()]:
            await asyncio.wait(unfinished)

    app.run(wait())


def ranges_of(upstream: Upstream, file: UpstreamFile) -> list[str | None]:
    """The ranges in which a file was asked for, None for the whole."""
    return [request.headers.get("Range") for request in upstream.requests if request.path == file.path]


@pytest.fixture(autouse=True)
def settled(app: AppInProcess) -> Iterator[None]:
    """Nothing of one test goes on during the next."""
    yield
    settle(app)


@pytest.mark.parametrize(
    ("span", "start", "stop"),
    [
        ("bytes=-10000", SIZE - 10_000, SIZE),
        (f"bytes=-{MOST}", SIZE - MOST, SIZE),
        (f"bytes={SIZE - 16384}-{SIZE - 1}", SIZE - 16384, SIZE),
        (f"bytes={SIZE - 100}-{SIZE + 100}", SIZE - 100, SIZE),
        (f"bytes={HALF}-{HALF + 99}", HALF, HALF + 100),
    ],
)
def test_range_of_a_cold_wheel_is_answered_at_once(
    app: AppInProcess, upstream: Upstream, span: str, start: int, stop: int
) -> None:
    """The end of a wheel arrives before the wheel does, and the wheel is fetched behind the answer."""
    file = cold(app, upstream, f"tail{start}x{stop}")
    upstream.fault(file.filename, bytes_per_second=8 * 2**20)
    answer = app.ask(file.path, Range=span)
    assert (answer.status, answer.body) == (206, file.content[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(stop - start)
    assert answer.headers["etag"] == f'"{file.sha256}"'
    assert not is_stored(app, file)
    settle(app)
    assert is_stored(app, file)
    assert ranges_of(upstream, file) == [span.replace("bytes=", "bytes="), None]
    upstream.forget_requests()
    assert app.ask(file.path, Range=span).body == answer.body
    assert upstream.about(file.project, file.filename) == []
    query = "SELECT count(*) AS count FROM download WHERE file_id = $1"
    assert app.fetch(query, app.file(file.filename).file.id)[0]["count"] == 2


@pytest.mark.parametrize("number", range(len(WAITING)))
def test_other_ranges_wait_for_the_whole(app: AppInProcess, upstream: Upstream, number: int) -> None:
    """What lies in the first half, is large or has no end comes out of the fetch of the whole."""
    file = cold(app, upstream, f"waits{number}")
    answer = app.ask(file.path, Range=WAITING[number])
    assert answer.status == (206 if WAITING[number] else 200)
    assert hashlib.sha256(app.ask(file.path).body).hexdigest() == file.sha256
    assert ranges_of(upstream, file) == [None]


@pytest.mark.parametrize(("size", "ending"), [(MOST, ""), (SIZE, ".tar.gz"), (SIZE, ".zip")])
def test_ranges_of_other_files_wait_for_the_whole(
    app: AppInProcess, upstream: Upstream, size: int, ending: str
) -> None:
    """Small wheels and files of other kinds are fetched first."""
    file = cold(app, upstream, f"other{size}{ending.replace('.', '')}", size=size, ending=ending)
    assert app.ask(file.path, Range="bytes=-100").body == file.content[-100:]
    assert ranges_of(upstream, file) == [None]
    assert is_stored(app, file)


@pytest.mark.parametrize(
    "fault", [{"status": 200}, {"status": 500}, {"status": 206}, {"headers": {"Content-Range": "x"}}]
)
def test_upstream_that_serves_no_ranges(app: AppInProcess, upstream: Upstream, fault: dict[str, object]) -> None:
    """Where the upstream does not serve the part, the whole is fetched for it."""
    file = cold(app, upstream, f"noranges{len(str(fault))}{fault.get('status', '')}")
    upstream.fault(file.filename, body=file.content, times=1, **fault)  # type: ignore[arg-type]
    assert app.ask(file.path, Range="bytes=-100").body == file.content[-100:]
    assert is_stored(app, file)


def test_wrong_part_is_not_passed_on(app: AppInProcess, upstream: Upstream) -> None:
    """A part from another place of the file than was asked for is no answer."""
    file = cold(app, upstream, "wrongpart")
    stated = {"Content-Range": f"bytes {HALF}-{HALF + 99}/{SIZE}"}
    upstream.fault(file.filename, status=206, body=bytes(100), headers=stated, times=1)
    assert app.ask(file.path, Range="bytes=-100").body == file.content[-100:]


def test_condition_on_other_bytes_has_no_part(app: AppInProcess, upstream: Upstream) -> None:
    """`If-Range` with another ETag asks for the whole file (RFC 9110, 13.1.5)."""
    file = cold(app, upstream, "ifrange")
    assert app.ask(file.path, Range="bytes=-100", If_Range='"other"').status == 200
    assert ranges_of(upstream, file) == [None]


def test_held_wheel_has_no_part(app: AppInProcess, upstream: Upstream) -> None:
    """A range of a held wheel is refused, and its upstream is not asked."""
    file = upstream.add(
        "heldpart", "1.0", content=noise("held", SIZE), upload_time=app.now, filename="heldpart-1.0-py3-none-any.whl"
    )
    app.page("heldpart")
    assert app.ask(file.path, Range="bytes=-100").status == 403
    assert ranges_of(upstream, file) == []


# Nothing unverified is ever completely sent


def garbled(app: AppInProcess, upstream: Upstream, project: str) -> tuple[UpstreamFile, bytes]:
    """A cold wheel of which the upstream sends other bytes, in ranges too."""
    file = cold(app, upstream, project)
    other = noise("other", SIZE)
    upstream.replace(file.filename, other)
    return file, other


def received(answer: Answer) -> bytes:
    """What a client holds of an answer, whole or broken off."""
    return answer.body if answer.status in (0, 200, 206) else b""


@pytest.mark.parametrize("resume", ["bytes={0}-", "bytes={0}-{1}", "bytes=-{2}"])
def test_client_that_resumes_never_holds_unverified_bytes_whole(
    app: AppInProcess, upstream: Upstream, resume: str
) -> None:
    """A client that is broken off and asks for the rest, however it asks, gets no end of unverified bytes."""
    file, other = garbled(app, upstream, f"resumed{len(resume)}")
    upstream.fault(file.path, body=other)
    held = received(app.ask(file.path))
    assert 0 < len(held) < SIZE
    upstream.clear_faults()
    span = f"bytes {len(held)}-{SIZE - 1}/{SIZE}"
    upstream.fault(file.path, status=206, body=other[len(held) :], headers={"Content-Range": span})
    answer = app.ask(file.path, Range=resume.format(len(held), SIZE - 1, SIZE - len(held)))
    assert answer.status == 424
    assert app.file(file.filename).file.mismatched_at is not None


def test_segments_never_make_a_whole_file(app: AppInProcess, upstream: Upstream) -> None:
    """A client that asks for a wheel in segments gets none of the first half before the whole is verified."""
    file, other = garbled(app, upstream, "segments")
    part, got = 2**19, 0
    for start in range(0, SIZE, part):
        span = f"bytes {start}-{start + part - 1}/{SIZE}"
        upstream.clear_faults()
        upstream.fault(file.path, status=206, body=other[start : start + part], headers={"Content-Range": span})
        with contextlib.suppress(Exception):
            got += len(received(app.ask(file.path, Range=f"bytes={start}-{start + part - 1}")))
    assert got <= HALF


def test_part_waits_while_another_client_downloads(app: AppInProcess, upstream: Upstream) -> None:
    """Who may have the beginning of a fetch that is under way gets its end from that fetch alone."""
    file = cold(app, upstream, "twoclients")
    upstream.fault(file.filename, bytes_per_second=8 * 2**20)

    async def run() -> list[Answer]:
        whole = asyncio.create_task(app._follow("GET", file.path, {}, b""))
        await asyncio.sleep(0.2)
        assert app.resources.files.has_sent_bytes(inside_id)
        part = asyncio.create_task(app._follow("GET", file.path, {"Range": "bytes=-100"}, b""))
        return [answers[-1] for answers in await asyncio.gather(whole, part)]

    inside_id = app.file(file.filename).file.id
    whole, part = app.run(run())
    assert (whole.body, part.body) == (file.content, file.content[-100:])
    assert ranges_of(upstream, file) == [None]


# Headers


def test_not_modified_says_no_length(app: AppInProcess, upstream: Upstream) -> None:
    """A 304 does not say that there are no bytes: of a file, cold or stored, and of what stands beside it."""
    file = upstream.add("unchanged", "1.0", size=100_000)
    app.page("unchanged")
    cold_answer = app.ask(file.path, If_None_Match=f'"{file.sha256}"')
    assert (cold_answer.status, upstream.count(file.path)) == (304, 0)
    assert "content-length" not in cold_answer.headers
    app.store(file.filename)
    for path in (file.path, f"{file.path}.metadata", f"{file.path}.provenance_url.json", "/pypi/unchanged/json"):
        for method in ("GET", "HEAD"):
            known = app.ask(path, method)
            assert known.status == 200
            same = app.ask(path, method, If_None_Match=known.headers["etag"])
            assert (same.status, same.body, same.headers["etag"]) == (304, b"", known.headers["etag"])
            assert "content-length" not in same.headers


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=-10", ("-10", 10)),
        ("bytes=5-5", ("5-5", 1)),
        ("bytes=0-99", ("0-99", 100)),
        ("bytes=5-", None),
        ("bytes=-", None),
        ("bytes=-0", None),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),
        (None, None),
    ],
)
def test_ranges_with_a_length(header: str | None, expected: tuple[str, int] | None) -> None:
    """Only a range that says how long it is can be asked of an upstream before the file's size is known."""
    assert parse_bounded(header) == expected
