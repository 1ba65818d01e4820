"""Uploads over HTTP to a real index: what is taken in, what is refused, and that a refusal leaves nothing."""

import asyncio
import concurrent.futures
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from koschey.auth.tokens import digest_secret, new_token, parse_token
from koschey.errors import Busy, Refused
from koschey.model import Sha256
from koschey.storage.s3 import manifest_key
from koschey.web import multipart
from koschey.web.form_limits import FormBudget, FormLimits
from koschey.web.multipart import FormReader, Pace, RequestBody
from koschey.web.spool import Spool
from tests.support.archives import core_metadata, sdist, wheel
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.uploads import BOUNDARY, MULTIPART, encoded, form, is_clean, is_known, post, token_of, upload
from tests.support.upstream.server import Upstream


def other_bytes(name: str, version: str, note: str = "other") -> tuple[str, bytes]:
    """The wheel of that name and version with another content."""
    return wheel(name, version, modules={f"{name}.py": f"# {note}\n"})


def test_wheel_is_served_as_it_was_uploaded(koschey: Koschey) -> None:
    """A wheel is on the page with all its facts, its bytes and METADATA are served, and the journal names who."""
    filename, content = wheel("hosted-wheel", "1.0", requires_python=">=3.8")
    answer = upload(koschey, (filename, content))
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["cache-control"] == "no-store"
    page = wait_until(lambda: koschey.page("hosted-wheel"))
    metadata = core_metadata("hosted-wheel", "1.0", (), ">=3.8")
    blake2 = hashlib.blake2b(content, digest_size=32).hexdigest()
    assert page["files"][0] | {"upload-time": None} == {
        "filename": filename,
        "url": f"/packages/{blake2[:2]}/{blake2[2:4]}/{blake2[4:]}/{filename}",
        "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
        "size": len(content),
        "upload-time": None,
        "yanked": False,
        "requires-python": ">=3.8",
        "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
    }
    path = koschey.url + page["files"][0]["url"]
    assert ask(path).body == content
    assert ask(path + ".metadata").body == metadata
    query = "SELECT actor || ' ' || door || ' ' || action FROM journal WHERE filename = $1"
    assert koschey.fetch_value(query, filename) == "uploader upload add file"
    manifest = koschey.data / "s3" / "koschey" / manifest_key(Sha256(hashlib.sha256(content).hexdigest()))
    assert json.loads(manifest.read_bytes())["origin"] == "hosted"


def test_sdist_is_served_and_the_upstream_is_never_asked(koschey: Koschey, upstream: Upstream) -> None:
    """A hosted name belongs to us: the upstream's project of that name is not seen, and not asked for."""
    upstream.add("hosted-sdist", "99.0")
    filename, content = sdist("hosted-sdist", "1.0")
    assert upload(koschey, (filename, content)).status == 200
    assert koschey.filenames("hosted-sdist") == [filename]
    assert ask(koschey.url + koschey.path_of(filename)).body == content
    assert upstream.count("/simple/hosted-sdist/") == 0


def test_same_bytes_again_change_nothing(koschey: Koschey) -> None:
    """Repeating an upload is 200, with the same serial."""
    file = wheel("same-again", "1.0")
    assert upload(koschey, file).status == 200
    serial = koschey.fetch_value("SELECT serial FROM project WHERE name = 'same-again'")
    assert upload(koschey, file).status == 200
    assert koschey.fetch_value("SELECT serial FROM project WHERE name = 'same-again'") == serial
    assert koschey.fetch_value("SELECT count(*) FROM journal WHERE project = 'same-again'") == 1


def test_other_bytes_under_a_used_name_are_refused(koschey: Koschey) -> None:
    """A filename stands for its first bytes; the message begins as clients expect, and the new bytes are nowhere."""
    first, second = wheel("used-name", "1.0"), other_bytes("used-name", "1.0")
    assert upload(koschey, first).status == 200
    answer = upload(koschey, second)
    digest = hashlib.sha256(first[1]).hexdigest()
    assert answer.status == 400
    assert answer.body.decode() == f"File already exists ('{first[0]}', with sha256 hash '{digest}')."
    assert is_clean(koschey, *second)


