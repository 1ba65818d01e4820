"""The data folder: created, checked, and locked by one `koschey up` at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from koschey.errors import StartError

LOCK = "koschey.lock"
"""Exists in every data folder; locked for as long as its `koschey up` runs."""

NOT_CONTENT = frozenset({"lost+found"})
"""Entries of a freshly formatted volume, which do not count as content."""


@contextmanager
def claim(path: Path) -> Iterator[Path]:
    """Lock the folder, create it if it does not exist, and yield its absolute path.

    Raises `StartError` if it cannot be the data folder.
    """
    folder = _make(path)
    lock = _open_lock(folder)
    try:
        _acquire(lock, folder)
        # As root, PostgreSQL runs under another account, which must be able to pass through to its own folder.
        # On volumes of other systems modes cannot be set; the inner folders have their own.
        with suppress(PermissionError):
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StartError(f"cannot write to the data folder {folder}; choose another with --data")
        yield folder
    finally:
        os.close(lock)


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner can read, and return it."""
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read. A crash leaves the old or the new file, never a part of one."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib cannot set the mode at creation
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _make(path: Path) -> Path:
    try:
        folder = path.expanduser().resolve()
        if folder.exists() and not folder.is_dir():
            raise StartError(f"{folder} is a file; --data names a folder")
        folder.mkdir(parents=True, exist_ok=True)
        content = {entry.name for entry in folder.iterdir()} - NOT_CONTENT
    except OSError as error:
        raise StartError(f"cannot use {path} as data folder: {error.strerror}; choose another with --data") from None
    if content and LOCK not in content:
        # A folder named by mistake must not get another mode and our files.
        raise StartError(f"{folder} contains something other than Koschey's data; choose another folder with --data")
    return folder


def _open_lock(folder: Path) -> int:
    try:
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"cannot write to the data folder {folder}: {error.strerror}; choose another with --data"
        ) from None


def _acquire(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        who = f" (process {holder})" if holder else ""
        raise StartError(f"another `koschey up`{who} is running on {folder}") from None
    except OSError as error:
        raise StartError(f"cannot lock the data folder {folder}: {error.strerror}; choose a local one") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
