"""Section 16: XML-RPC."""

from tests.conformance.examined import Keeps


async def test_t_16_2(keeps: Keeps) -> None:
    """Since the last serial nothing has changed."""
    await keeps("T-16.2")
