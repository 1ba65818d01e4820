"""The data folder of `koschey up`, and an environment without settings."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from koschey.embedded.data_folder import claim, private_folder


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder to be, below one that PostgreSQL's account can reach, which pytest's own, of mode 0700, are not."""
    base = Path(tempfile.mkdtemp(prefix="koschey-"))
    base.chmod(0o711)
    yield base / "data"
    shutil.rmtree(base)


@pytest.fixture
def claimed(data: Path) -> Iterator[Path]:
    """The data folder, made and claimed by this process."""
    with claim(data) as held:
        private_folder(held / "logs")
        yield held


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of Koschey's is set."""
    for name in [name for name in os.environ if name.startswith("KOSCHEY_")]:
        monkeypatch.delenv(name)
