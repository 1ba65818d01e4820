"""An upstream from which no index mirrors, and requests that may reach it."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from koschey.upstream.egress import Egress
from tests.support.egress import LISTED
from tests.support.upstream.server import Upstream


@pytest.fixture(scope="module")
def own_upstream() -> Iterator[Upstream]:
    """Its log has the requests of these tests alone: an index would refresh pages by itself."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(own_upstream: Upstream) -> Iterator[Upstream]:
    """The upstream without faults and with an empty log."""
    own_upstream.clear_faults()
    own_upstream.forget_requests()
    yield own_upstream
    own_upstream.clear_faults()


@pytest_asyncio.fixture
async def local() -> AsyncIterator[Egress]:
    """Requests as they are allowed where the operator lists this machine."""
    egress = Egress(LISTED)
    yield egress
    await egress.close()
