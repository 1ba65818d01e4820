"""The shelf: copies that are verified, bounded, shared, and safe to delete."""

import asyncio
import hashlib
import os
import time
from pathlib import Path

import pytest

from koschey.errors import StartError
from koschey.model import Sha256
from koschey.storage import shelf as module
from koschey.storage import shelf_folder
from koschey.storage.shelf import Shelf
from koschey.storage.shelf_folder import open_shelf

KIB = 2**10


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """The folder of a shelf."""
    return tmp_path / "cache"


def opened(folder: Path, limit: int = 1000 * KIB) -> Shelf:
    return open_shelf(folder, None, limit)


def put(shelf: Shelf, content: bytes) -> Sha256:
    """Put content on the shelf as a download does."""
    digest = Sha256(hashlib.sha256(content).hexdigest())
    with shelf.open_spool() as spooled:
        spooled.write(content)
        shelf.put(spooled.fileno(), digest, len(content))
    return digest


def age(shelf: Shelf, digest: Sha256, size: int, seconds: float) -> None:
    """Make a copy look as if it was used so long ago."""
    path = shelf.find(digest, size)
    assert path is not None
    used = time.time() - seconds
    os.utime(path, (used, used))


def content_of(shelf: Shelf, digest: Sha256, size: int) -> bytes | None:
    path = shelf.find(digest, size)
    return path.read_bytes() if path else None


def test_a_copy_is_found_by_all_processes(folder: Path) -> None:
    """What one process put there another one finds, and only Koschey's account may read it."""
    digest = put(opened(folder), b"spam")
    found = opened(folder).find(digest, 4)
    assert found is not None
    assert found.read_bytes() == b"spam"
    assert folder.stat().st_mode & 0o077 == 0
    assert found.stat().st_mode & 0o077 == 0


def test_an_unfinished_file_leaves_nothing(folder: Path) -> None:
    """A spool that is closed without being put there is gone."""
    shelf = opened(folder)
    with shelf.open_spool() as spooled:
        spooled.write(b"spam")
    assert [entry for entry in folder.rglob("*") if entry.is_file() and entry.read_bytes() == b"spam"] == []


def test_two_put_the_same(folder: Path) -> None:
    """Two downloads of the same bytes are one copy."""
    shelf = opened(folder)
    assert put(shelf, b"spam") == put(shelf, b"spam")


def test_a_copy_of_another_size_is_removed(folder: Path) -> None:
    """A copy that lacks bytes is neither found nor kept."""
    shelf = opened(folder)
    digest = put(shelf, b"spam")
    path = shelf.find(digest, 4)
    assert path is not None
    os.truncate(path, 2)
    assert shelf.find(digest, 4) is None
    assert not path.exists()


def test_least_recently_used_leave(folder: Path) -> None:
    """When the limit is passed, copies leave that nobody used for longest, and what was just used stays."""
    shelf = opened(folder)
    digests = [put(shelf, bytes([number]) * 200 * KIB) for number in range(5)]
    for number, digest in enumerate(digests):
        age(shelf, digest, 200 * KIB, 1000 - 100 * number)
    last = put(shelf, b"\xff" * 100 * KIB)
    kept = [shelf.find(digest, 200 * KIB) is not None for digest in digests]
    assert kept == [False, True, True, True, True]
    assert shelf.find(last, 100 * KIB) is not None


def test_finding_is_using(folder: Path) -> None:
    """A copy that was found is the last to leave."""
    shelf = opened(folder)
    digests = [put(shelf, bytes([number]) * 200 * KIB) for number in range(5)]
    for digest in digests:
        age(shelf, digest, 200 * KIB, 1000)
    assert shelf.find(digests[0], 200 * KIB) is not None
    put(shelf, b"\xff" * 200 * KIB)
    assert shelf.find(digests[0], 200 * KIB) is not None
    assert sum(shelf.find(digest, 200 * KIB) is not None for digest in digests) < 5


