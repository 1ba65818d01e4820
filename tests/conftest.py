"""What all tests share: an upstream to drive, and a real `koschey up` beside it."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.absent_modules import without
from tests.support.koschey_up import Koschey
from tests.support.sigstore import Sigstore
from tests.support.upstream.server import Upstream

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.app_in_process",
    "tests.support.recorder",
    "tests.support.file_order",
    "tests.support.web_processes",
    "tests.conformance.examined",
    "tests.clients.matrix_index",
]

# No test fails because a busy machine was slow; `--hypothesis-profile` still chooses another profile.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that write files of the repository, and those that name another index."""
    parser.addoption("--record-histories", action="store_true", help="add what is missing to tests/workflows/histories")
    parser.addoption("--write-schema", action="store_true", help="write koschey/db/schema.sql")
    parser.addoption("--index-url", help="run what only reads of tests/conformance against the index with this URL")
    parser.addoption("--index-project", action="append", default=[], help="a project of that index to look at")
    parser.addoption("--hypercorn", action="store_true", help="run web processes as where granian is not installed")


def pytest_configure(config: pytest.Config) -> None:
    """With `--hypercorn`, hide granian from every process that a test starts."""
    if config.getoption("--hypercorn"):
        os.environ.update(without("granian"))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Give all bytes the same name: two workers must find the same tests, and signatures are never the same."""
    return "bytes" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--index-url`, leave out all that does more than read an index."""
    if config.getoption("--index-url"):
        for item in items:
            if "keeps" not in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="needs an index of its own"))


@pytest.fixture(scope="session")
def record_histories(request: pytest.FixtureRequest) -> Path | None:
    """The folder in which histories are to be kept, or None."""
    return Path(__file__).parent / "workflows" / "histories" if request.config.getoption("--record-histories") else None


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that other accounts may enter: as root, PostgreSQL runs under one of its own."""
    with tempfile.TemporaryDirectory(prefix="koschey-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[Upstream]:
    """The upstream of the shared index; each test uses project names of its own."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Iterator[Upstream]:
    """The upstream without faults and with an empty log."""
    shared_upstream.clear_faults()
    shared_upstream.forget_requests()
    yield shared_upstream
    shared_upstream.clear_faults()


@pytest.fixture(scope="session")
def sigstore() -> Sigstore:
    """The Sigstore whose attestations the shared index believes."""
    return Sigstore()


@pytest.fixture(scope="session")
def koschey(folder: Path, shared_upstream: Upstream, sigstore: Sigstore) -> Iterator[Koschey]:
    """A real `koschey up` with two web processes that mirrors the shared upstream."""
    trust_root = folder / "trusted_root.json"
    trust_root.write_text(sigstore.trusted_root)
    trust_root.chmod(0o644)
    with Koschey(
        folder / "shared", shared_upstream.url, web_processes=2, freshness=0.5, trust_root=trust_root
    ) as running:
        yield running