def test_one_of_two_uploads_at_once_wins(koschey: Koschey) -> None:
    """Of many uploads at once of one name with different bytes exactly one is taken, and the others leave nothing."""
    for round_ in range(3):
        files = [other_bytes("raced", f"1.{round_}", str(number)) for number in range(6)]
        with concurrent.futures.ThreadPoolExecutor(len(files)) as clients:
            answers = list(clients.map(lambda file: upload(koschey, file), files))
        assert sorted(answer.status for answer in answers) == [200] + [400] * (len(files) - 1)
        assert [is_clean(koschey, *file) for file in files] == [answer.status == 400 for answer in answers]


def test_same_upload_twice_at_once_is_taken_once(koschey: Koschey) -> None:
    """Of identical uploads at once all are 200, and one is in the journal."""
    file = wheel("doubled", "1.0")
    with concurrent.futures.ThreadPoolExecutor(6) as clients:
        assert {answer.status for answer in clients.map(lambda _: upload(koschey, file), range(6))} == {200}
    assert koschey.fetch_value("SELECT count(*) FROM journal WHERE project = 'doubled'") == 1


def test_mirrored_name_cannot_be_taken(koschey: Koschey, upstream: Upstream) -> None:
    """A name that came from the upstream stays the upstream's."""
    upstream.add("public-name", "1.0")
    koschey.page("public-name")
    file = wheel("public-name", "2.0")
    answer = upload(koschey, file)
    assert answer.status == 400
    assert answer.body.startswith(b"the name public-name is mirrored from the upstream")
    assert is_clean(koschey, *file)


def test_blocked_release_is_refused(koschey: Koschey) -> None:
    """A block of a project, or of a version to come, holds for uploads too."""
    assert upload(koschey, wheel("to-be-blocked", "1.0")).status == 200
    koschey.run("block", "to-be-blocked==2.0", "--reason", "recalled")
    file = wheel("to-be-blocked", "2.0")
    answer = upload(koschey, file)
    assert answer.status == 403
    assert b"recalled" in answer.body
    assert is_clean(koschey, *file)
    assert upload(koschey, wheel("to-be-blocked", "3.0")).status == 200


def test_name_of_a_removed_file_stays_used(koschey: Koschey) -> None:
    """Neither the old nor new bytes come back under the name of a removed file."""
    file = wheel("was-removed", "1.0")
    assert upload(koschey, file).status == 200
    koschey.fetch_value(
        "UPDATE standing SET state = 'removed' WHERE file_id = (SELECT id FROM file WHERE filename = $1)", file[0]
    )
    for again in (file, other_bytes("was-removed", "1.0")):
        answer = upload(koschey, again)
        assert answer.status == 400
        assert answer.body.startswith(b"This filename was previously used by a file that has since been deleted.")


@pytest.mark.parametrize(
    "credentials", [None, "Basic !", "Basic " + b64encode(b"__token__:kos_no").decode(), "Bearer x"]
)
def test_credentials_come_before_the_body(koschey: Koschey, credentials: str | None) -> None:
    """Without a right token the answer is 403 before a byte of the body is sent."""
    header = f"Authorization: {credentials}\r\n" if credentials else ""
    status, text = raw(koschey, f"{header}Content-Type: {MULTIPART}\r\nContent-Length: 2000000000\r\n")
    assert status == 403
    assert "Invalid or non-existent authentication information." in text


def test_refusal_reaches_a_client_that_sends_all_first(koschey: Koschey) -> None:
    """A client that reads the answer only after its last byte still gets it, and no reset connection."""
    answer = post(koschey, encoded({}, "x", bytes(30_000_000)), token="bad")
    assert answer.status == 403


def test_uploader_is_bound_to_the_project_of_the_grant(koschey: Koschey) -> None:
    """A token may upload what its account's grants name, and nothing else."""
    token = grant_upload(koschey, "builder", "granted")
    assert upload(koschey, wheel("granted", "1.0"), token=token).status == 200
    file = wheel("not-granted", "1.0")
    answer = upload(koschey, file, token=token)
    assert answer.status == 403
    assert answer.body == b"builder may not upload not-granted; an admin can grant it"
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "not-granted")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256_digest": "0" * 64}, b"does not match"),
        ({"md5_digest": "0" * 32}, b"does not match"),
        ({"blake2_256_digest": "0" * 64}, b"does not match"),
        ({"sha256_digest": None}, b"at least one digest"),
        ({"version": "2.0"}, b"version 1.0"),
        ({"name": "other"}, b"of the project"),
        ({"name": "a b"}, b"is not a project name"),
        ({":action": None}, b":action"),
    ],
)
def test_wrong_form_leaves_nothing(koschey: Koschey, changes: dict[str, str | None], words: bytes) -> None:
    """A form that does not fit its file is 400, and neither row nor object is left."""
    file = wheel("wrong-form", "1.0")
    answer = upload(koschey, file, changes)
    assert (answer.status, words in answer.body) == (400, True), answer
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "wrong-form")


