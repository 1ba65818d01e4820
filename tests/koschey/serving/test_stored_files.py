"""What a web process does with the snapshot of a project while its files are stored: by itself, and by others."""

import hashlib
from datetime import datetime

from packaging.utils import NormalizedName, canonicalize_name

from koschey.serving import pages
from koschey.serving.snapshots import Snapshot
from tests.support.app_in_process import AppInProcess
from tests.support.upstream.server import Upstream, UpstreamFile


def snapshot(app: AppInProcess, project: str) -> Snapshot | None:
    """What the process keeps of a project."""
    return app.resources.pages._cache.peek(canonicalize_name(project))


def listed(app: AppInProcess, upstream: Upstream, project: str, files: int = 1) -> list[UpstreamFile]:
    """Files of a project whose snapshot the process has."""
    found = [upstream.add(project, f"1.{number}") for number in range(files)]
    app.page(project)
    app.hear_all()  # of the new files
    app.page(project)
    assert snapshot(app, project) is not None
    return found


def records(app: AppInProcess, project: str) -> set[str]:
    """The upstream URLs in the records on a project's page."""
    private = [file.get("_koschey", {}) for file in app.page(project)["files"]]
    return {fields["provenance-url"]["url"] for fields in private if fields}


def store_elsewhere(app: AppInProcess, file: UpstreamFile) -> datetime:
    """Store a file as another process does, which this one hears of. Returns when it was stored."""
    done = """
        WITH stored AS (UPDATE file SET stored_at = now() WHERE filename = $1 RETURNING *),
             kept AS (INSERT INTO provenance (file_id, record) SELECT id, $2 FROM stored)
        SELECT stored_at, pg_notify('koschey_file', project.name || path)
          FROM stored JOIN project ON project.id = project_id
    """
    record = f'{{"url":"{file.url}","archive_info":{{"hashes":{{"sha256":"{file.sha256}"}}}}}}'
    [row] = app.fetch(done, file.filename, record)
    app.hear_all()
    stored_at: datetime = row["stored_at"]
    return stored_at


def test_own_file_is_corrected_in_place(app: AppInProcess, upstream: Upstream) -> None:
    """The snapshot stays, says at once that the file is stored, and its page shows the record."""
    [file] = listed(app, upstream, "own")
    before = snapshot(app, "own")
    assert before is not None
    etag = app.ask("/simple/own/").headers["etag"]
    assert app.ask(file.path).body == file.content
    app.hear_all()
    assert snapshot(app, "own") is before
    row = app.file(file.filename).file
    known = before.files[file.path]
    assert (known.stored_at, known.record, known.metadata_stored) == (row.stored_at, row.record, True)
    assert records(app, "own") == {file.url}
    # HTML pages do not show it (PEP 833 freezes them), and keep their ETag.
    assert app.ask("/simple/own/").headers["etag"] == etag


def test_row_of_a_stored_file_is_what_the_download_returns(app: AppInProcess, upstream: Upstream) -> None:
    """The one statement that stores a file returns what the next reader of the row finds."""
    for number, sdist in enumerate((False, True)):
        file = upstream.add(f"returned-{number}", "1.0", sdist=sdist)
        app.page(f"returned-{number}")
        before = app.file(file.filename).file
        assert app.run(app.resources.files.store(before)) == app.file(file.filename).file


def test_file_of_another_process(app: AppInProcess, upstream: Upstream) -> None:
    """The page shows its record at once; further ones at most once a second. Files need no reading of the project."""
    files = listed(app, upstream, "elsewhere", 3)
    store_elsewhere(app, files[0])
    assert snapshot(app, "elsewhere") is not None
    assert records(app, "elsewhere") == {files[0].url}
    store_elsewhere(app, files[1])
    kept = snapshot(app, "elsewhere")
    assert records(app, "elsewhere") == {files[0].url}
    assert snapshot(app, "elsewhere") is kept
    app._ahead += pages.SPACING
    assert records(app, "elsewhere") == {files[0].url, files[1].url}
    assert snapshot(app, "elsewhere") is not kept


def test_stored_file_is_not_fetched_again(app: AppInProcess, upstream: Upstream) -> None:
    """A process whose snapshot says that a file is not stored finds out by the lease, and corrects the snapshot."""
    [file] = listed(app, upstream, "found")
    blob = f"blobs/sha256/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}"
    app.run(app.resources.bucket.put(blob, file.content))
    stored_at = store_elsewhere(app, file)
    upstream.forget_requests()
    answer = app.ask(file.path)
    assert hashlib.sha256(answer.body).hexdigest() == file.sha256
    assert upstream.count(file.filename) == 0
    kept = snapshot(app, "found")
    assert kept is not None
    assert kept.files[file.path].stored_at == stored_at


def test_record_of_a_file_that_is_stored_elsewhere(app: AppInProcess, upstream: Upstream) -> None:
    """A record that the snapshot lacks is read from its row: a process may have stored the file."""
    [file] = listed(app, upstream, "recorded")
    path = f"{file.path}.provenance_url.json"
    assert app.ask(path).status == 404
    store_elsewhere(app, file)
    assert app.ask(path).json["url"] == file.url


def test_change_that_narrows_drops_the_snapshot(app: AppInProcess, upstream: Upstream) -> None:
    """A block during a burst of stored files is active at once: it is notified as a change of the project."""
    files = listed(app, upstream, "narrowed", 2)
    assert app.ask(files[0].path).status == 200
    app.decide("block", "narrowed", "1.1")
    app.hear_all()
    assert snapshot(app, "narrowed") is None
    assert app.ask(files[1].path).status == 403
    assert [file["filename"] for file in app.page("narrowed")["files"]] == [files[0].filename]
    assert records(app, "narrowed") == {files[0].url}


def test_other_facts_drop_the_snapshot(app: AppInProcess, upstream: Upstream) -> None:
    """A download that changes more than the record is a change of the project, with a serial."""
    file = upstream.add("described", "1.0", core_metadata=False)
    assert "core-metadata" not in app.page("described")["files"][0]
    app.hear_all()
    before = app.page("described")["meta"]["_last-serial"]
    assert app.ask(file.path).body == file.content
    app.hear_all()
    assert snapshot(app, "described") is None
    page = app.page("described")
    assert page["files"][0]["core-metadata"]
    assert page["meta"]["_last-serial"] > before


def test_file_that_is_stored_while_the_page_is_built(app: AppInProcess, upstream: Upstream) -> None:
    """A snapshot from rows that are older than the stored file is marked, so that the next page has the record."""
    [file] = listed(app, upstream, "meanwhile")
    name = NormalizedName("meanwhile")
    cache, changes = app.resources.pages._cache, app.resources.pages._cache.changes
    older = app.run(app.resources.pages._build(name))
    store_elsewhere(app, file)
    cache._drop(name)
    cache.put(name, older, changes)
    assert older.lacks_records
    assert records(app, "meanwhile") == {file.url}
    # Nor does an older snapshot replace a newer one.
    newer = snapshot(app, "meanwhile")
    cache.put(name, older, changes)
    assert snapshot(app, "meanwhile") is newer
