"""Opens the shelf: checks that its folder is private, and removes the copies of a former boot.

A copy is written without waiting for the disk. After a crash of the whole machine it may lack bytes, so copies last for
one boot only.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import structlog

from koschey.errors import StartError
from koschey.storage.shelf import Shelf, link_unnamed

log = structlog.get_logger()

MOST = 10 * 2**30
"""Default limit of the shelf in bytes, unless a tenth of the free disk is less."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def open_shelf(folder: Path | None, spool: Path | None, limit: int | None) -> Shelf:
    """Return the shelf; its folder is by default beside the spool. With a limit of 0 bytes it holds nothing.

    Raises `StartError` if the given folder cannot be used, or if others could write to it. If that is true of the
    default folder, the shelf holds nothing.
    """
    place = folder or _beside(spool)
    if limit == 0:
        return Shelf(place, 0)
    try:
        return _open(place, limit)
    except StartError as error:
        if folder is not None:
            raise
        log.warning("no copies of files are kept on this disk", cause=str(error))
        return Shelf(place, 0)


def _open(folder: Path, limit: int | None) -> Shelf:
    try:
        shelf = Shelf(folder, MOST if limit is None else limit)
        shelf.make()
        _check_private(folder)
        _remove_former(folder)
        _check_linking(shelf, folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StartError(f"KOSCHEY_CACHE_DIR: {folder} cannot be used: {error.strerror or error}") from None
    return Shelf(folder, min(MOST, free // 10)) if limit is None else shelf


def _beside(spool: Path | None) -> Path:
    if spool is not None:
        return spool.absolute().parent / "cache"
    return Path(tempfile.gettempdir()) / f"koschey-cache-{os.geteuid()}"


def _check_private(folder: Path) -> None:
    """Raise `StartError` if another account owns the folder or may write to it: it could replace what is served."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StartError(
            f"KOSCHEY_CACHE_DIR: {folder} must be a folder that belongs to Koschey's account, and to which no other "
            "account can write; choose another, or correct its owner and its permissions"
        )


def _remove_former(folder: Path) -> None:
    """Remove all copies if the machine was started again since they were made."""
    mark, boot = folder / "boot", BOOT_ID.read_text() if BOOT_ID.exists() else ""
    if mark.exists() and mark.read_text() == boot:
        return
    for entry in folder.iterdir():
        if len(entry.name) == 2:
            shutil.rmtree(entry, ignore_errors=True)
    mark.write_text(boot)


def _check_linking(shelf: Shelf, folder: Path) -> None:
    """Raise `StartError` unless an unnamed file can be given a name later (`man 2 open`, O_TMPFILE)."""
    name = folder / f"probe-{os.getpid()}"
    try:
        with shelf.open_spool() as spooled:
            link_unnamed(spooled.fileno(), name)
    except (OSError, AttributeError):  # other systems than Linux have no O_TMPFILE
        raise StartError(
            f"KOSCHEY_CACHE_DIR: the file system of {folder} cannot give a name to an unnamed file; choose a folder on "
            "a local disk, or set KOSCHEY_CACHE_MIB to 0"
        ) from None
    name.unlink()
