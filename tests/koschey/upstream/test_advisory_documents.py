"""Feeds of advisories as they are read: every form, and hostile ones."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from koschey.errors import UpstreamMalformed
from koschey.policy.advisories import Feed
from koschey.upstream import advisory_documents
from koschey.upstream.advisory_documents import read_feed
from tests.support.advisories import GOOD, archive, record

FEED = Feed(timedelta(hours=48))


def _write_folder(path: Path) -> None:
    path.mkdir()
    for each in GOOD:
        (path / f"{each['id']}.json").write_text(json.dumps(each, indent=2))
    for name in (".hidden.json", "notes.txt"):
        (path / name).write_text("no JSON")


FORMS: dict[str, Callable[[Path], object]] = {
    "archive": lambda path: path.write_bytes(archive(GOOD)),
    "array": lambda path: path.write_text(json.dumps(GOOD)),
    "array on many lines": lambda path: path.write_text(json.dumps(GOOD, indent=1)),
    "lines": lambda path: path.write_text("\n\n".join(json.dumps(each) for each in GOOD)),
    "folder": _write_folder,
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_feed(form: str, tmp_path: Path) -> None:
    """An archive, an array, a record a line and a folder of records say the same."""
    FORMS[form](tmp_path / "feed")
    assert {advisory.id for advisory in read_feed(tmp_path / "feed")} == {"PYSEC-1", "MAL-2"}


def _bomb() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as written:
        for number in range(40):
            written.writestr(f"{number}.json", b" " * (2 * advisory_documents.MAX_RECORD))
    return body.getvalue()


def _many(count: int) -> bytes:
    return archive([record(f"X-{number}", versions=["1"]) for number in range(count)])


def _with_large_directory() -> bytes:
    body = bytearray(archive(GOOD))
    body[-10:-6] = (advisory_documents.MAX_DIRECTORY + 1).to_bytes(4, "little")
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "cannot be read"),
        (b"not json", "cannot be read"),
        (b"[]", "names no Python project"),
        (archive([{"id": "X-1"}]), "names no Python project"),
        (archive(GOOD)[:-5], "ZIP"),
        (archive(GOOD)[:200] + archive(GOOD)[250:], "ZIP"),
        (archive(GOOD) + b"trailing", "ZIP"),
        (archive([{"id": "one"}, {"id": "?"}]), "without an id"),
        (_bomb(), "8 MiB"),
        (archive(GOOD, compress_type=zipfile.ZIP_LZMA), "deflate"),
        (archive(GOOD, compress_type=zipfile.ZIP_BZIP2), "deflate"),
        (_with_large_directory(), "directory has"),
        (b'{"id": "X-1"}\n{"id": "X-2"', "cannot be read"),
        (b'{"id": "X-1"}\n' + b"7" * (advisory_documents.MAX_RECORD + 2), "8 MiB"),
        (b"[" + b" " * advisory_documents.MAX_WHOLE + b"]", "16 MiB"),
        (json.dumps(record("X-1", versions=["1"] * 20_001)).encode(), "20000 are read"),
    ],
)
def test_hostile_feed_is_refused(body: bytes, words: str, tmp_path: Path) -> None:
    """Broken, huge and exploding feeds are refused as a whole, in words that say why."""
    (tmp_path / "feed").write_bytes(body)
    with pytest.raises(UpstreamMalformed, match=words):
        read_feed(tmp_path / "feed")


def test_counts_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed with too many records, versions or bytes in all is refused, however small each is."""
    (tmp_path / "feed").write_bytes(_many(20))
    for limit, words in (("MAX_RECORDS", "records"), ("MAX_KEPT", "versions"), ("MAX_INFLATED", "MiB")):
        with monkeypatch.context() as patched:
            patched.setattr(advisory_documents, limit, 10)
            with pytest.raises(UpstreamMalformed, match=words):
                read_feed(tmp_path / "feed")
    assert len(read_feed(tmp_path / "feed")) == 20


def test_missing_feed_is_said_so(tmp_path: Path) -> None:
    """A path that is not there is an error in words."""
    with pytest.raises(UpstreamMalformed, match="cannot be read"):
        read_feed(tmp_path / "nothing")