def test_action_in_the_query_counts_too(koschey: Koschey) -> None:
    """As on the public index, `:action` may stand in the URL; an action that is gone is 410."""
    file = wheel("query-action", "1.0")
    body = encoded(form(*file, {":action": None}), *file)
    assert post(koschey, body, path="/legacy/?:action=doc_upload").status == 410
    assert post(koschey, body, path="/legacy/?:action=file_upload").status == 200


@pytest.mark.parametrize("content", [b"", b"no zip", wheel("another", "1.0")[1], wheel("bad-archive", "2.0")[1]])
def test_wrong_archive_leaves_nothing(koschey: Koschey, content: bytes) -> None:
    """A file that is no wheel, or the wheel of something else, is 400, and neither row nor object is left."""
    file = ("bad_archive-1.0-py3-none-any.whl", content)
    assert upload(koschey, file).status == 400
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "bad-archive")


FILE = wheel("never-taken", "1.0")
GOOD = form(*FILE)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (encoded(GOOD, *FILE), "text/plain", 400, b"multipart/form-data"),
        (encoded(GOOD, *FILE), "multipart/form-data", 400, b"boundary"),
        (encoded(GOOD, *FILE), "multipart/form-data; boundary=other", 400, b"cut off"),
        (b"", MULTIPART, 400, b"cut off"),
        (encoded(GOOD, *FILE)[:-40], MULTIPART, 400, b"cut off"),
        (encoded(GOOD, *FILE).replace(b"Content-Disposition", b"X"), MULTIPART, 400, b"not a multipart form"),
        (encoded(GOOD, None, FILE[1]), MULTIPART, 400, b"exactly one part 'content', and it must be a file"),
        (encoded(GOOD, *FILE, name="name"), MULTIPART, 400, b"Should not be a file"),
        (
            encoded(GOOD | {"description": "x" * (12 * 2**20 + 1)}, *FILE),
            MULTIPART,
            413,
            b"12 MiB together, at the field 'description'. Shorten it, or ask an admin to raise KOSCHEY_MAX_FORM_MIB.",
        ),
        (
            encoded(GOOD | {f"f{number}": "" for number in range(100_000)}, *FILE),
            MULTIPART,
            413,
            (
                b"more than 20,000 fields; 'f19994' is one too many. "
                b"Leave out fields, because Koschey uses the metadata in the file"
            ),
        ),
        (b"x" * 3_000_000, MULTIPART, 413, b"headers that are too long, or no end"),
        (b"--b0undary\r\nX: " + b"x" * 3_000_000, MULTIPART, 413, b"headers that are too long, or no end"),
    ],
)
def test_malformed_body_is_refused(koschey: Koschey, body: bytes, content_type: str, status: int, words: bytes) -> None:
    """What is no form, or a form without measure, is refused in words."""
    answer = post(koschey, body, Content_Type=content_type)
    assert (answer.status, words in answer.body) == (status, True), answer
    assert not is_known(koschey, "never-taken")


def test_file_beyond_the_limit_is_refused_by_its_announcement(koschey: Koschey) -> None:
    """A body that announces more than the index takes is 413 at once."""
    credentials = b64encode(f"__token__:{token_of(koschey)}".encode()).decode()
    size = 11 * 2**30
    status, text = raw(koschey, f"Authorization: Basic {credentials}\r\nContent-Length: {size}\r\n")
    assert status == 413
    assert "10240 MiB" in text


async def test_file_beyond_the_limit_is_refused_while_it_arrives() -> None:
    """A body that announces nothing is refused at the byte that is too much."""
    spool = Spool(None, 1_000_000)
    with pytest.raises(Refused, match="File too large") as refusal:
        await FormReader(spool).read(chunks(encoded({}, "x", bytes(2_000_000))), MULTIPART)
    assert refusal.value.status == 413
    assert spool.size < 1_100_000
    spool.close()


