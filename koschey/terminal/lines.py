"""Prints lines, JSON and documents."""

import json
from collections.abc import AsyncIterator
from typing import Any

import click

from koschey.texts import on_one_line


def say(*lines: str, err: bool = False) -> None:
    """Print lines; a line break in one of them is shown as an escape."""
    for line in lines:
        click.echo(on_one_line(line), err=err)


def say_json(value: Any) -> None:
    """Print JSON in ASCII, on one line."""
    click.echo(_as_json(value))


async def say_json_items(items: AsyncIterator[Any]) -> None:
    """Print a JSON array as `say_json` does, one item after another: there may be very many."""
    before = "["
    async for item in items:
        click.echo(before + _as_json(item), nl=False)
        before = ", "
    click.echo("[]" if before == "[" else "]")


def write_document(text: str) -> None:
    """Write a document for programs unchanged; its format must escape what it may not contain."""
    click.echo(text, nl=False)


def _as_json(value: Any) -> str:
    import msgspec  # noqa: PLC0415 - the help, and what is said to people, needs none

    return json.dumps(msgspec.to_builtins(value))
