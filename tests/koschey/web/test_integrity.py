"""Provenance as clients see it: the objects of PEP 740 under `/integrity/`, the records of PEP 710 beside files."""

import concurrent.futures
import hashlib
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from koschey.model import Sha256
from koschey.storage.s3 import provenance_key
from tests.support import archives
from tests.support.commands import uv_publish
from tests.support.koschey_up import Answer, Koschey, ask, wait_until
from tests.support.sigstore import GITHUB, Sigstore
from tests.support.upstream.server import Upstream, UpstreamFile

INTEGRITY = "application/vnd.pypi.integrity.v1+json"


def address(koschey: Koschey, file: UpstreamFile, *, version: str | None = None) -> str:
    """Where the file's object is served."""
    return f"{koschey.url}/integrity/{file.project}/{version or file.version}/{file.filename}/provenance"


def verdict_of(koschey: Koschey, file: UpstreamFile) -> str | None:
    """What the index has made of the file's object; None where it has none."""
    query = "SELECT verdict FROM attestation JOIN file ON file.id = file_id WHERE filename = $1"
    verdict: str | None = koschey.fetch_value(query, file.filename)
    return verdict


def journalled(koschey: Koschey, file: UpstreamFile) -> int:
    """How often a change of the file's object stands in the journal."""
    query = "SELECT count(*) FROM journal WHERE action = 'attestation' AND filename = $1"
    count: int = koschey.fetch_value(query, file.filename)
    return count


def test_object_is_relayed_byte_for_byte(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """T-10.1: the object has the bytes of the upstream's, is fetched once, and is verified."""
    file = upstream.add("i-relay", "1.0", provenance=lambda *about: sigstore.provenance(*about) + b"\n \n")
    koschey.page("i-relay")
    answers = [ask(address(koschey, file)) for _ in range(3)]
    for answer in answers:
        assert (answer.status, answer.body) == (200, file.provenance)
        assert answer.headers["content-type"] == INTEGRITY
        assert answer.headers["vary"] == "Accept"
        assert answer.headers["cache-control"] == "max-age=0, must-revalidate"
        assert "access-control-allow-origin" not in answer.headers  # private names, read from inside the company
        assert answer.headers["x-koschey-attestation"] == "verified"
    kept = koschey.data / "s3" / "koschey" / provenance_key(Sha256(file.sha256))
    assert kept.read_bytes() == file.provenance  # rows can be rebuilt from the bucket
    assert upstream.count(file.provenance_path) == 1
    assert verdict_of(koschey, file) == "verified"
    assert journalled(koschey, file) == 1


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        (None, 200, INTEGRITY),
        ("*/*", 200, INTEGRITY),
        (INTEGRITY, 200, INTEGRITY),
        ("application/json", 200, "application/json"),
        (f"application/json, {INTEGRITY};q=0.5", 200, "application/json"),
        ("application/*", 200, INTEGRITY),
        ("text/html", 406, "application/json"),
        ("application/vnd.pypi.integrity.v2+json", 406, "application/json"),
        ("application/json;q=0", 406, "application/json"),
    ],
)
def test_types(
    koschey: Koschey, upstream: Upstream, sigstore: Sigstore, accept: str | None, status: int, kind: str
) -> None:
    """The object is sent as the type of PEP 740 or as plain JSON, and under no other."""
    if "i-types" not in str(upstream.project_list()):
        upstream.add("i-types", "1.0", provenance=sigstore.provenance)
    file = upstream.file("i_types-1.0-py3-none-any.whl")
    koschey.page("i-types")
    url = address(koschey, file)
    answer = ask(url, Accept=accept) if accept else ask(url)
    assert (answer.status, answer.headers["content-type"]) == (status, kind)
    assert answer.headers["vary"] == "Accept"
    if status == 406:
        assert answer.json == {"message": "Request not acceptable"}
    else:
        assert answer.body == file.provenance


