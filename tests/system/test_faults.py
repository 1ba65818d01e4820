"""What is killed, stopped or restarted, and what the index does meanwhile and afterwards."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support import archives
from tests.support.commands import uv_publish
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.running_parts import frozen, kill, tree
from tests.support.temporal_cli import review, temporal
from tests.support.upstream.server import Upstream, UpstreamFile

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def koschey(folder: Path, shared_upstream: Upstream) -> Iterator[Koschey]:
    """An index of this module's own: its parts are killed."""
    with Koschey(folder / "faults", shared_upstream.url) as running:
        yield running


def fresh(upstream: Upstream, project: str, size: int | None = None) -> UpstreamFile:
    """Add a release that will be held."""
    return upstream.add(project, "2.0", size=size, upload_time=datetime.now(UTC) - timedelta(hours=1))


def download(url: str, into: list[bytes]) -> threading.Thread:
    """Download in the background, and keep what came, also of a body that broke off."""

    def run() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            try:
                into.append(ask(url).body)
            except http.client.IncompleteRead as error:
                into.append(error.partial)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def healthy(koschey: Koschey) -> bool:
    """Whether the web process answers that it can serve."""
    try:
        return ask(f"{koschey.url}/_/health", timeout=5).status == 200
    except OSError:
        return False


def test_worker_killed_in_the_middle_of_a_fetch(koschey: Koschey, upstream: Upstream) -> None:
    """The fetch of a held file is finished by the next worker; nothing is stored twice or halfway."""
    file = fresh(upstream, "f-worker", size=2_000_000)
    with upstream.hold(file.filename, after=500_000) as hold:
        koschey.page("f-worker")
        hold.wait()
        kill(koschey, "worker")
        hold.wait(0)
        assert not koschey.is_stored(file.filename)
        hold.release()
        wait_until(lambda: koschey.is_stored(file.filename), timeout=90)
    assert koschey.state_of(file.filename) == "held"
    blob = koschey.data / f"s3/koschey/blobs/sha256/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}"
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == file.sha256


def test_web_killed_in_the_middle_of_a_download(koschey: Koschey, upstream: Upstream) -> None:
    """The client gets a short body, never a complete wrong one, and the worker finishes the fetch without it."""
    file = upstream.add("f-web", "1.0", size=2_000_000)
    koschey.page("f-web")
    received: list[bytes] = []
    with upstream.hold(file.filename, after=1_000_000) as hold:
        client = download(koschey.url + file.path, received)
        hold.wait()
        kill(koschey, "web")
        client.join(30)
        assert all(len(body) < file.size for body in received)
        hold.wait(0)
        hold.release()
    wait_until(lambda: koschey.is_stored(file.filename), timeout=90)
    wait_until(lambda: healthy(koschey), timeout=30)
    assert ask(koschey.url + file.path).body == file.content


