"""What a command loads: a package that it does not need would cost each start of it, up to a second."""

import subprocess
import sys

import pytest

from koschey.cli import cli

SERVERS = {"granian", "hypercorn", "jinja2", "quart", "uvloop", "werkzeug"}
STORE = {"aioboto3", "aiobotocore", "boto3", "botocore"}
ENGINE = {"activities", "temporalio", "workflows"}
SIGNATURES = {"cryptography", "pypi_attestations", "sigstore"}
PAGES = {"bs4", "pypi_simple", "requests"}
UPLOADS = {"argon2", "email_validator", "nh3", "readme_renderer", "trove_classifiers"}
RARE = SERVERS | STORE | ENGINE | SIGNATURES | PAGES | UPLOADS | {"cyclonedx", "pydantic_settings", "structlog"}
"""What no command needs that only asks the database or an index."""

CLIENT = {"check", "conformance", "provenance"}
"""Commands that only talk to an index."""
BOTH = {"explain", "request"}
"""Commands that talk to an index, or else to the database."""
PROCESSES = {"migrate", "up", "web", "worker"}
OTHERS = {"upload-rules"}
"""Their table is made of the rules that uploads are checked by."""


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stderr.split())


def modules_of(words: set[str]) -> set[str]:
    """The modules that these commands load, all in one process."""
    assert words <= set(cli.list_commands(cli.make_context("koschey", [], resilient_parsing=True)))
    return modules_after(f"from koschey.cli import cli\nfor word in {sorted(words)}: cli.get_command(None, word)")


def test_help_loads_no_command() -> None:
    """The version, the tables of commands and a suggestion are shown by click and the standard library alone."""
    heavy = RARE | {"aiohttp", "asyncio", "asyncpg", "msgspec", "packaging", "pydantic", "rich"}
    for arguments in (["--version"], ["--help"], ["policy", "--help"], ["aprove"]):
        loaded = modules_after(
            "from koschey.cli import cli\n"
            f"try:\n    cli({arguments})\n"
            "except SystemExit:\n    pass\n"
            "import sys\nsys.stderr.flush()"
        )
        assert "koschey.cli" in loaded
        assert loaded & heavy == set(), arguments


def test_database_commands() -> None:
    """A command that asks the database loads its client, the settings and the terminal, and no server."""
    words = set(cli.list_commands(cli.make_context("koschey", [], resilient_parsing=True)))
    words -= CLIENT | BOTH | PROCESSES | OTHERS
    assert {"quarantine", "approve", "policy", "downloads"} <= words
    loaded = modules_of(words)
    assert {"asyncpg", "pydantic", "rich"} <= loaded
    assert loaded & (RARE | {"aiohttp"}) == set()
    loaded = modules_after("import koschey.cli.policy.apply, koschey.cli.policy.show, koschey.cli.policy.set")
    assert "asyncpg" in loaded
    assert loaded & (RARE | {"aiohttp"}) == set()


@pytest.mark.parametrize("word", sorted(CLIENT))
def test_client_commands(word: str) -> None:
    """A command that only talks to an index loads an HTTP client, and neither database, bucket, engine nor server."""
    loaded = modules_of({word})
    assert "aiohttp" in loaded
    sbom = {"cyclonedx"} if word == "provenance" else set()
    assert loaded & (RARE - sbom | {"asyncpg", "koschey.db"}) == set()


def test_commands_that_talk_to_either() -> None:
    """They load both clients, and nothing else."""
    loaded = modules_of(BOTH)
    assert {"aiohttp", "asyncpg"} <= loaded
    assert loaded & RARE == set()


def test_koschey_up() -> None:
    """`koschey up` starts programs; it loads nothing of what they do but the hashing of its first password."""
    assert modules_of({"up"}) & (RARE | {"aiohttp"}) == {"argon2"}


def test_processes_start_without_what_is_rare() -> None:
    """Neither web nor worker loads Sigstore, or the reader of HTML pages, before it is needed."""
    for module in ("koschey.app", "koschey.cli.worker"):
        assert modules_after(f"import {module}") & (SIGNATURES | PAGES) == set(), module


def test_the_parent_of_web_processes() -> None:
    """`koschey web` loads the application only in the processes that it starts."""
    loaded = modules_after("import koschey.serve")
    assert {"asyncpg", "pydantic"} <= loaded
    assert loaded & (RARE - {"structlog"} | {"aiohttp", "koschey.app"}) == set()
