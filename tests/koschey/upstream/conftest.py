"""Requests that may reach the upstream of the tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from koschey.upstream.egress import Egress
from tests.support.egress import LISTED


@pytest_asyncio.fixture
async def local() -> AsyncIterator[Egress]:
    """Requests as they are allowed where the operator lists this machine."""
    egress = Egress(LISTED)
    yield egress
    await egress.close()
