"""The terminal: the only way in which commands print. It cleans every text, and reads none of them as markup.

A reason that a stranger sent must neither hide what stands beside it nor look like a line of Koschey's own.
"""

import json
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.text import Text

from koschey.texts import on_one_line


class Terminal(Console):
    """Prints tables and texts. Texts in them are plain: `[bold]` and `:smile:` are what they say."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text, which is a cell of a table or a line."""
        return super().render_str(on_one_line(text), **options)


def say(*lines: str, err: bool = False) -> None:
    """Print lines; a line break inside of one is shown as an escape."""
    for line in lines:
        click.echo(on_one_line(line), err=err)


def say_json(value: Any) -> None:
    """Print JSON in ASCII, on one line."""
    click.echo(json.dumps(msgspec.to_builtins(value)))


def write_document(text: str) -> None:
    """Write a document for programs as it is; what may not stand in it is for its own form to escape."""
    click.echo(text, nl=False)


def emphasised(text: str, style: str) -> Text:
    """Return a text in a style of Koschey's own, cleaned."""
    return Text(on_one_line(text), style=style)
