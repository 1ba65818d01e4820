"""What the bucket loses or alters: noticed, told, served by nobody, and repaired."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest

from koschey.db.damage import mark_damaged
from koschey.db.leases import release_lease
from koschey.db.pool import Pool
from koschey.errors import ObjectAltered
from koschey.inspection.sandbox.inspector import Inspector
from koschey.mirror import leases
from koschey.model import Damage, File, Sha256, State
from koschey.quarantine.file_facts import FactReader
from koschey.storage.blobs import HELD_BACK
from koschey.storage.s3 import blob_key, manifest_key
from tests.support.app_in_process import AppInProcess
from tests.support.archives import noise, sdist, wheel
from tests.support.bucket import BucketProxy
from tests.support.koschey_up import Answer
from tests.support.postgres import Postgres
from tests.support.upstream.server import Upstream, UpstreamFile


@pytest.fixture(scope="module")
def proxy(s3: Mapping[str, str]) -> Iterator[BucketProxy]:
    """A door in front of the bucket."""
    with BucketProxy(s3["s3_endpoint"], s3["s3_bucket"]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def index(
    postgres: Postgres, s3: Mapping[str, str], shared_upstream: Upstream, proxy: BucketProxy
) -> Iterator[AppInProcess]:
    """An index that reaches its bucket through the door, and keeps no copies."""
    with AppInProcess(postgres, {**s3, "s3_endpoint": proxy.url}, shared_upstream, cache_mib=0) as running:
        yield running


@pytest.fixture(autouse=True)
def well_behaved(proxy: BucketProxy) -> Iterator[None]:
    """The door behaves well before and after each test."""
    yield
    proxy.clear_faults()


def mirrored(index: AppInProcess, upstream: Upstream, project: str, *, size: int = 300_000) -> UpstreamFile:
    """A released file that was downloaded once."""
    content = noise(project, size)
    file = upstream.add(project, "1.0", content=content, filename=f"{project}-1.0.tar.gz")
    index.page(project)
    assert index.ask(file.path).body == content
    upstream.forget_requests()
    return file


def hosted(index: AppInProcess, file: tuple[str, bytes]) -> Answer:
    """Upload a file."""
    filename, content = file
    project, version = filename.removesuffix(".tar.gz").split("-")[:2]
    is_wheel = filename.endswith(".whl")
    fields = {":action": "file_upload", "name": project, "version": version, "pyversion": "py3" if is_wheel else ""}
    fields |= {"filetype": "bdist_wheel" if is_wheel else "sdist", "sha256_digest": hashlib.sha256(content).hexdigest()}
    parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--b\r\nContent-Disposition: form-data; name="content"; filename="{filename}"\r\n\r\n'
    body = "".join([*parts, head]).encode() + content + b"\r\n--b--\r\n"
    who = index.account("uploader")
    answer = index.ask("/legacy/", "POST", who, body, Content_Type="multipart/form-data; boundary=b")
    index.hear_all()
    return answer


def change(index: AppInProcess, key: str, content: bytes | None) -> None:
    """Put other bytes under a key of the bucket behind the index's back, or lose them."""
    client, where = index.resources.bucket.client, {"Bucket": index.settings.s3_bucket, "Key": key}
    index.run(client.put_object(**where, Body=content) if content is not None else client.delete_object(**where))


def spoil(index: AppInProcess, content: bytes, damage: Damage) -> None:
    """Lose a blob, or change one bit in the middle of it."""
    middle = len(content) // 2
    rotten = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    key = blob_key(Sha256(hashlib.sha256(content).hexdigest()))
    change(index, key, rotten if damage is Damage.ALTERED else None)


def known(index: AppInProcess, filename: str) -> File:
    """A file's row."""
    return index.file(filename).file


def actions(index: AppInProcess, filename: str) -> list[str]:
    """What the journal says of damage to a file."""
    rows = index.fetch("SELECT action FROM journal WHERE filename = $1 ORDER BY serial", filename)
    return [row["action"] for row in rows if row["action"] in ("damaged", "repaired")]


def alerts(index: AppInProcess, filename: str) -> list[tuple[str, str]]:
    """The alerts about damage to a file."""
    rows = index.fetch("SELECT detail FROM alert WHERE kind = 'damaged' AND filename = $1", filename)
    return [(row["detail"]["part"], row["detail"]["damage"]) for row in rows]


# Mirrored files


