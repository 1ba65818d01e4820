import gzip
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.message import Message
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from packaging.metadata import Metadata
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from pypi_simple import ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY, PyPISimple

from tests.support import archives
from tests.support.upstream.server import Upstream

JSON = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, Message, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def page(upstream: Upstream, project: str = "") -> dict[str, Any]:
    content = fetch(upstream.url + project + "/" * bool(project), Accept=JSON)[2]
    answer: dict[str, Any] = json.loads(content)
    return answer


def test_wheel_is_real_and_deterministic() -> None:
    """A built wheel parses, agrees with its RECORD, and is the same bytes each time."""
    name, content = archives.wheel("Holy.Grail", "1.0", requires=["six>=1"], requires_python=">=3.9")
    assert archives.wheel("Holy.Grail", "1.0", requires=["six>=1"], requires_python=">=3.9")[1] == content
    assert parse_wheel_filename(name)[0] == "holy-grail"
    metadata = Metadata.from_email(archives.read_core_metadata(content) or b"")
    assert metadata.name == "Holy.Grail"
    assert [str(requirement) for requirement in metadata.requires_dist or ()] == ["six>=1"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        record = archive.read("holy_grail-1.0.dist-info/RECORD").decode().splitlines()
        assert [line.partition(",")[0] for line in record] == archive.namelist()


@pytest.mark.parametrize("sdist", [False, True])
def test_padding_makes_about_the_size(upstream: Upstream, *, sdist: bool) -> None:
    """A file asked to be large is, but for the 10 KiB that a tar file is rounded to, even compressed."""
    file = upstream.add("six", "1.0", size=300_000, sdist=sdist)
    assert abs(file.size - 300_000) <= 10 * 1024
    assert len(gzip.compress(file.content)) > 0.95 * file.size


@pytest.mark.parametrize("accept", [ACCEPT_JSON_ONLY, ACCEPT_HTML_ONLY])
def test_both_page_forms_say_the_same(upstream: Upstream, accept: str) -> None:
    """A third-party parser reads every fact of a file from either form of its page."""
    published = datetime(2024, 5, 1, 12, 30, 15, 250, tzinfo=UTC)
    file = upstream.add("Six_Pack", "1.0+local", requires_python=">=3.9", upload_time=published)
    sdist = upstream.add("six-pack", "1.0", sdist=True)
    upstream.yank("six-pack", "1.0", 'broken "here" & <there>')
    upstream.set_status("six-pack", "deprecated", "use seven")
    with PyPISimple(upstream.url, accept=accept) as client:
        assert list(client.get_index_page().projects) == ["Six_Pack"]
        found = client.get_project_page("six-pack")
        wheel, source = found.packages
        assert (found.status, found.status_reason) == ("deprecated", "use seven")
        assert (wheel.filename, wheel.url.partition("#")[0]) == (file.filename, file.url)
        assert (wheel.digests, wheel.requires_python) == ({"sha256": file.sha256}, ">=3.9")
        assert (wheel.is_yanked, wheel.has_metadata, bool(source.has_metadata)) == (False, True, False)
        assert (source.is_yanked, source.yanked_reason) == (True, 'broken "here" & <there>')
        assert client.get_package_metadata(wheel).startswith("Metadata-Version: 2.1")
        if accept == ACCEPT_JSON_ONLY:
            assert (wheel.size, wheel.upload_time) == (file.size, published)
        assert str(parse_sdist_filename(sdist.filename)[1]) == "1.0"
    assert fetch(file.url)[2] == file.content


def test_negotiation_validators_and_redirects(upstream: Upstream) -> None:
    """Pages are JSON only where asked for, answer 304 to their own ETag, and have one proper URL."""
    upstream.add("six", "1.0")
    status, headers, _ = fetch(upstream.url + "six/", Accept=f"{JSON}, text/html;q=0.1")
    assert (status, headers["Content-Type"], headers["Vary"]) == (200, JSON, "Accept")
    status, again, body = fetch(upstream.url + "six/", Accept=JSON, If_None_Match=headers["ETag"])
    assert (status, again["ETag"], body) == (304, headers["ETag"], b"")
    assert fetch(upstream.url + "six/", Accept="*/*")[1]["Content-Type"] == "text/html"
    assert fetch(upstream.url + "SIX")[0] == 200
    assert [(seen.path, seen.status) for seen in upstream.requests[-2:]] == [
        ("/simple/SIX", 301),
        ("/simple/six/", 200),
    ]
    upstream.html_only, upstream.etags = True, False
    headers = fetch(upstream.url + "six/", Accept=JSON)[1]
    assert (headers["Content-Type"], headers["ETag"]) == ("text/html", None)
    assert fetch(upstream.url + "seven/")[0] == 404


def test_every_change_takes_a_serial(upstream: Upstream) -> None:
    """The list, the page and the header carry the serial of the last change, whatever that was."""
    file = upstream.add("six", "1.0")
    upstream.add("seven", "1.0")
    changes: list[Callable[[], object]] = [
        lambda: upstream.yank("six", "1.0"),
        lambda: upstream.unyank("six", "1.0"),
        lambda: upstream.set_status("six", "archived"),
        lambda: upstream.replace(file.filename, b"other"),
        lambda: upstream.remove(file.filename),
    ]
    for change in changes:
        before = upstream.serial
        change()
        listed = page(upstream)
        assert upstream.serial == before + 1 == listed["meta"]["_last-serial"]
        assert {found["name"]: found["_last-serial"] for found in listed["projects"]}["six"] == before + 1
        assert fetch(upstream.url + "six/")[1]["X-PyPI-Last-Serial"] == str(before + 1)
    upstream.remove_project("six")
    upstream.remove_release("seven", "1.0")
    assert [found["name"] for found in page(upstream)["projects"]] == ["seven"]
    assert page(upstream, "seven")["files"] == []


def test_pages_can_lack_what_poor_indexes_lack(upstream: Upstream) -> None:
    """Serials, upload times, core metadata and good hashes disappear when switched off."""
    file = upstream.add("six", "1.0", core_metadata=False)
    upstream.serials = upstream.upload_times = False
    upstream.hashes = None
    found = page(upstream, "six")
    assert "_last-serial" not in found["meta"]
    assert "upload-time" not in found["files"][0]
    assert (found["files"][0]["hashes"], found["files"][0]["core-metadata"]) == ({}, False)
    assert fetch(file.url + ".metadata")[0] == 404
    upstream.hashes = "md5"
    assert list(page(upstream, "six")["files"][0]["hashes"]) == ["md5"]


def test_replaced_and_quarantined_files(upstream: Upstream) -> None:
    """A replaced file has other bytes, in the flat layout under its old URL; a quarantined page has none."""
    upstream.file_layout = "flat"
    old = upstream.add("six", "1.0")
    new = upstream.replace(old.filename, archives.wheel("six", "1.0", modules={"six.py": "evil = True"})[1])
    assert (new.url, new.upload_time) == (old.url, old.upload_time)
    assert new.sha256 != old.sha256
    assert fetch(old.url)[2] == new.content
    upstream.set_status("six", "quarantined", "malware")
    assert (page(upstream, "six")["files"], page(upstream, "six")["versions"]) == ([], [])


def test_head_and_ranges(upstream: Upstream) -> None:
    """Files answer HEAD and byte ranges as a real file host does."""
    file = upstream.add("six", "1.0")
    status, headers, body = fetch(file.url, "HEAD")
    assert (status, int(headers["Content-Length"]), body) == (200, file.size, b"")
    assert fetch(file.url, Range="bytes=5-9")[2] == file.content[5:10]
    status, headers, body = fetch(file.url, Range="bytes=-7")
    assert (status, body) == (206, file.content[-7:])
    assert headers["Content-Range"] == f"bytes {file.size - 7}-{file.size - 1}/{file.size}"
    assert fetch(file.url, Range=f"bytes={file.size}-")[0] == 416
    assert fetch(file.url, Range="bytes=5-9", If_Range='"another"')[2] == file.content
    assert upstream.count(file.filename) == upstream.count(file.path) == 4


async def test_large_file_streams_without_being_held(upstream: Upstream) -> None:
    """A large body arrives whole, and its digest is the one that the page gives."""
    file = upstream.add_large("big", "1.0", size=40 * 2**20 + 17)
    assert len(file.body.block) == 2**20
    received = 0
    async with aiohttp.ClientSession() as session, session.get(file.url) as response:
        async for chunk in response.content.iter_any():
            received += len(chunk)
    assert received == file.size == response.content_length
    assert page(upstream, "big")["files"][0]["hashes"] == {"sha256": file.sha256}
    assert file.body.hexdigest("sha256") != upstream.add_large("big", "2.0", size=file.size).sha256


def test_faults_replace_the_answer_as_often_as_asked(upstream: Upstream) -> None:
    """Faults apply oldest first, each as often as it may, and only where their pattern says."""
    file = upstream.add("six", "1.0")
    url = upstream.url + "six/"
    first = upstream.fault("/simple/six/", status=500, times=2)
    upstream.fault("six", body=b"not an index", content_type="text/plain", times=1)
    upstream.fault("/simple/", redirect="/simple/", times=1)
    assert [fetch(url)[0] for _ in range(2)] == [500, 500]
    status, headers, body = fetch(url)
    assert (status, headers["Content-Type"], body) == (200, "text/plain", b"not an index")
    assert headers["ETag"] is None
    assert (first.applied, fetch(file.url)[2]) == (2, file.content)
    assert b">six</a>" in fetch(url)[2]
    assert b">six-1.0" in fetch(url)[2]
    upstream.fault("six-*.whl", body=b"evil")
    assert fetch(file.url)[2] == b"evil"
    assert fetch(file.url + ".metadata")[2] == file.metadata
    upstream.clear_faults()
    assert fetch(file.url)[2] == file.content


def test_bodies_break_where_told(upstream: Upstream) -> None:
    """A truncated body ends early, a reset one with an error, though the whole was promised."""
    file = upstream.add("six", "1.0", size=200_000)
    upstream.fault(file.filename, truncate_at=1000, times=1)
    upstream.fault(file.filename, reset_after=100_000, times=1)
    with pytest.raises(IncompleteRead) as cut:
        fetch(file.url)
    assert cut.value.partial == file.content[:1000]
    with urllib.request.urlopen(file.url, timeout=10) as response:
        assert int(response.headers["Content-Length"]) == file.size
        assert response.read(1000) == file.content[:1000]
        with pytest.raises(ConnectionResetError):
            response.read()
    assert fetch(file.url)[2] == file.content


def test_slow_bodies_arrive_whole(upstream: Upstream) -> None:
    """A delayed and throttled body is still the right one."""
    file = upstream.add("six", "1.0", size=10_000)
    upstream.fault(file.filename, delay=0.05, bytes_per_second=100_000)
    assert fetch(file.url)[2] == file.content


def test_hold_stops_every_reader_in_the_middle(upstream: Upstream) -> None:
    """Held requests have sent exactly the bytes asked for, are counted, and finish once released."""
    file = upstream.add("six", "1.0", size=50_000)
    with ThreadPoolExecutor() as pool, upstream.hold("six-*.whl", after=1000) as hold:
        readers = [pool.submit(fetch, file.url) for _ in range(3)]
        hold.wait(3)
        assert (hold.waiting, any(reader.done() for reader in readers)) == (3, False)
        with urllib.request.urlopen(file.url, timeout=10) as response:
            assert response.read(1000) == file.content[:1000]
            hold.wait(4)
        response.close()
        hold.release()
        assert {reader.result()[2] for reader in readers} == {file.content}
    assert hold.waiting == 0


def test_held_client_that_dies_is_let_go(upstream: Upstream) -> None:
    """When a process dies in the middle of a held fetch, the upstream notices."""
    file = upstream.add("six", "1.0")
    script = f"from urllib.request import urlopen; urlopen({file.url!r}).read()"
    hold = upstream.hold(file.filename, after=10)
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        hold.wait(1)
        process.kill()
        hold.wait(0)
    assert upstream.count(file.filename) == 1
    upstream.clear_faults()
    assert fetch(file.url)[2] == file.content


async def test_down_refuses_and_up_listens_on_the_same_port(upstream: Upstream) -> None:
    """While down every connection, kept alive or new, fails; afterwards the same address answers again."""
    upstream.add("six", "1.0")
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(upstream.url) as response:
                assert response.status == 200
            upstream.down()
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(upstream.url)
            upstream.up()
        async with session.get(upstream.url) as response:
            assert response.status == 200
    upstream.forget_requests()
    assert upstream.requests == []


@pytest.mark.parametrize("sdist", [False, True])
def test_pip_installs_what_was_added(upstream: Upstream, tmp_path: Path, *, sdist: bool) -> None:
    """The real pip resolves a dependency between two added projects and installs both."""
    upstream.add("seven", "2.0", requires=["six>=1"], modules={"seven.py": "import six"}, sdist=sdist)
    upstream.add("six", "1.0", sdist=sdist)
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--no-cache-dir", "--quiet"]
    command += ["--disable-pip-version-check", "--index-url", upstream.url]
    subprocess.run([*command, "--target", str(tmp_path), "seven"], check=True, timeout=60)
    assert {"seven.py", "six.py"} <= {path.name for path in tmp_path.iterdir()}
    assert upstream.requests[0].headers["user-agent"].startswith("pip/")
