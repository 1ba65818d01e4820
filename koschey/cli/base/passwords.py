"""Reads a new password from a file, or asks for it. It is never an argument: `ps` shows these."""

import sys
from pathlib import Path

import click

from koschey.auth.password_rules import check_password
from koschey.errors import StartError

PASSWORD_FILE = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Read the password from this file, '-' for standard input, instead of asking for it.",
)
NO_PASSWORD = click.option(
    "--no-password", is_flag=True, help="The account has no password: it uses tokens alone, for a build server."
)


def read_password(name: str, file: Path | None, *, none: bool) -> str | None:
    """Return the new password of an account; None if it is to have none.

    Raises `UsageError` for a password that the account may not have, and `StartError` if there is neither a file nor a
    terminal to ask.
    """
    if none and file is not None:
        raise click.UsageError("'--no-password' and '--password-file' exclude each other.")
    if none:
        return None
    password = _read(file) if file is not None else _ask(name)
    check_password(name, password)
    return password


def _read(file: Path) -> str:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"the password cannot be read from {file}: {error}") from None
    return text.removesuffix("\n").removesuffix("\r")


def _ask(name: str) -> str:
    if not is_terminal():
        raise StartError("there is no terminal to ask for the password: use --password-file, or --no-password")
    password: str = click.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True, err=True)
    return password


def is_terminal() -> bool:
    """Return whether there is a person to ask."""
    return sys.stdin.isatty()