def test_rotten_file_is_never_sent_whole_and_heals(index: AppInProcess, upstream: Upstream) -> None:
    """F6: One rotten bit breaks the answer off before its end, is told once, and the next one gets the right bytes."""
    file = mirrored(index, upstream, "rotten-large")
    spoil(index, file.content, Damage.ALTERED)
    broken = index.ask(file.path)
    assert broken.status == 0
    assert len(broken.body) <= file.size - HELD_BACK
    row = known(index, file.filename)
    assert (row.stored_at, row.damage) == (None, Damage.ALTERED)
    assert alerts(index, file.filename) == [("file", "altered")]
    assert [row["kind"] for row in index.fetch("SELECT kind FROM outbox WHERE payload->>'file' = $1", str(row.id))]
    assert index.ask(file.path).body == file.content
    assert upstream.count(file.path) == 1
    row = known(index, file.filename)
    assert row.stored_at is not None
    assert row.damage is None
    assert actions(index, file.filename) == ["damaged", "repaired"]
    assert index.ask(file.path).body == file.content
    assert upstream.count(file.path) == 1


@pytest.mark.parametrize(
    ("damage", "size"),
    [
        *((Damage.ALTERED, size) for size in (1, HELD_BACK)),
        *((Damage.MISSING, size) for size in (1, HELD_BACK, 300_000)),
    ],
)
def test_file_heals_within_the_request_that_finds_the_damage(
    index: AppInProcess, upstream: Upstream, damage: Damage, size: int
) -> None:
    """Where no byte was sent when the damage is found, the client notices nothing."""
    file = mirrored(index, upstream, f"heals-{damage}-{size}", size=size)
    spoil(index, file.content, damage)
    answer = index.ask(file.path)
    assert (answer.status, answer.body) == (200, file.content)
    assert upstream.count(file.path) == 1
    assert actions(index, file.filename) == ["damaged", "repaired"]


def test_lost_file_is_fetched_once_for_all(index: AppInProcess, upstream: Upstream) -> None:
    """Twenty clients that ask for a file that the bucket lost cost one request upstream and one alert."""
    file = mirrored(index, upstream, "lost-popular")
    spoil(index, file.content, Damage.MISSING)

    async def ask_all() -> list[list[Answer]]:
        return await asyncio.gather(*(index._follow("GET", file.path, {}, b"") for _ in range(20)))

    answers = [answer for (answer,) in index.run(ask_all())]
    assert {(answer.status, answer.body) for answer in answers} == {(200, file.content)}
    assert upstream.count(file.path) == 1
    assert alerts(index, file.filename) == [("file", "missing")]


