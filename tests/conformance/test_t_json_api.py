"""Section 15: the JSON API."""

from tests.conformance.examined import Keeps


async def test_t_15_1(keeps: Keeps) -> None:
    """The JSON API has every field that a mirror reads, of the right type."""
    await keeps("T-15.1")


async def test_t_15_3(keeps: Keeps) -> None:
    """The header and the body of the JSON API have the same serial."""
    await keeps("T-15.3")
