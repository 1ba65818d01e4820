"""Section 16: XML-RPC."""

from tests.conformance.examined import Keeps


async def test_t_16_2(keeps: Keeps) -> None:
    """The index reports no changes since its last serial."""
    await keeps("T-16.2")