async def test_stalled_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends nothing for a while is told so, with 408."""
    monkeypatch.setattr(multipart, "STALL", 0.05)
    with pytest.raises(Refused) as refusal:
        async for _ in RequestBody(asyncio.Event().wait).chunks():
            pass
    assert refusal.value.status == 408


async def test_body_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte now and then never stalls, and is told with 408 that it is too slow."""
    monkeypatch.setattr(multipart, "WINDOW", 0.2)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(Refused, match="bytes of the upload arrived in 0 seconds; at least 245760 are") as refusal:
        async for _ in RequestBody(receive).chunks():
            pass
    assert refusal.value.status == 408


async def test_time_of_our_own_is_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a chunk is written, or others have their turn, the client is not waited for."""
    monkeypatch.setattr(multipart, "WINDOW", 0.05)
    left = 20

    async def receive() -> dict[str, object]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x", "more_body": left > 0}

    async for _ in RequestBody(receive).chunks():
        await asyncio.sleep(0.01)
    assert left == 0


def test_pace_is_judged_window_by_window() -> None:
    """Every minute of waiting must bring 240 KiB; what came before does not count for it."""
    pace = Pace()
    for _ in range(10):
        pace.note(59, 10)
        pace.note(1, 250_000)
    pace.note(30, 10**9)
    pace.note(30, 0)
    pace.note(59, 100_000)
    with pytest.raises(Refused, match="only 100001 bytes of the upload arrived in 60 seconds") as refusal:
        pace.note(1, 1)
    assert refusal.value.status == 408


async def test_form_of_ten_thousand_fields_is_read() -> None:
    """A form with a field for each of thousands of extras is read whole, and in its order."""
    spool = Spool(None, 10)
    parts = b"".join(
        b'--b0undary\r\nContent-Disposition: form-data; name="requires_dist"\r\n\r\nacme-%d\r\n' % number
        for number in range(10_000)
    )
    reader = FormReader(spool)
    await reader.read(chunks(parts + encoded({}, "x", b"x")), MULTIPART)
    assert reader.fields == [("requires_dist", f"acme-{number}") for number in range(10_000)]
    spool.close()


async def test_b8_forms_share_one_budget() -> None:
    """B8: Forms too large together wait for no memory: the last is told to come back, and what it had is free."""
    budget, spool = FormBudget(3_000_000), Spool(None, 10)
    body = encoded({"description": "x" * 1_000_000}, "x", b"x")
    first, second, third, fourth = (FormReader(spool, FormLimits(), budget) for _ in range(4))
    await first.read(chunks(body), MULTIPART)
    await second.read(chunks(body), MULTIPART)
    with pytest.raises(Busy, match="try again soon"):
        await third.read(chunks(body), MULTIPART)
    third.close()
    first.close()
    await fourth.read(chunks(body), MULTIPART)
    second.close()
    fourth.close()
    budget.reserve(3_000_000)
    spool.close()


def test_wheel_of_many_extras_is_taken(koschey: Koschey) -> None:
    """What boto3-stubs and apache-airflow are made of: thousands of extras, each in the form and in METADATA."""
    extras = [f"svc{number}" for number in range(4_000)]
    requires = [f"acme-{extra}; extra == '{extra}'" for extra in extras]
    filename, content = wheel("many-extras", "1.0", requires=requires, extras=extras)
    fields = [*form(filename, content).items()]
    fields += [("requires_dist", text) for text in requires] + [("provides_extra", extra) for extra in extras]
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    answer = post(koschey, "".join(parts).encode() + encoded({}, filename, content))
    assert (answer.status, answer.body) == (200, b"OK")
    assert koschey.filenames("many-extras") == [filename]


async def test_body_is_taken_no_faster_than_it_is_read() -> None:
    """The next chunk is asked of the server only when the last was dealt with, so that memory stays small."""
    asked = 0

    async def receive() -> dict[str, object]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x", "more_body": asked < 5}

    read = 0
    async for _ in RequestBody(receive).chunks():
        read += 1
        assert asked == read
    assert read == 5


def test_answers_fit_each_client(koschey: Koschey) -> None:
    """Whoever takes JSON gets it under exactly that type; the others get a text; all get the header."""
    body = encoded(form(*FILE, {"sha256_digest": None}), *FILE)
    text = post(koschey, body, Accept="*/*")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["x-error-message"].endswith(text.body.decode())
    answer = post(koschey, body, Accept="text/html;q=0.5, application/json;q=0.9")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"message": text.body.decode(), "code": f"400 {text.body.decode()}", "title": "Bad Request"}


def test_upload_url_works_without_its_slash(koschey: Koschey) -> None:
    """`/legacy` takes uploads itself: clients do not follow a redirect with a body."""
    file = wheel("no-slash", "1.0")
    assert post(koschey, encoded(form(*file), *file), path="/legacy").status == 200
    for path in ("/legacy", "/legacy/"):
        assert ask(koschey.url + path).status == 405
        assert ask(koschey.url + path, method="PUT").status == 405


@pytest.fixture
def clients(tmp_path: Path) -> dict[str, str]:
    """The environment in which real clients run: nothing of the user's, and no proxy."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "UV_NO_CONFIG": "1"}