def test_validators(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """T-19.1, T-19.2, T-19.4: strong ETags that differ between types, 304 with the same headers, HEAD like GET."""
    file = upstream.add("i-etag", "1.0", provenance=sigstore.provenance)
    koschey.page("i-etag")
    url = address(koschey, file)
    whole, plain = ask(url), ask(url, Accept="application/json")
    etag = whole.headers["etag"]
    assert etag.startswith('"')
    assert plain.headers["etag"] != etag
    unchanged = ask(url, If_None_Match=etag)
    assert (unchanged.status, unchanged.body) == (304, b"")
    for name in ("etag", "vary", "cache-control"):
        assert unchanged.headers[name] == whole.headers[name]
    assert ask(url, Accept="application/json", If_None_Match=etag).status == 200
    head = ask(url, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("etag", "vary", "cache-control", "content-type", "content-length"):
        assert head.headers[name] == whole.headers[name]
    assert int(whole.headers["content-length"]) == len(whole.body)


def test_nothing_listed_is_404(koschey: Koschey, upstream: Upstream) -> None:
    """A file without an object, and whatever is no file at all, is answered in the public index's words."""
    file = upstream.add("i-none", "1.0")
    koschey.page("i-none")
    unknown = f"{koschey.url}/integrity"
    for url, name in (
        (address(koschey, file), file.filename),
        (address(koschey, file, version="2.0"), file.filename),
        (f"{unknown}/i-none/1.0/i_none-9.9.tar.gz/provenance", "i_none-9.9.tar.gz"),
        (f"{unknown}/i-never/1.0/i_never-1.0.tar.gz/provenance", "i_never-1.0.tar.gz"),
        (f"{unknown}/-/1.0/x.whl/provenance", "x.whl"),
    ):
        answer = ask(url)
        assert answer.status == 404, url
        assert answer.json == {"message": f"No provenance available for {name}"}
        assert answer.headers["cache-control"] == "no-store"
    assert ask(address(koschey, file), method="HEAD").status == 404
    assert upstream.count("/integrity/*") == 0


def test_spellings_of_a_release_are_the_same(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """Project and version may be written in any way that normalises to the same; the filename is exact."""
    file = upstream.add("I.Spelled", "1.0", provenance=sigstore.provenance)
    koschey.page("i-spelled")
    assert ask(f"{koschey.url}/integrity/I_Spelled/v1.0/{file.filename}/provenance").body == file.provenance
    assert ask(f"{koschey.url}/integrity/i-spelled/1.0/{file.filename.upper()}/provenance").status == 404


def test_unknown_project_is_looked_up(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """The first question about a project may be this one."""
    file = upstream.add("i-first", "1.0", provenance=sigstore.provenance)
    assert ask(address(koschey, file)).body == file.provenance


def test_cold_object_is_fetched_once_for_fifty_clients(
    koschey: Koschey, upstream: Upstream, sigstore: Sigstore
) -> None:
    """Fifty clients of two web processes that ask for the same object cost one upstream request."""
    file = upstream.add("i-cold", "1.0", provenance=sigstore.provenance)
    koschey.page("i-cold")
    upstream.fault(file.provenance_path, delay=0.5)
    with concurrent.futures.ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: ask(address(koschey, file)), range(50)))
    assert {(answer.status, answer.body) for answer in answers} == {(200, file.provenance)}
    assert upstream.count(file.provenance_path) == 1
    assert journalled(koschey, file) == 1


def test_upstream_that_is_down(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """What is here is served while the upstream is away; what is not is 503, never 404, and comes later."""
    kept = upstream.add("i-kept", "1.0", provenance=sigstore.provenance)
    lost = upstream.add("i-lost", "1.0", provenance=sigstore.provenance)
    koschey.page("i-kept")
    koschey.page("i-lost")
    assert ask(address(koschey, kept)).status == 200
    upstream.down()
    try:
        assert ask(address(koschey, kept)).body == kept.provenance
        answer = ask(address(koschey, lost))
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    finally:
        upstream.up()
    assert ask(address(koschey, lost)).body == lost.provenance


@pytest.mark.parametrize(
    ("name", "fault", "status"),
    [
        ("i-500", {"status": 500}, 503),
        ("i-404", {"status": 404}, 404),
        ("i-403", {"status": 403}, 424),
        ("i-cut", {"truncate_at": 100}, 503),
        ("i-huge", {"body": b" " * (2 * 2**20 + 1)}, 424),
        ("i-loop", {"redirect": "/integrity/loop"}, 424),
    ],
)
def test_upstream_that_fails(
    koschey: Koschey, upstream: Upstream, sigstore: Sigstore, name: str, fault: dict[str, object], status: int
) -> None:
    """What could not be fetched is not kept, is said, and is fetched anew by the next client."""
    file = upstream.add(name, "1.0", provenance=sigstore.provenance)
    koschey.page(name)
    upstream.fault(file.provenance_path, **fault)  # type: ignore[arg-type]
    upstream.fault("/integrity/loop", redirect="/integrity/loop")
    assert ask(address(koschey, file)).status == status
    assert verdict_of(koschey, file) is None
    upstream.clear_faults()
    assert ask(address(koschey, file)).body == file.provenance


@pytest.mark.parametrize(
    ("name", "body", "verdict"),
    [
        ("i-wrong", lambda _, sha256: Sigstore().provenance("x-1.0.tar.gz", sha256), "unverifiable"),
        ("i-page", lambda *_: b"<html>please log in</html>", "unverifiable"),
        (
            "i-nul",
            lambda *_: b'{"version": 1, "attestation_bundles": [{"publisher": {"kind": "\\u0000"}}]}',
            "unverifiable",
        ),
    ],
)
def test_wrong_object_is_kept_with_its_verdict(
    koschey: Koschey, upstream: Upstream, name: str, body: object, verdict: str
) -> None:
    """An object that proves nothing is relayed as it is, marked, and neither helps nor harms its file."""
    file = upstream.add(name, "1.0", provenance=body)  # type: ignore[arg-type]
    koschey.page(name)
    answer = ask(address(koschey, file))
    assert (answer.status, answer.body) == (200, file.provenance)
    assert answer.headers["x-koschey-attestation"] == verdict_of(koschey, file) == verdict
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ask(koschey.url + file.path).body == file.content


def test_object_of_another_file_is_refuted(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """A signature that holds, but for other bytes, is told from one that cannot be judged."""
    file = upstream.add("i-other", "1.0", provenance=lambda name, _: sigstore.provenance(name, "0f" * 32))
    koschey.page("i-other")
    assert ask(address(koschey, file)).headers["x-koschey-attestation"] == "refuted"
    assert ask(koschey.url + file.path).body == file.content


def hold(koschey: Koschey, upstream: Upstream, sigstore: Sigstore, project: str) -> UpstreamFile:
    """Have a fresh release held, stored and attested."""
    fresh = datetime.now(UTC) - timedelta(hours=1)
    file = upstream.add(project, "2.0", upload_time=fresh, provenance=sigstore.provenance)
    assert koschey.filenames(project) == []
    wait_until(lambda: verdict_of(koschey, file))
    return file


def test_held_file_has_its_object_but_shows_it_to_nobody(
    koschey: Koschey, upstream: Upstream, sigstore: Sigstore
) -> None:
    """The object of a held file is fetched and verified while it waits, and refused as the file is, until it is out."""
    file = hold(koschey, upstream, sigstore, "i-held")
    assert verdict_of(koschey, file) == "verified"
    for answer in asked_in_every_way(koschey, file):
        assert answer.status == 403
        assert file.sha256.encode() not in answer.body
        assert "etag" not in answer.headers
    assert ask(address(koschey, file)).json["state"] == "held"
    koschey.run("approve", "i-held==2.0", "--reason", "reviewed")
    wait_until(lambda: ask(address(koschey, file)).body == file.provenance)


def asked_in_every_way(koschey: Koschey, file: UpstreamFile) -> list[Answer]:
    """All that could give the object away."""
    url = address(koschey, file)
    etag = f'"{hashlib.sha256(file.provenance or b"").hexdigest()[:32]}i"'
    return [
        ask(url),
        ask(url, method="HEAD"),
        ask(url, Accept="application/json"),
        ask(url, If_None_Match=etag),
        ask(url, Range="bytes=0-9"),
        ask(url.replace(".whl", "%2Ewhl")),
        ask(koschey.url + file.path + ".provenance_url.json"),
    ]


def test_blocked_and_removed_files_have_no_object(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """A block is 403 with its reason at this URL too, and a removed file is 410."""
    file = upstream.add("i-block", "1.0", provenance=sigstore.provenance)
    koschey.page("i-block")
    assert ask(address(koschey, file)).status == 200
    koschey.run("block", "i-block==1.0", "--reason", "malware")
    answers = asked_in_every_way(koschey, file)
    assert {answer.status for answer in answers} == {403}
    assert "malware" in answers[0].json["detail"]
    remove = """
        UPDATE standing SET state = 'removed', reason = 'by a test' FROM file
         WHERE file.id = file_id AND filename = $1 RETURNING 1
    """
    assert koschey.fetch_value(remove, file.filename) == 1
    assert ask(address(koschey, file)).status == 410


def test_stored_file_is_attested_without_being_asked(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """The first download of a file brings its object too, whether anybody asks for it or not."""
    file = upstream.add("i-stored", "1.0", provenance=sigstore.provenance)
    koschey.page("i-stored")
    serial = koschey.fetch_value("SELECT serial FROM project WHERE name = 'i-stored'")
    assert ask(koschey.url + file.path).status == 200
    assert wait_until(lambda: verdict_of(koschey, file)) == "verified"
    assert koschey.fetch_value("SELECT serial FROM project WHERE name = 'i-stored'") > serial
    upstream.forget_requests()
    assert ask(address(koschey, file)).body == file.provenance
    assert upstream.count("/integrity/*") == 0


def test_object_that_comes_later_is_fetched(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """When the upstream begins to list an object for a stored file, the next look brings it."""
    file = upstream.add("i-later", "1.0")
    koschey.page("i-later")
    assert ask(koschey.url + file.path).status == 200
    upstream.attest(file.filename, sigstore.provenance(file.filename, file.sha256))
    wait_until(lambda: (koschey.page("i-later"), verdict_of(koschey, file))[1] == "verified")


def test_attest_fetches_and_verifies_anew(koschey: Koschey, upstream: Upstream, sigstore: Sigstore) -> None:
    """`koschey attest` takes over an object that the upstream has changed; a change stands in the journal.

    Where the object is gone the one that is here stays. Wakes come at least once, and so do fetches.
    """
    file = upstream.add("i-again", "1.0", provenance=lambda *_: b"{}")
    koschey.page("i-again")
    assert ask(koschey.url + file.path).status == 200
    assert wait_until(lambda: verdict_of(koschey, file)) == "unverifiable"
    upstream.attest(file.filename, sigstore.provenance(file.filename, file.sha256))
    done = koschey.run("attest", "i-again", "--json")
    assert json.loads(done.stdout) == [{"project": "i-again", "version": "1.0"}]
    wait_until(lambda: verdict_of(koschey, file) == "verified")
    assert journalled(koschey, file) == 2
    upstream.forget_requests()
    assert "i-again 1.0" in koschey.run("attest", "i-again==1.0").stdout
    wait_until(lambda: upstream.count(file.provenance_path) >= 1)
    assert journalled(koschey, file) == 2
    # The page goes on listing it: else a look at the page, which anybody may cause, would make the fetch pointless.
    gone = upstream.fault(file.provenance_path, status=404)
    koschey.run("attest", "i-again")
    wait_until(lambda: gone.applied >= 1)
    assert ask(address(koschey, file)).status == 200


@pytest.mark.parametrize("scope", ["i-nowhere==1.0", "a b"])
def test_attest_of_what_is_not_here(koschey: Koschey, scope: str) -> None:
    """A scope without stored files is an error that says so."""
    done = koschey.run("attest", scope, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("koschey: ")


def test_uv_publishes_attestations(koschey: Koschey, sigstore: Sigstore, tmp_path: Path) -> None:
    """`uv publish` sends the attestations beside a wheel; they are verified, kept and served as an object."""
    name, content = archives.wheel("i-published", "1.0")
    wheel, beside = tmp_path / name, tmp_path / f"{name}.publish.attestation"
    wheel.write_bytes(content)
    attestation = sigstore.attest(name, hashlib.sha256(content).hexdigest())
    beside.write_text(json.dumps(attestation))
    where = ("--publish-url", f"{koschey.url}/legacy/", "--token", koschey.ready["upload_token"])
    uv_publish(*where, str(wheel), str(beside))
    answer = ask(f"{koschey.url}/integrity/i-published/1.0/{name}/provenance")
    assert answer.headers["x-koschey-attestation"] == "verified"
    [bundle] = answer.json["attestation_bundles"]
    assert bundle == {"publisher": {**GITHUB, "claims": {}}, "attestations": [attestation]}
    koschey.run("attest", "i-published")
    again = "SELECT detail FROM attestation JOIN file ON file.id = file_id WHERE filename = $1"
    wait_until(lambda: koschey.fetch_value(again, name).startswith("1 attestation verified"))
    assert ask(f"{koschey.url}/integrity/i-published/1.0/{name}/provenance").body == answer.body
    kept = koschey.data / "s3" / "koschey" / provenance_key(Sha256(hashlib.sha256(content).hexdigest()))
    assert kept.read_bytes() == answer.body


def test_wrong_attestations_refuse_the_upload(koschey: Koschey, sigstore: Sigstore, tmp_path: Path) -> None:
    """T-10.3: attestations of another file refuse the upload with the cause, and leave nothing behind."""
    name, content = archives.wheel("i-refused", "1.0")
    wheel, beside = tmp_path / name, tmp_path / f"{name}.publish.attestation"
    wheel.write_bytes(content)
    beside.write_text(json.dumps(sigstore.attest(name, "0f" * 32)))
    where = ("--publish-url", f"{koschey.url}/legacy/", "--token", koschey.ready["upload_token"])
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        uv_publish(*where, str(wheel), str(beside))
    assert "Invalid attestations supplied during upload: the statement is about other bytes" in refusal.value.stderr
    assert koschey.state_of(name) is None


def test_record_that_is_missing_is_written(koschey: Koschey, upstream: Upstream) -> None:
    """The workflow that attaches provenance gives its record to a stored file that has none, and journals that."""
    file = upstream.add("i-unrecorded", "1.0")
    koschey.page("i-unrecorded")
    stored = "UPDATE file SET stored_at = koschey_now() WHERE filename = $1 RETURNING 1"
    assert koschey.fetch_value(stored, file.filename) == 1
    url = f"{koschey.url}{file.path}.provenance_url.json"
    assert ask(url).status == 404
    koschey.run("attest", "i-unrecorded")
    record = {"url": file.url, "archive_info": {"hashes": {"sha256": file.sha256}}}
    wait_until(lambda: ask(url).status == 200)
    assert ask(url).json == record
    told = "SELECT detail ->> 'record' FROM journal WHERE action = 'file facts' AND filename = $1"
    assert json.loads(koschey.fetch_value(told, file.filename)) == record
    manifest = json.loads((koschey.data / f"s3/koschey/manifests/{file.sha256}.json").read_text())
    assert manifest["provenance_url"] == record


def test_record_is_served_beside_its_file(koschey: Koschey, upstream: Upstream) -> None:
    """T-11.1, T-11.2: the record has the upstream's URL and the digest of what is served, with validators and HEAD."""
    file = upstream.add("i-record", "1.0")
    koschey.page("i-record")
    url = koschey.url + file.path + ".provenance_url.json"
    early = ask(url)
    assert (early.status, early.json["origin"]) == (404, "mirrored")
    body = ask(koschey.url + file.path).body
    record = ask(url)
    digest = hashlib.sha256(body).hexdigest()
    assert record.json == {"url": file.url, "archive_info": {"hashes": {"sha256": digest}}}
    assert record.headers["content-type"] == "application/json"
    assert record.headers["cache-control"] == "private, max-age=31536000, immutable"
    [listed] = koschey.page("i-record")["files"]
    assert listed["hashes"]["sha256"] == digest
    unchanged = ask(url, If_None_Match=record.headers["etag"])
    assert (unchanged.status, unchanged.body) == (304, b"")
    head = ask(url, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("etag", "content-length", "content-type", "cache-control"):
        assert head.headers[name] == record.headers[name]
    manifest = json.loads((koschey.data / f"s3/koschey/manifests/{digest}.json").read_text())
    assert manifest["provenance_url"] == record.json


def test_record_never_changes(koschey: Koschey, upstream: Upstream) -> None:
    """T-11.3: a file that is fetched once more from another address keeps the record of the first time."""
    upstream.file_layout = "flat"
    try:
        file = upstream.add("i-once", "1.0")
        koschey.page("i-once")
        [listed] = koschey.page("i-once")["files"]
        url = koschey.url + listed["url"]
        assert ask(url).status == 200
        before = ask(f"{url}.provenance_url.json").body
    finally:
        upstream.file_layout = "pypi"
    upstream.replace(file.filename, file.content)  # the same bytes, at another address
    moved = "SELECT upstream_url FROM file WHERE filename = $1"
    wait_until(lambda: (koschey.page("i-once"), koschey.fetch_value(moved, file.filename))[1] != file.url)
    koschey.fetch_value("UPDATE file SET stored_at = NULL WHERE filename = $1 RETURNING 1", file.filename)
    koschey.fetch_value("SELECT 1 FROM pg_notify('koschey_project', 'i-once')")
    upstream.forget_requests()
    wait_until(lambda: ask(url).body == file.content and upstream.count(file.filename) == 1)
    assert ask(f"{url}.provenance_url.json").body == before
    assert file.url.encode() in before