def test_a_fetch_that_has_ended_is_not_joined(
    index: AppInProcess, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that is lost just after its fetch is downloaded again, also while the lease is being returned."""

    async def drop_late(pool: Pool, key: str, holder: str) -> None:
        await asyncio.sleep(0.3)
        await release_lease(pool, key, holder)

    monkeypatch.setattr(leases, "release_lease", drop_late)
    file = mirrored(index, upstream, "lost-at-once")
    spoil(index, file.content, Damage.MISSING)
    answer = index.ask(file.path, Range="bytes=0-9")
    assert (answer.status, answer.body) == (206, file.content[:10])


@pytest.mark.parametrize("span", ["bytes=0-9", "bytes=-10", "bytes=100-"])
def test_range_of_a_lost_file_heals_it(index: AppInProcess, upstream: Upstream, span: str) -> None:
    """A range finds a lost object as the whole file does."""
    file = mirrored(index, upstream, f"lost-{span.replace('=', '').strip('-')}")
    spoil(index, file.content, Damage.MISSING)
    start, stop = {"bytes=0-9": (0, 10), "bytes=-10": (-10, None), "bytes=100-": (100, None)}[span]
    answer = index.ask(file.path, Range=span)
    assert (answer.status, answer.body) == (206, file.content[start:stop])
    # The first bytes are sent before the fetch has ended.
    assert index.ask(file.path).body == file.content
    assert actions(index, file.filename) == ["damaged", "repaired"]
    assert upstream.count(file.path) == 1


@pytest.mark.parametrize("size", [100, 400_000])
def test_object_of_another_size_is_damage(index: AppInProcess, upstream: Upstream, size: int) -> None:
    """An object that was cut or grew is noticed before a byte of it is sent, in a range of it too."""
    file = mirrored(index, upstream, f"resized-{size}")
    change(index, blob_key(Sha256(file.sha256)), b"x" * size)
    answer = index.ask(file.path, Range="bytes=0-9")
    assert (answer.status, answer.body) == (206, file.content[:10])
    assert alerts(index, file.filename) == [("file", "altered")]


def test_lost_file_that_its_upstream_lacks_exists_all_the_same(index: AppInProcess, upstream: Upstream) -> None:
    """Until a lost file is healed it is 503 with the reason, never 404, and it heals once the upstream has it."""
    file = mirrored(index, upstream, "lost-twice")
    spoil(index, file.content, Damage.MISSING)
    upstream.fault(file.path, status=404)
    for _ in range(2):
        answer = index.ask(file.path)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "lost" in answer.json["detail"]
        assert file.filename in answer.json["detail"]
    assert alerts(index, file.filename) == [("file", "missing")]
    upstream.clear_faults()
    assert index.ask(file.path).body == file.content


def test_held_file_whose_bytes_are_lost_stays_held(index: AppInProcess, upstream: Upstream) -> None:
    """Damage moves no state: what was held is held, and is fetched again by its quarantine."""
    file = upstream.add("lost-held", "1.0", upload_time=index.now - timedelta(hours=1))
    index.page("lost-held")
    index.store(file.filename)
    spoil(index, file.content, Damage.MISSING)
    item = index.file(file.filename)
    assert index.run(mark(index, item.file))
    assert index.file(file.filename).standing.state is State.HELD
    assert [held.stored_at for held in index.settle("lost-held", "1.0").held] == [None]
    index.store(file.filename)
    assert known(index, file.filename).damage is None


async def mark(index: AppInProcess, file: File) -> bool:
    """Mark a file as damaged, as a reader of it does."""
    async with index.resources.pool.acquire() as connection:
        return await mark_damaged(connection, file, Damage.ALTERED)


def test_late_report_spoils_nothing(index: AppInProcess, upstream: Upstream) -> None:
    """A reader that reports bytes which were replaced meanwhile marks nothing."""
    file = mirrored(index, upstream, "reported-late")
    old = known(index, file.filename)
    assert index.run(mark(index, old))
    index.pass_time(timedelta(seconds=1))
    assert index.ask(file.path).body == file.content
    assert not index.run(mark(index, old))
    assert known(index, file.filename).damage is None


def test_checks_notice_damage(index: AppInProcess, upstream: Upstream) -> None:
    """A check that reads a rotten file is told, and marks it as every reader does."""
    file = mirrored(index, upstream, "rotten-checked")
    spoil(index, file.content, Damage.ALTERED)
    resources = index.resources
    reader = FactReader(resources.pool, resources.bucket, resources.files, resources.provenance, Inspector(), None)

    async def read() -> None:
        async with reader.open(known_before):
            pass

    known_before = known(index, file.filename)
    with pytest.raises(ObjectAltered):
        index.run(read())
    assert known(index, file.filename).damage is Damage.ALTERED
    assert alerts(index, file.filename) == [("file", "altered")]


def test_bucket_that_lost_everything_is_one_piece_of_news(
    index: AppInProcess, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many damaged files in one hour the first are alerts, the last of which says so; the journal has them all."""
    index.pass_time(timedelta(hours=2))
    monkeypatch.setattr("koschey.db.damage.ALERTS", 3)
    files = [mirrored(index, upstream, f"all-lost-{number}", size=10) for number in range(5)]
    for file in files:
        spoil(index, file.content, Damage.MISSING)
        assert index.ask(file.path).body == file.content
    assert [len(alerts(index, file.filename)) for file in files] == [1, 1, 1, 0, 0]
    assert [actions(index, file.filename) for file in files] == [["damaged", "repaired"]] * 5
    details = [row["detail"] for row in index.fetch("SELECT detail FROM alert WHERE kind = 'damaged' ORDER BY id")]
    assert ["more_in_journal" in detail for detail in details[-3:]] == [False, False, True]
    index.pass_time(timedelta(hours=2))
    spoil(index, files[-1].content, Damage.MISSING)
    index.ask(files[-1].path)
    assert len(alerts(index, files[-1].filename)) == 1


# Outages


@pytest.mark.parametrize(
    ("status", "code", "word"), [(503, "SlowDown", "SlowDown"), (403, "AccessDenied", "KOSCHEY_S3_")]
)
def test_outage_and_refusal_are_no_damage(
    index: AppInProcess, upstream: Upstream, proxy: BucketProxy, status: int, code: str, word: str
) -> None:
    """F6: A bucket that does not answer, or refuses, says nothing of the file: 503 with the cause, and no alert."""
    file = mirrored(index, upstream, f"outage-{code.lower()}")
    proxy.fault("*", status=status, code=code)
    answer = index.ask(file.path)
    assert answer.status == 503
    assert word in answer.json["detail"]
    proxy.clear_faults()
    assert index.ask(file.path).body == file.content
    assert alerts(index, file.filename) == []
    assert upstream.count(file.path) == 0


# Hosted files


@pytest.mark.parametrize("damage", list(Damage))
@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
def test_same_upload_repairs_a_hosted_file(index: AppInProcess, damage: Damage, noticed: bool) -> None:
    """A damaged upload is 503 with what to do, and whole after the same upload, whether anybody had noticed or not."""
    name = f"hosted{damage}{noticed}".lower()
    filename, content = wheel(name, "1.0")
    assert hosted(index, (filename, content)).status == 200
    row = known(index, filename)
    assert row.path is not None
    spoil(index, content, damage)
    if noticed:
        for method in ("GET", "GET", "HEAD"):
            answer = index.ask(row.path, method)
            assert answer.status == 503
        assert "upload the same file again" in index.ask(row.path).json["detail"]
        assert alerts(index, filename) == [("file", damage)]
    again = hosted(index, (filename, content))
    assert (again.status, again.body) == (200, b"OK")
    answer = index.ask(row.path)
    assert (answer.status, answer.body) == (200, content)
    assert actions(index, filename) == (["damaged", "repaired"] if noticed else ["repaired"])


def test_restored_object_is_found(index: AppInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hosted file whose object an operator restores is served again, once its bytes were read and compared."""
    filename, content = wheel("restored", "1.0")
    hosted(index, (filename, content))
    row = known(index, filename)
    assert row.path is not None
    assert row.sha256 is not None
    spoil(index, content, Damage.MISSING)
    assert index.ask(row.path).status == 503
    change(index, blob_key(row.sha256), b"x" * len(content))
    assert index.ask(row.path).status == 503
    monkeypatch.setattr("koschey.mirror.damage.CHECK_AGAIN", 0.0)
    change(index, blob_key(row.sha256), content)
    assert index.ask(row.path).body == content
    assert actions(index, filename) == ["damaged", "repaired"]


def test_rotten_object_is_not_read_for_every_client(index: AppInProcess, proxy: BucketProxy) -> None:
    """Clients that ask for a damaged upload again and again do not make the index read it each time."""
    filename, content = wheel("asked-often", "1.0")
    hosted(index, (filename, content))
    row = known(index, filename)
    assert row.path is not None
    spoil(index, content, Damage.ALTERED)
    for _ in range(2):
        assert index.ask(row.path).status == 503
    proxy.forget_requests()
    for _ in range(5):
        assert index.ask(row.path).status == 503
    assert proxy.count("GET", blob_key(Sha256(row.sha256 or ""))) == 0


def test_same_upload_repairs_the_metadata_of_an_sdist(index: AppInProcess) -> None:
    """PKG-INFO that the bucket lost comes back with the same upload."""
    filename, content = sdist("hostedinfo", "1.0")
    hosted(index, (filename, content))
    digest = known(index, filename).pkg_info
    assert digest is not None
    change(index, blob_key(digest), None)
    assert hosted(index, (filename, content)).status == 200
    body = index.run(index.resources.bucket.get(blob_key(digest)))
    assert hashlib.sha256(body).hexdigest() == digest


# What stands beside files


def metadata_actions(index: AppInProcess, filename: str) -> list[str]:
    """What the journal says of damage to core metadata."""
    query = "SELECT action FROM journal WHERE filename = $1 AND detail ->> 'part' = 'core metadata' ORDER BY serial"
    return [row["action"] for row in index.fetch(query, filename)]


@pytest.mark.parametrize("damage", list(Damage))
@pytest.mark.parametrize("source", ["upstream", "upstream's wheel", "wheel"])
def test_core_metadata_heals(index: AppInProcess, upstream: Upstream, damage: Damage, source: str) -> None:
    """Lost or rotten METADATA is brought again from wherever it can be had, with exactly the digest that it had."""
    file = upstream.add(f"beside-{damage}-{source.replace(' ', '-').replace(chr(39), '')}", "1.0", size=100_000)
    assert file.metadata is not None
    index.page(file.project)
    path = f"{file.path}.metadata"
    assert index.ask(path).body == file.metadata
    if source != "upstream":
        upstream.fault(f"{file.filename}.metadata", status=404)
    if source == "wheel":
        index.store(file.filename)
        upstream.fault(file.filename, status=404)
    spoil(index, file.metadata, damage)
    answer = index.ask(path)
    assert (answer.status, answer.body) == (200, file.metadata)
    assert metadata_actions(index, file.filename) == ["damaged", "repaired"]
    assert alerts(index, file.filename) == [("core metadata", damage)]
    upstream.down()
    try:
        assert index.ask(path).body == file.metadata
    finally:
        upstream.up()


def test_lost_core_metadata_is_not_replaced_by_other(index: AppInProcess, upstream: Upstream) -> None:
    """Until exactly what was served can be had again it is 503, told once, though other METADATA is at hand."""
    file = upstream.add("beside-lost", "1.0", size=100_000)
    assert file.metadata is not None
    index.page(file.project)
    index.ask(f"{file.path}.metadata")
    spoil(index, file.metadata, Damage.MISSING)
    upstream.fault(f"{file.filename}.metadata", body=b"Metadata-Version: 2.1\n")
    upstream.fault(file.filename, status=404)
    for _ in range(3):
        answer = index.ask(f"{file.path}.metadata")
        assert answer.status == 503
        assert "restore blobs/" in answer.json["detail"]
    assert alerts(index, file.filename) == [("core metadata", "missing")]
    upstream.clear_faults()
    assert index.ask(f"{file.path}.metadata").body == file.metadata


def test_core_metadata_of_an_upload_heals_with_the_upload(index: AppInProcess) -> None:
    """METADATA of a hosted wheel is read out of the wheel, and comes back with the wheel where both are lost."""
    filename, content = wheel("besidehosted", "1.0")
    hosted(index, (filename, content))
    row = known(index, filename)
    assert row.path is not None
    assert row.core_metadata is not None
    change(index, blob_key(row.core_metadata), None)
    answer = index.ask(f"{row.path}.metadata")
    assert hashlib.sha256(answer.body).hexdigest() == row.core_metadata
    for digest in (row.core_metadata, row.sha256):
        assert digest is not None
        change(index, blob_key(digest), None)
    assert index.ask(f"{row.path}.metadata").status == 503
    assert hosted(index, (filename, content)).status == 200
    assert index.ask(f"{row.path}.metadata").body == answer.body
    assert index.ask(row.path).body == content


@pytest.mark.parametrize("lost", ["METADATA", "manifest"])
def test_what_the_bucket_does_not_keep_is_not_stored(
    index: AppInProcess, upstream: Upstream, proxy: BucketProxy, lost: str
) -> None:
    """F6: A fetch whose METADATA or manifest the bucket acknowledges and drops has stored nothing, and is repeated."""
    file = upstream.add(f"dropped-{lost.lower()}", "1.0", size=100_000)
    assert file.metadata is not None
    index.page(file.project)
    digest = Sha256(hashlib.sha256(file.metadata).hexdigest())
    key = blob_key(digest) if lost == "METADATA" else manifest_key(Sha256(file.sha256))
    proxy.fault(key, method="PUT", acknowledge=True)
    assert len(index.ask(file.path).body) < file.size
    assert known(index, file.filename).stored_at is None
    proxy.clear_faults()
    assert index.ask(file.path).body == file.content
    assert index.ask(f"{file.path}.metadata").body == file.metadata


def test_dropped_metadata_beside_a_wheel_is_not_served(
    index: AppInProcess, upstream: Upstream, proxy: BucketProxy
) -> None:
    """Core metadata that the bucket does not keep is 503, and no row says that it is stored."""
    file = upstream.add("dropped-beside", "1.0")
    assert file.metadata is not None
    index.page(file.project)
    proxy.fault(blob_key(Sha256(hashlib.sha256(file.metadata).hexdigest())), method="PUT", acknowledge=True)
    assert index.ask(f"{file.path}.metadata").status == 503
    assert not known(index, file.filename).metadata_stored
    proxy.clear_faults()
    assert index.ask(f"{file.path}.metadata").body == file.metadata