def run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a client; the width keeps its messages on one line."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        env=environment | {"COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def save(folder: Path, file: tuple[str, bytes]) -> str:
    """Write a file where clients find it."""
    folder.mkdir(exist_ok=True)
    (folder / file[0]).write_bytes(file[1])
    return str(folder / file[0])


def test_twine_uploads_and_pip_installs(koschey: Koschey, clients: dict[str, str], tmp_path: Path) -> None:
    """twine uploads a wheel and an sdist, and shows our message when it may not; pip installs at once."""
    target = ("--repository-url", koschey.ready["upload_url"], "-u", "__token__", "-p", token_of(koschey))
    twine = ("twine", "upload", "--non-interactive", "--verbose", *target)
    files = [save(tmp_path, build("by-twine", "1.0")) for build in (wheel, sdist)]
    done = run(clients, *twine, *files)
    assert done.returncode == 0, done.stdout + done.stderr
    pip = ("pip", "install", "--no-cache-dir", "--isolated", "--index-url", koschey.index_url, "by-twine")
    for option in ("--only-binary=:all:", "--no-binary=:all:"):
        done = run(clients, *pip, option, "--target", str(tmp_path / option))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / option / "by_twine.py").exists()
    done = run(clients, *twine, save(tmp_path / "other", other_bytes("by-twine", "1.0")))
    assert done.returncode == 1
    assert "File already exists" in done.stdout


def test_uv_publishes_and_installs(koschey: Koschey, clients: dict[str, str], tmp_path: Path) -> None:
    """uv publishes, skips what is there, shows our message and not raw JSON, and installs at once."""
    publish = ("uv", "publish", "--publish-url", koschey.ready["upload_url"], "--token", token_of(koschey))
    file = save(tmp_path, wheel("by-uv", "1.0"))
    done = run(clients, *publish, file)
    assert done.returncode == 0, done.stderr
    install = ("uv", "pip", "install", "--no-cache", "--index-url", koschey.index_url, "--target", str(tmp_path / "to"))
    done = run(clients, *install, "by-uv")
    assert done.returncode == 0, done.stderr
    done = run(clients, *publish, "--check-url", koschey.index_url, file)
    assert (done.returncode, "skipping" in done.stderr) == (0, True), done.stderr
    done = run(clients, *publish, save(tmp_path / "other", other_bytes("by-uv", "1.0")))
    assert done.returncode != 0
    assert "Server says: 400 File already exists ('by_uv-1.0" in done.stderr


def raw(koschey: Koschey, headers: str) -> tuple[int, str]:
    """Send the head of an upload and nothing else; return status and body of the answer that comes at once."""
    host, port = str(urlsplit(koschey.url).netloc).split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"POST /legacy/ HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode())
        began, answer = time.monotonic(), b""
        while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
            answer += connection.recv(65536)
        assert time.monotonic() - began < 2
    return int(answer.split()[1]), answer.decode().partition("\r\n\r\n")[2]


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    """A body in pieces."""
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


def grant_upload(koschey: Koschey, name: str, scope: str) -> str:
    """Make an account that may upload to one project, and return its token."""
    token = new_token()
    parts = parse_token(token)
    assert parts is not None

    async def write() -> None:
        connection = await asyncpg.connect(koschey.settings["KOSCHEY_DATABASE_URL"])
        try:
            account = await connection.fetchval("INSERT INTO account (name) VALUES ($1) RETURNING id", name)
            await connection.execute("INSERT INTO account_grant VALUES ($1, 'uploader', $2)", account, scope)
            await connection.execute(
                "INSERT INTO token (id, account_id, secret_sha256, description) VALUES ($1, $2, $3, '')",
                parts.id,
                account,
                digest_secret(parts.secret),
            )
        finally:
            await connection.close()

    with asyncio.Runner() as runner:
        runner.run(write())
    return token
