"""A reviewer who uses the panel."""

import pytest

from tests.support.koschey_up import Koschey
from tests.support.panel import Person, add_account


@pytest.fixture
def reviewer(koschey: Koschey) -> Person:
    """A reviewer of all projects, logged in."""
    person = Person(koschey.url)
    assert person.log_in(add_account(koschey, "rita", ("reviewer", "*"))).status == 303
    return person
