"""Section 3: versions and keys."""

from tests.conformance.examined import Keeps


async def test_t_3_1(keeps: Keeps) -> None:
    """JSON states api-version "1.4" ("1.5" only with namespaces), HTML always "1.4"."""
    await keeps("T-3.1")


async def test_t_3_2(keeps: Keeps) -> None:
    """Every JSON key is defined by the standard or begins with an underscore."""
    await keeps("T-3.2")
