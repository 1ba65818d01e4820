"""Section 5: the project list."""

from tests.conformance.examined import Keeps


async def test_t_5_1(keeps: Keeps) -> None:
    """Every listed project has an integer serial, and the header has the greatest of them."""
    await keeps("T-5.1")


async def test_t_5_2(keeps: Keeps) -> None:
    """No project is listed twice, not even in another spelling."""
    await keeps("T-5.2")
