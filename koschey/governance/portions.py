"""Reads a whole list in portions, so that no statement returns very many rows."""

from collections.abc import Awaitable, Callable

PORTION = 500
"""Maximum number of rows that one statement lists."""


async def read_all[T](read_after: Callable[[T | None], Awaitable[list[T]]], size: int = PORTION) -> list[T]:
    """Return all items. `read_after` returns at most `size` of them, those after an item, or the first ones."""
    found = more = await read_after(None)
    while len(more) == size:
        more = await read_after(found[-1])
        found = [*found, *more]
    return found
