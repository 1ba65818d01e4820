"""What tests of uploads leave as they found it."""

from collections.abc import Iterator

import pytest

from tests.support.koschey_up import Koschey


@pytest.fixture
def switches(koschey: Koschey) -> Iterator[None]:
    """Leaves every rule as it is by default."""
    yield
    koschey.fetch_value("DELETE FROM upload_switch")
