"""Section 2: addresses and redirects."""

from tests.conformance.examined import Keeps


async def test_t_2_1(keeps: Keeps) -> None:
    """A page's URL without its slash, or in another spelling, redirects permanently and keeps the query."""
    await keeps("T-2.1")


async def test_t_2_2(keeps: Keeps) -> None:
    """The last segment of every file's URL is its filename, percent-encoded."""
    await keeps("T-2.2")


async def test_t_2_3(keeps: Keeps) -> None:
    """No file's URL has a query."""
    await keeps("T-2.3")


async def test_t_2_4(keeps: Keeps) -> None:
    """A redirect that may change later has the status 302 or 307, never that of a permanent redirect."""
    await keeps("T-2.4")
