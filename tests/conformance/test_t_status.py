"""Section 13: status and quarantine."""

from tests.conformance.examined import Keeps


async def test_t_13_1(keeps: Keeps) -> None:
    """The page of a quarantined project exists, lists no file, and gives the reason in both forms."""
    await keeps("T-13.1")


async def test_t_13_4(keeps: Keeps) -> None:
    """No quarantined project offers a file."""
    await keeps("T-13.4")
