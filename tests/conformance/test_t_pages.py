"""Sections 6 and 7: the pages of projects."""

from tests.conformance.examined import Keeps


async def test_t_6_1(keeps: Keeps) -> None:
    """Size, upload-time, yanked and project-status are never null or empty, and every file has a size."""
    await keeps("T-6.1")


async def test_t_6_2(keeps: Keeps) -> None:
    """Every file has a sha256, and no other hash."""
    await keeps("T-6.2")


async def test_t_6_3(keeps: Keeps) -> None:
    """The version of every file is among the page's versions."""
    await keeps("T-6.3")


async def test_t_7_1(keeps: Keeps) -> None:
    """HTML pages are valid HTML5, and the text of each link is the last segment of its URL."""
    await keeps("T-7.1")


async def test_t_7_2(keeps: Keeps) -> None:
    """Both forms of a page list the same files, with the same hashes and yanks."""
    await keeps("T-7.2")
