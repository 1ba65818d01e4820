"""The table as an SVG: a panel for each row, a bar for each contender, in colours that suit light and dark pages."""

import textwrap
from collections.abc import Iterator
from xml.sax.saxutils import escape

from benchmarks.peers.results import Column, Figure, Results, written
from benchmarks.peers.rows import Row

COLUMNS = 2
PANEL, GAP = 480, 28
BAR, PITCH = 14, 19
NAMES, FIGURES = 170, 90
"""Widths left and right of the bars."""
HEAD = 42
CHARACTERS = 140
"""Of a line of notes."""
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .unit, .note { fill: #59636e } .name { text-anchor: end }
.bar { fill: #8c959f } .own { fill: #0969da } .limit { fill: #d0d7de }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .unit, .note { fill: #9198a1 }
.bar { fill: #656c76 } .own { fill: #4493f8 } .limit { fill: #3d444d }
}
"""


def svg(results: Results) -> str:
    """Return the drawing."""
    rows = [row for row in results.rows if any(row.key in column.figures for column in results.columns)]
    height = HEAD + PITCH * len(results.columns) + GAP
    lines = -(-len(rows) // COLUMNS)
    notes = _notes(results)
    width, total = COLUMNS * PANEL + (COLUMNS + 1) * GAP, lines * height + len(notes) * PITCH + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}">',
        f"<style>{STYLE}</style>",
    ]
    for number, row in enumerate(rows):
        x, y = GAP + number % COLUMNS * (PANEL + GAP), GAP + number // COLUMNS * height
        parts += [f'<g transform="translate({x} {y})">', *_panel(results, row), "</g>"]
    for number, line in enumerate(notes):
        y = GAP + lines * height + number * PITCH
        parts.append(f'<text class="note" x="{GAP}" y="{y}">{escape(line)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _notes(results: Results) -> list[str]:
    facts = [f"medians of {results.rounds}", *(f"{name}: {value}" for name, value in results.machine.items())]
    versions = [f"{column.title}: {column.version}" for column in results.columns]
    return [*textwrap.wrap("; ".join(facts), CHARACTERS), *textwrap.wrap("; ".join(versions), CHARACTERS)]


def _panel(results: Results, row: Row) -> Iterator[str]:
    yield f'<text class="title" y="12">{escape(row.title.replace("`", ""))}</text>'
    better = "less is better" if row.less_is_better else "more is better"
    yield f'<text class="unit" y="29">{escape(row.unit)}, {better}</text>'
    longest = max(column.figures.get(row.key, Figure()).median or 0 for column in results.columns) or 1
    for number, column in enumerate(results.columns):
        y = HEAD + number * PITCH
        yield f'<text class="name" x="{NAMES - 8}" y="{y + 11}">{escape(column.title)}</text>'
        yield from _bar(column, row, longest, y)


def _bar(column: Column, row: Row, longest: float, y: int) -> Iterator[str]:
    figure = column.figures.get(row.key, Figure())
    middle = figure.median
    length = 0.0 if middle is None else max(1.0, (PANEL - NAMES - FIGURES) * middle / longest)
    kind = "limit" if column.limit else "own" if column.title.startswith("Koschey") else "bar"
    if middle is not None:
        yield f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
    label = str(figure) if middle is None else written(middle)
    yield f'<text x="{NAMES + length + 6:.1f}" y="{y + 11}">{label}</text>'
