"""What the clients of the matrix find in the index: one project for each thing that may trip them up."""

from datetime import UTC, datetime

import pytest

from tests.support.archives import wheel
from tests.support.koschey_up import Koschey, wait_until
from tests.support.uploads import upload
from tests.support.upstream.server import Upstream

CUTOFF = "2022-01-01T00:00:00Z"
"""Lies between the two releases of `m-dated`."""


@pytest.fixture(scope="session")
def shelf(koschey: Koschey, shared_upstream: Upstream) -> Koschey:
    """The index with everything that the matrix installs."""
    upstream = shared_upstream
    upstream.add("m-app", "1.0", requires=["m-with-metadata", "m-without-metadata", "m-source"])
    upstream.add("m-with-metadata", "1.0", requires_python=">=3.8")
    upstream.add("m-without-metadata", "1.0", core_metadata=False)
    upstream.add("m-source", "1.0", sdist=True)
    upstream.add("m-yanked", "1.0")
    upstream.add("m-yanked", "1.1", yanked="it burns")
    upstream.add("m-dated", "1.0", upload_time=datetime(2020, 5, 1, tzinfo=UTC))
    upstream.add("m-dated", "2.0", upload_time=datetime(2023, 5, 1, tzinfo=UTC))
    upstream.add("m-malware", "1.0")
    koschey.page("m-malware")
    koschey.run("block", "m-malware", "--yes", "--reason", "malware")
    wait_until(lambda: koschey.filenames("m-malware") == [])
    assert upload(koschey, wheel("m-clash", "1.0")).status == 200
    upstream.add("m-clash", "9.9")
    return koschey
