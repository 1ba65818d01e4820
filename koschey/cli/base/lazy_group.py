"""Command groups whose commands are the modules of a package. A module is imported when its command is used."""

import ast
from difflib import get_close_matches
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

import click

SHARED = "base"
"""The module of a package that contains no command."""
LONGEST_SENTENCE = 500
"""Maximum length of a sentence in the table of commands, in characters; click cuts a longer one."""
LIKENESS = 0.5
"""Minimum similarity of a mistyped word and the command that is suggested; 1 means equal."""


class LazyGroup(click.Group):
    """A group of the commands in one package.

    The module `release_name` is the command `release-name`; an underscore at the end keeps a module's name apart from
    Python's keywords. A module defines the attribute `command`, and its docstring is the help. The table of commands is
    rendered from these docstrings without importing the modules.
    """

    def __init__(self, *, package: str, **options: Any) -> None:
        super().__init__(**options)
        folders = find_spec(package)
        assert folders is not None, package
        names = [each.name for each in iter_modules(folders.submodule_search_locations)]
        self._modules = {
            name.strip("_").replace("_", "-"): f"{package}.{name}" for name in sorted(names) if name != SHARED
        }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Return the words of all commands."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click calls it so
        """Import the command of a word; return None if it does not exist."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = import_module(self._modules[cmd_name]).command
        return command

    def load_commands(self) -> dict[str, click.Command]:
        """Import every command; return them by their words."""
        return {word: import_module(module).command for word, module in self._modules.items()}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a word. For a mistyped word, the usage error suggests the nearest command."""
        word = args[0]
        if word not in self._modules and not word.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(word, self._modules, n=1, cutoff=LIKENESS)
            ctx.fail(f"No such command {word!a}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click calls it so
        """Write the table of commands, each with the first sentence of its help."""
        rows = [(word, _first_sentence(module)) for word, module in self._modules.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class InheritingGroup(LazyGroup):
    """A group that is a command itself, and whose options also apply to its commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Make the options of the group the defaults of each of its commands."""
        given = {name: value for name, value in ctx.params.items() if value}
        ctx.default_map = dict.fromkeys(self.list_commands(ctx), given)
        return super().invoke(ctx)


def _first_sentence(module: str) -> str:
    """Return the first sentence of a module's docstring, without running the module."""
    found = find_spec(module)
    assert found is not None, module
    assert isinstance(found.loader, InspectLoader), module
    text = ast.get_docstring(ast.parse(found.loader.get_source(module) or ""))
    return click.Command(None, help=text).get_short_help_str(LONGEST_SENTENCE)
