"""Section 19: caching and transport."""

from tests.conformance.examined import Keeps


async def test_t_19_1(keeps: Keeps) -> None:
    """A request with a page's own ETag gets 304 without a body, with the same ETag and Vary."""
    await keeps("T-19.1")


async def test_t_19_2(keeps: Keeps) -> None:
    """Each form and each encoding of a page has a strong ETag of its own."""
    await keeps("T-19.2")


async def test_t_19_3(keeps: Keeps) -> None:
    """Files have ranges: from the start, from the end, open at the end; one beyond the end gives 416."""
    await keeps("T-19.3")


async def test_t_19_4(keeps: Keeps) -> None:
    """HEAD gives the headers of GET, and no body."""
    await keeps("T-19.4")


async def test_t_19_6(keeps: Keeps) -> None:
    """An archive is sent unchanged, without a Content-Encoding."""
    await keeps("T-19.6")
