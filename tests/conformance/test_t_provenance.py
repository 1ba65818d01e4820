"""Sections 10 and 11: provenance."""

from tests.conformance.examined import Keeps


async def test_t_10_2(keeps: Keeps) -> None:
    """A provenance URL is absolute and on a secure origin."""
    await keeps("T-10.2")


async def test_t_11_1(keeps: Keeps) -> None:
    """A record has the two keys of PEP 710, digests that are no longer weak, and no credentials."""
    await keeps("T-11.1")


async def test_t_11_2(keeps: Keeps) -> None:
    """The sha256 of a record is that of the page and of the bytes that are served."""
    await keeps("T-11.2")
