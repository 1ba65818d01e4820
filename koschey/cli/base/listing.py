"""Lists rows of the index: as a table for people, as JSON for programs."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.db.pool import Pool
from koschey.settings import Settings
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


def show_list[T](
    data: Path | None,
    read: Callable[[Pool], Awaitable[Sequence[T]]],
    table: Callable[[Sequence[T]], Table],
    none: str,
    *,
    as_json: bool,
) -> None:
    """Print what `read` returns: all of it as JSON, or as a table, or the sentence `none` if there is nothing."""

    async def show(settings: Settings) -> None:
        async with open_database(settings) as pool:
            found = await read(pool)
        if as_json:
            say_json(found)
        elif found:
            Terminal().print(table(found))
        else:
            Terminal().print(none)

    run_on(data, show)
