"""Parts of the panel's pages: releases that wait, and how spans, sizes and details are shown."""

from datetime import timedelta

import pytest

from koschey.admin.show import show_detail, show_distance, show_size
from koschey.db.browse import select_projects_like
from koschey.db.pool import Pool
from koschey.model import State
from tests.support.pending import read_part
from tests.support.rows import NOON, add_project, new_file


async def test_waiting_releases_are_grouped_and_found(pool: Pool) -> None:
    """Releases that wait are one row a state, found by any part of the name, in which % and _ are letters."""
    async with pool.acquire() as connection:
        later = NOON + timedelta(days=1)
        await add_project(
            connection,
            "alpha",
            [
                new_file("alpha-1.0-py3-none-any.whl", release_at=later),
                new_file("alpha-1.0-py2-none-any.whl", release_at=NOON),
                new_file("alpha-1.0-cp3-none-any.whl", State.CONFLICT),
                new_file("alpha-2.0-py3-none-any.whl", State.RELEASED),
            ],
        )
        await add_project(connection, "beta", [new_file("beta-1.0-py3-none-any.whl", release_at=later)])
    rows, total = await read_part(pool, limit=2)
    found = [(row.project, row.state, row.files, row.release_at) for row in rows]
    assert (found, total) == ([("alpha", State.HELD, 2, NOON), ("beta", State.HELD, 1, later)], 3)
    assert rows[0].reasons == ("a test",)
    rows, total = await read_part(pool, "lph")
    assert ({row.project for row in rows}, total) == ({"alpha"}, 2)
    for pattern in ("%", "_", "a%a", "\\"):
        assert await read_part(pool, pattern) == ([], 0)
        assert await select_projects_like(pool, pattern, limit=9) == []
    assert await select_projects_like(pool, "a", limit=9) == ["beta", "alpha"]


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(days=6, hours=3, minutes=59), "in 6 d 3 h"),
        (timedelta(days=400), "in 1 y 35 d"),
        (timedelta(hours=2), "in 2 h"),
        (timedelta(days=3, minutes=5), "in 3 d"),
        (timedelta(seconds=20), "in less than a minute"),
        (timedelta(0), "just now"),
        (timedelta(minutes=-61), "1 h 1 min ago"),
    ],
)
def test_distances_are_short(distance: timedelta, text: str) -> None:
    """A time reads as its distance in at most two units."""
    assert show_distance(NOON + distance, NOON) == text


def test_sizes_and_details_are_short() -> None:
    """Sizes have one unit; the reason of an entry comes first and nothing is shown that is not known."""
    assert [show_size(size) for size in (0, 999, 1000, 999_600, 12_345_678, 10**13)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.0 MB",
        "12 MB",
        "10 TB",
    ]
    assert show_detail({"state": "held", "reason": "why", "was": None}) == "why; state: held"
    assert show_detail({"first": ["a.whl", "b.whl"]}) == "first: a.whl, b.whl"
    assert show_detail({"n": list(range(1234))}) == "n: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,224 more"
