"""The command line as a whole: its words are modules, and its help is complete."""

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from koschey.cli import cli
from koschey.cli.base.lazy_group import LazyGroup


def walk(group: LazyGroup, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, by all words that a user types."""
    for word, command in group.load_commands().items():
        yield " ".join((*words, word)), command
        if isinstance(command, LazyGroup):
            yield from walk(command, (*words, word))


COMMANDS = dict(walk(cli))


def run(*arguments: str) -> tuple[int, str]:
    """Run a command line in this process; return its exit code and all that it printed."""
    done = CliRunner().invoke(cli, arguments)
    return done.exit_code, done.output


def test_words_are_modules() -> None:
    """Every module but `base` is a command, and the command is called as its module is."""
    assert {"downloads", "release-name", "except", "policy set", "upload-rules set"} <= set(COMMANDS)
    assert not {"base", "policy base"} & set(COMMANDS)
    for words, command in COMMANDS.items():
        assert command.name == words.split()[-1]


@pytest.mark.parametrize("words", COMMANDS)
def test_help_is_whole_sentences_with_an_example(words: str) -> None:
    """Each help begins with a sentence and ends with an example of the command, which the command line parses."""
    *paragraphs, example = (COMMANDS[words].help or "").split("\n\n")
    for paragraph in paragraphs:
        assert paragraph[0].isupper(), paragraph
        assert paragraph.endswith("."), paragraph
    assert example.startswith(f"Example: koschey {words}"), example
    typed = shlex.split(example.removeprefix("Example: koschey "))
    length = max(count for count in range(1, len(typed) + 1) if " ".join(typed[:count]) in COMMANDS)
    command = COMMANDS[" ".join(typed[:length])]
    assert command.make_context(typed[length - 1], typed[length:]).command is command


@pytest.mark.parametrize("words", COMMANDS)
def test_options_have_a_help(words: str) -> None:
    """Every option that is shown says what it does."""
    for parameter in COMMANDS[words].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert (parameter.help or "")[:1].isupper(), parameter.name


@pytest.mark.parametrize("group", ["", "policy ", "upload-rules "])
def test_table_of_commands(group: str) -> None:
    """The help of a group names each of its commands with the first sentence of that command's help, uncut."""
    code, shown = run(*group.split(), "--help")
    assert code == 0
    table = " ".join(shown.partition("Commands:\n")[2].split())
    for words, command in COMMANDS.items():
        if words.startswith(group) and " " not in (word := words.removeprefix(group)):
            sentence = command.get_short_help_str(500)
            assert sentence.endswith("."), sentence
            assert f"{word} {sentence}" in table


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["aprove"], "approve"),
        (["download"], "downloads"),
        (["quar"], "quarantine"),
        (["release_name"], "release-name"),
        (["policy", "explian"], "explain"),
        (["upload-rules", "est"], "set"),
    ],
)
def test_mistyped_command(typed: list[str], meant: str) -> None:
    """A mistyped command is a usage error that suggests the nearest one."""
    code, said = run(*typed)
    assert code == 2
    assert f"No such command {typed[-1]!r}. Did you mean {meant!r}?" in said


def test_word_that_is_like_no_command() -> None:
    """Where no command is near nothing is suggested, and the word cannot steer the terminal; options stay options."""
    code, said = run("xyzzy\x1b[8m")
    assert code == 2
    assert "No such command 'xyzzy\\x1b[8m'.\n" in said
    code, said = run("--versoin")
    assert code == 2
    assert "No such option" in said
