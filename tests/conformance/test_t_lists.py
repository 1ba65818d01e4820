"""Section 5: the project list."""

from tests.conformance.examined import Keeps


async def test_t_5_1(keeps: Keeps) -> None:
    """Every listed project has an integer serial, and the greatest is that of the header."""
    await keeps("T-5.1")


async def test_t_5_2(keeps: Keeps) -> None:
    """No project is listed twice, in whatever spelling."""
    await keeps("T-5.2")