def test_what_was_just_used_does_not_leave(folder: Path) -> None:
    """A server may be about to open a file that was found a moment ago, whatever the limit says."""
    shelf = opened(folder)
    digests = [put(shelf, bytes([number]) * 250 * KIB) for number in range(6)]
    assert all(shelf.find(digest, 250 * KIB) for digest in digests)


def test_a_large_file_has_no_room(folder: Path) -> None:
    """One file gets a quarter of the shelf at most; a shelf without a limit above 0 has no room at all."""
    shelf = opened(folder)
    assert shelf.has_room(250 * KIB)
    assert not shelf.has_room(251 * KIB)
    assert not opened(folder, 0).has_room(1)


def test_a_full_disk_has_no_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shelf leaves space on the disk."""
    monkeypatch.setattr(module, "SPARE", 2**62)
    assert not opened(folder).has_room(1)


def test_a_deleted_folder_comes_back(folder: Path) -> None:
    """The folder may be deleted at any time: copies are gone, and others can be put there again."""
    shelf = opened(folder)
    digest = put(shelf, b"spam")
    for entry in sorted(folder.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    folder.rmdir()
    assert shelf.find(digest, 4) is None
    shelf.trim()
    assert not shelf.has_room(4)  # found out, and made again
    assert shelf.has_room(4)
    assert content_of(shelf, put(shelf, b"spam"), 4) == b"spam"


def test_copies_of_a_former_boot_go(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After the machine was started again a copy may lack bytes that never reached the disk."""
    digest = put(opened(folder), b"spam")
    assert opened(folder).find(digest, 4) is not None
    boot = tmp_path / "boot_id"
    boot.write_text("another")
    monkeypatch.setattr(shelf_folder, "BOOT_ID", boot)
    assert opened(folder).find(digest, 4) is None


async def test_other_bytes_are_found_and_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are hashed again, and one with other bytes of the same length leaves."""
    monkeypatch.setattr(module, "VERIFIED_PER_SECOND", 2**40)
    shelf = opened(folder)
    good, bad = put(shelf, b"spam"), put(shelf, b"eggs")
    path = shelf.find(bad, 4)
    assert path is not None
    path.write_bytes(b"ham!")
    verifying = asyncio.create_task(shelf.verify())
    try:
        async with asyncio.timeout(10):
            while path.exists():
                await asyncio.sleep(0.01)
    finally:
        verifying.cancel()
    assert content_of(shelf, good, 4) == b"spam"


def test_small_blobs_are_kept_in_memory(folder: Path) -> None:
    """A small blob is found in memory; a large one is not, and nothing is without a shelf."""
    small, large = Sha256("a" * 64), Sha256("b" * 64)
    shelf, without = opened(folder), opened(folder, 0)
    for each in (shelf, without):
        each.keep_small(small, b"x" * module.SMALL)
        each.keep_small(large, b"x" * (module.SMALL + 1))
    assert shelf.find_small(small) == b"x" * module.SMALL
    assert shelf.find_small(large) is None
    assert without.find_small(small) is None


def test_a_folder_of_others_is_refused(folder: Path) -> None:
    """Whoever may write to the folder could replace what is served."""
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StartError, match="no other account can write"):
        opened(folder)


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """Nor may the folder be a link, whose target others may choose."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartError, match="must be a folder"):
        opened(folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The operator hears which setting is wrong."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"KOSCHEY_CACHE_DIR: .* cannot be used"):
        opened(tmp_path / "file" / "cache")


def test_without_a_place_nothing_is_kept(tmp_path: Path) -> None:
    """Where the default folder cannot be used, an index starts all the same, without copies."""
    (tmp_path / "cache").write_text("")
    assert not open_shelf(None, tmp_path / "spool", None).has_room(1)


def test_it_lies_beside_the_spool(tmp_path: Path) -> None:
    """Without a setting the folder is beside the spool, and its limit is at most 10 GiB."""
    shelf = open_shelf(None, tmp_path / "spool", None)
    assert shelf._folder == tmp_path / "cache"
    assert 0 < shelf._limit <= 10 * 2**30
