"""Section 4: content negotiation."""

from tests.conformance.examined import Keeps


async def test_t_4_1(keeps: Keeps) -> None:
    """Every known client's Accept header gets the form that the client reads; one for no form gets 406."""
    await keeps("T-4.1")


async def test_t_4_2(keeps: Keeps) -> None:
    """The alias of the latest version gives the type of that version."""
    await keeps("T-4.2")


async def test_t_4_3(keeps: Keeps) -> None:
    """`?format=` wins over the Accept header."""
    await keeps("T-4.3")


async def test_t_4_4(keeps: Keeps) -> None:
    """The type of the JSON form has no parameters."""
    await keeps("T-4.4")
