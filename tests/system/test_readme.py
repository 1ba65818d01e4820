"""The README says what is so: its settings, its commands, its help."""

import re
import shlex
from pathlib import Path

import click
import pytest
from pydantic import AnyHttpUrl

from koschey.cli import cli
from koschey.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(cli.commands)


def settings_table() -> str:
    """The table of all settings, as it must stand in the README."""
    rows = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        value = field.get_default()
        default = "required" if field.is_required() else ("" if value in (None, "") else f"`{value}`")
        if isinstance(value, AnyHttpUrl):
            default = "PyPI"
        if isinstance(value, bool):
            default = f"`{str(value).lower()}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_settings_table() -> None:
    """Every setting stands in the README with its default and its meaning, and no other does."""
    table = re.search(r"<!-- settings: begin.*?-->\n(.*?)\n?<!-- settings: end -->", README, re.DOTALL)
    assert table
    assert table[1] == settings_table()


def console_lines() -> list[str]:
    """Every command that the README shows."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def test_readme_opens_with_the_two_commands() -> None:
    """The first commands are the one that runs everything and the one that passes the tests."""
    first, second = console_lines()[:2]
    assert first.startswith("pip install uv && uv run koschey up")
    assert second.startswith("pip install uv && uv run pytest")


@pytest.mark.parametrize("line", [line for line in console_lines() if line.startswith("koschey ")])
def test_shown_command_exists(line: str) -> None:
    """Each `koschey` command of the README is parsed by the command line as it stands."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = cli.commands[name]
    context = command.make_context(name, arguments)
    assert context.command is command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name: str) -> None:
    """No command is missing from the README, and each has a help that begins with a sentence."""
    assert f"koschey {name}" in README
    text = cli.commands[name].help or ""
    assert re.match(r"[A-Z].+\.", text), text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help(name: str) -> None:
    """Every option that is shown says what it does."""
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


def test_signals_of_the_readme_exist() -> None:
    """The signals and the query that the README names are those of the workflow."""
    from workflows.quarantine_release import QuarantineRelease  # noqa: PLC0415

    for name in re.findall(r"--name (\w+)", README):
        assert callable(getattr(QuarantineRelease, name))
