"""Section 8: yanks, core metadata, upload times."""

from tests.conformance.examined import Keeps


async def test_t_8_1(keeps: Keeps) -> None:
    """The `.metadata` of a wheel has the advertised digest and is the METADATA inside the wheel."""
    await keeps("T-8.1")


async def test_t_8_2(keeps: Keeps) -> None:
    """Every file has an upload-time in UTC, with at most six digits of a second."""
    await keeps("T-8.2")
