"""The folder for uploads and downloads in progress: checked before a process starts, without loading the S3 client."""

import tempfile
from pathlib import Path

from koschey.errors import StartError


def check_spool(folder: Path | None) -> None:
    """Raise `StartError` if no file can be written to the folder; None means the system's temporary folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        where = folder or "the system's temporary folder"
        raise StartError(f"KOSCHEY_SPOOL: no file can be written to {where}: {error.strerror or error}") from None
