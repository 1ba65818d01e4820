"""Sections 10 and 11: provenance."""

from tests.conformance.examined import Keeps


async def test_t_10_2(keeps: Keeps) -> None:
    """A provenance URL is absolute and on a secure origin."""
    await keeps("T-10.2")


async def test_t_11_1(keeps: Keeps) -> None:
    """A record has the two keys of PEP 710, no weak digest and no credentials."""
    await keeps("T-11.1")


async def test_t_11_2(keeps: Keeps) -> None:
    """A record has the same sha256 as the page and the served bytes."""
    await keeps("T-11.2")
