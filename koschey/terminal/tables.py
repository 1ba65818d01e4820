"""Prints tables and styled texts, by rich."""

from typing import Any

from rich.console import Console
from rich.text import Text

from koschey.texts import on_one_line


class Terminal(Console):
    """Prints tables and texts. Their texts are plain: `[bold]` and `:smile:` are shown as they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text, which is a cell of a table or a line."""
        return super().render_str(on_one_line(text), **options)


def emphasised(text: str, style: str) -> Text:
    """Return a text in a style of Koschey's own, cleaned."""
    return Text(on_one_line(text), style=style)
