"""The documents say what is so: commands, links, names of files and tests, and pages that are made from the code."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs.generate import PAGES
from koschey.cli import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docker/README.md")]
DOCUMENTS = [*TOP, *sorted(DOCS.rglob("*.md"))]
GUIDES = [*TOP, *sorted(DOCS.glob("*.md"))]
"""Pages that people write; those of docs/reference are made from the code."""
COMMANDS = cli.load_commands()
MAX_PICTURE = 150_000
"""Bytes."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(path: Path) -> str:
    """The text of a page without its code blocks."""
    return re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)


def console_lines(path: Path) -> list[str]:
    """Every command that a page shows."""
    joined = "\n".join(re.findall(r"```console\n(.*?)```", path.read_text(), re.DOTALL)).replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def koschey_lines() -> list[str]:
    return sorted({line for page in GUIDES for line in console_lines(page) if line.startswith("koschey ")})


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name: str) -> None:
    """Each page that is made from the code is what `uv run python docs/generate.py` would write now."""
    assert (DOCS / name).read_text() == PAGES[name]()


def test_readme_opens_with_the_two_commands() -> None:
    """The first commands are the one that runs everything and the one that passes the tests."""
    first, second = console_lines(ROOT / "README.md")[:2]
    assert first.startswith("pip install uv && uv run koschey up")
    assert second.startswith("pip install uv && uv run pytest")


@pytest.mark.parametrize("line", koschey_lines())
def test_shown_command_exists(line: str) -> None:
    """Each `koschey` command that a guide shows is parsed by the command line as it stands."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = COMMANDS[name]
    context = command.make_context(name, arguments)
    assert context.command is command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_a_guide(name: str) -> None:
    """No command is missing from the guides, and each has a help that begins with a sentence."""
    assert any(re.search(rf"koschey {name}\b", page.read_text()) for page in GUIDES)
    text = COMMANDS[name].help or ""
    assert re.match(r"[A-Z].+\.", text), text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help(name: str) -> None:
    """Every option that is shown says what it does."""
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


def test_signals_of_the_page_exist() -> None:
    """The signals and the query that the page on Temporal names are those of the workflow."""
    from workflows.quarantine import Quarantine  # noqa: PLC0415

    names = set(re.findall(r"--name (\w+)", "\n".join(console_lines(DOCS / "temporal.md"))))
    assert names == {"extend", "decide", "approve", "reject"}
    for name in names:
        assert callable(getattr(Quarantine, name))


def links(path: Path) -> Iterator[str]:
    """Every link of a page that leads to another file, or to a heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path)):
        if "://" not in target:
            yield target


def anchors(path: Path) -> set[str]:
    """The headings of a page, as links name them."""
    titles = re.findall(r"^#+ (.+)$", without_code(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(path: Path) -> None:
    """Each link of a document leads to a file that exists, and to a heading of it."""
    for link in links(path):
        name, _, heading = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), link
        assert not heading or heading in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_named_files_exist(path: Path) -> None:
    """Each file of the repository that a document names is there."""
    named = re.findall(
        r"`((?:koschey|workflows|activities|tests|docs|docker|benchmarks)/[\w/.-]*)`", without_code(path)
    )
    assert [name for name in named if not name.endswith((".env", "-title.md")) and not (ROOT / name).exists()] == []


def test_where_is_what() -> None:
    """CONTRIBUTING names, for at least ten features, the file where each lives."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = re.search(r"## Where is what\n(.*?)\n## ", text, re.DOTALL)
    assert table
    rows = re.findall(r"^\| .+ \| `(\S+\.py)` \|$", table[1], re.MULTILINE)
    assert len(rows) >= 10
    assert [row for row in rows if not (ROOT / row).is_file()] == []


def test_promises_name_tests_that_exist() -> None:
    """Every promise of SECURITY names the tests that show it, and each of them exists."""
    rows = re.findall(r"^\| [A-Z][^|]+\. \| (.+) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert len(rows) >= 15
    for row in rows:
        for named in re.findall(r"`([^`]+)`", row):
            path, _, test = named.partition("::")
            tree = ast.parse((ROOT / path).read_text())
            found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert test in found if test else any(name.startswith("test_") for name in found), named


def test_pictures_are_small() -> None:
    """No picture makes a clone heavy."""
    pictures = [path for path in (DOCS / "images").iterdir() if path.suffix in (".png", ".svg")]
    assert pictures
    assert [relative(path) for path in pictures if path.stat().st_size > MAX_PICTURE] == []
