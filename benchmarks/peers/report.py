"""The table as text and as Markdown."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from benchmarks.peers.results import Column, Figure, Results

WIDTH = 240


def text(results: Results) -> str:
    """Return the table for a terminal: the median, and below it the spread."""
    table = Table("", "unit", show_lines=True)
    for column in results.columns:
        table.add_column(f"{column.title}\n{column.version}", justify="right")
    for row in results.rows:
        figures = [column.figures.get(row.key, Figure()) for column in results.columns]
        table.add_row(row.title, row.unit, *(f"{figure}\n{figure.spread}".strip() for figure in figures))
    console = Console(width=WIDTH, file=None, record=True, quiet=False)
    with console.capture() as captured:
        console.print(table)
        for line in notes(results):
            console.print(line, markup=False, highlight=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def markdown(results: Results) -> str:
    """Return the same as Markdown; the best index of a row is bold."""
    heads = [f"{column.title}<br>{column.version}" for column in results.columns]
    lines = [_line(["", "", *heads]), _line(["---", "---", *("---:" for _ in heads)])]
    for row in results.rows:
        best = results.best(row)
        cells = []
        for column in results.columns:
            figure = column.figures.get(row.key, Figure())
            middle = f"**{figure}**" if best is not None and figure.median == best else str(figure)
            cells.append(f"{middle}<br><small>{figure.spread}</small>" if figure.spread else middle)
        lines.append(_line([row.title, row.unit, *cells]))
    return "\n".join([*lines, "", *(f"* {line}" for line in notes(results)), ""])


def notes(results: Results) -> Iterator[str]:
    """Yield what a reader must know: the machine, the method, what was compared, and what failed."""
    yield "; ".join(f"{name}: {value}" for name, value in results.machine.items())
    yield f"medians of {results.rounds}, with the least and the greatest; upstream, load and index share the machine"
    for column in results.columns:
        yield _compared(column)
    yield from (f"failed: {failure}" for failure in results.failures)


def _compared(column: Column) -> str:
    parts = [f"{column.title}: {column.pages:,} pages and {column.files:,} files as the upstream's", *column.notes]
    return "; ".join(parts)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