def test_temporal_away(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """Without Temporal pages, files, uploads and decisions go on; nothing held gets out; later all is caught up."""
    known = upstream.add("f-known", "1.0")
    waiting = fresh(upstream, "f-waiting")
    koschey.page("f-known")
    koschey.page("f-waiting")
    wait_until(lambda: koschey.is_stored(waiting.filename))
    with frozen(koschey, "temporal"):
        late = fresh(upstream, "f-late")
        assert koschey.filenames("f-known") == [known.filename]
        assert ask(koschey.url + known.path).body == known.content
        assert koschey.filenames("f-late") == []
        assert ask(koschey.url + koschey.path_of(late.filename)).status == 403
        koschey.run("approve", "f-waiting==2.0", "--reason", "while Temporal is away")
        wait_until(lambda: koschey.filenames("f-waiting") == [waiting.filename], timeout=2)
        assert not koschey.is_stored(late.filename)
        filename, content = archives.wheel("f-private", "1.0")
        (tmp_path / filename).write_bytes(content)
        token = koschey.ready["upload_token"]
        uv_publish("--publish-url", f"{koschey.url}/legacy/", "--token", token, str(tmp_path / filename))
        assert koschey.filenames("f-private") == [filename]
    wait_until(lambda: koschey.is_stored(late.filename), timeout=90)
    assert koschey.state_of(late.filename) == "held"

    def finished() -> bool:
        described = temporal(koschey, "workflow", "describe", "-w", "quarantine/f-waiting/2.0", "-o", "json")
        return bool(json.loads(described)["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED")

    wait_until(finished, timeout=60)


def test_postgres_restarted(koschey: Koschey, upstream: Upstream) -> None:
    """After PostgreSQL was killed the index serves again within five seconds of its return, with nothing lost."""
    file = upstream.add("f-postgres", "1.0")
    koschey.page("f-postgres")
    assert ask(koschey.url + file.path).status == 200
    kill(koschey, "postgres")
    seen = set()

    def accepts() -> bool:
        with contextlib.suppress(OSError):
            seen.add(ask(koschey.url + file.path, timeout=10).status)
        url = urlsplit(koschey.settings["KOSCHEY_DATABASE_URL"])
        try:
            socket.create_connection((url.hostname or "", url.port or 0), 1).close()
        except OSError:
            return False
        return True

    wait_until(accepts, timeout=60)
    accepted_at = time.monotonic()
    wait_until(lambda: healthy(koschey), timeout=30)
    assert time.monotonic() - accepted_at < 5
    assert seen <= {200, 503}, koschey.errors_of("web")
    assert ask(koschey.url + file.path).body == file.content
    assert koschey.filenames("f-postgres") == [file.filename]
    later = fresh(upstream, "f-after")
    koschey.page("f-after")
    wait_until(lambda: koschey.is_stored(later.filename), timeout=60)


def test_block_is_seen_after_the_database_connection_was_lost(koschey: Koschey, upstream: Upstream) -> None:
    """A page that was cached before PostgreSQL went away is not trusted after it."""
    file = upstream.add("f-cache", "1.0")
    assert koschey.filenames("f-cache") == [file.filename]
    kill(koschey, "postgres")

    def blocked() -> bool:
        return koschey.run("block", "f-cache==1.0", "--reason", "after the crash", check=False).returncode == 0

    wait_until(blocked, timeout=60)
    wait_until(lambda: healthy(koschey), timeout=30)
    time.sleep(1)
    assert koschey.filenames("f-cache") == []


def test_s3_away(koschey: Koschey, upstream: Upstream) -> None:
    """Without S3 pages go on, files get 503, and nothing is committed that is not kept."""
    stored, cold = upstream.add("f-stored", "1.0"), upstream.add("f-cold", "1.0")
    koschey.page("f-stored")
    koschey.page("f-cold")
    assert ask(koschey.url + stored.path).status == 200
    upstream.fault(cold.filename, delay=0.2)
    kill(koschey, "s3")
    with concurrent.futures.ThreadPoolExecutor(2) as clients:
        answers = list(clients.map(lambda file: ask(koschey.url + file.path), [stored, cold]))
    assert koschey.filenames("f-stored") == [stored.filename]
    for answer, file in zip(answers, [stored, cold], strict=True):
        assert answer.status == 503 or answer.body == file.content
    for file in (stored, cold):
        wait_until(lambda file=file: ask(koschey.url + file.path).body == file.content, timeout=60)  # type: ignore[misc]


def test_everything_killed_at_once(koschey: Koschey, upstream: Upstream) -> None:
    """After `kill -9` of everything the next `koschey up` goes on where it was; nothing that was stored is lost."""
    file, waiting = upstream.add("f-all", "1.0"), fresh(upstream, "f-all-held")
    koschey.page("f-all")
    koschey.page("f-all-held")
    ask(koschey.url + file.path)
    wait_until(lambda: koschey.is_stored(waiting.filename), timeout=60)
    serial = koschey.fetch_value("SELECT serial FROM journal_head")
    supervisor = psutil.Process(koschey.process.pid)
    everything = [*supervisor.children(recursive=True), supervisor]
    for process in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    koschey.process.wait(30)
    psutil.wait_procs(everything, timeout=30)
    koschey.stop()
    koschey.start()
    upstream.down()
    try:
        assert koschey.filenames("f-all") == [file.filename]
        assert ask(koschey.url + file.path).body == file.content
        assert koschey.state_of(waiting.filename) == "held"
        assert koschey.fetch_value("SELECT serial FROM journal_head") >= serial
    finally:
        upstream.up()
    given = json.dumps(review(koschey, "approve", ("f-all-held", "2.0"), reason="after the crash"))
    temporal(koschey, "workflow", "signal", "-w", "quarantine/f-all-held/2.0", "--name", "approve", "--input", given)
    # The workflow's last task may have been with the worker that was killed; Temporal gives it ten seconds.
    wait_until(lambda: koschey.filenames("f-all-held") == [waiting.filename], timeout=60)


def test_large_file_over_a_slow_line(koschey: Koschey, upstream: Upstream) -> None:
    """A 1 GiB file that takes more than a minute to download arrives whole, in less than 200 MiB of web memory."""
    file = upstream.add_large("f-large", "1.0", size=2**30)
    koschey.page("f-large")
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            with contextlib.suppress(psutil.Error, AssertionError):
                peak[0] = max(peak[0], *(process.memory_info().rss for process in tree(koschey, "web")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        digest, seconds = read_slowly(koschey.url + file.path, bytes_per_second=16 * 2**20)
    finally:
        done.set()
        watcher.join()
    assert digest == file.sha256
    assert seconds > 61, "too fast to tell"
    assert peak[0] < 200 * 2**20
    assert koschey.is_stored(file.filename)


def test_object_that_leaves_the_folder_is_fetched_again(koschey: Koschey, upstream: Upstream) -> None:
    """F6: a file that somebody deletes from the folder of `koschey up` is lost and not away, and heals in seconds."""
    file = upstream.add("f-removed", "1.0", size=300_000, upload_time=datetime.now(UTC) - timedelta(days=400))
    koschey.page("f-removed")
    assert ask(koschey.url + file.path).body == file.content
    blob = koschey.data / f"s3/koschey/blobs/sha256/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}"
    blob.unlink()
    shutil.rmtree(koschey.data / "cache")  # its copy, too
    wait_until(lambda: ask(koschey.url + file.path).status == 200, timeout=20)
    assert ask(koschey.url + file.path).body == file.content
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == file.sha256


def read_slowly(url: str, *, bytes_per_second: int) -> tuple[str, float]:
    """Download at a bounded rate; returns the sha256 and the seconds that it took."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request("GET", parts.path)
    response = connection.getresponse()
    hasher, received, begun = hashlib.sha256(), 0, time.monotonic()
    while chunk := response.read(2**20):
        hasher.update(chunk)
        received += len(chunk)
        ahead = received / bytes_per_second - (time.monotonic() - begun)
        if ahead > 0:
            time.sleep(ahead)
    connection.close()
    return hasher.hexdigest(), time.monotonic() - begun


def test_stopping_leaves_no_process(folder: Path, upstream: Upstream) -> None:
    """SIGTERM ends everything that was started."""
    running = Koschey(folder / "stopping", upstream.url).start()
    everything = psutil.Process(running.process.pid).children(recursive=True)
    os.kill(running.process.pid, signal.SIGTERM)
    assert running.process.wait(60) == 0
    gone, alive = psutil.wait_procs(everything, timeout=5)
    assert len(gone) >= 5
    assert alive == []
    running.stop()
