"""Reads the settings from the environment and from the file of `koschey up`, and reports invalid ones."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from koschey.errors import StartError
from koschey.settings.settings import PREFIX, Settings

NOT_SETTINGS = frozenset({PREFIX + "DATA"})
"""Variables that only the commands read, such as the folder of `koschey up`."""
VARIABLES = frozenset(PREFIX + name.upper() for name in Settings.model_fields)
"""The variables of all settings."""


def load_settings(*, file: Path | None = None) -> Settings:
    """Read the settings: the environment has priority over the file that `koschey up` wrote.

    Raises `StartError` with one line that names every unknown or invalid setting.
    """
    environment = _read_environment()
    stated = _read_file(file) if file is not None and file.exists() else {}
    return _parse(stated | environment)


def load_instance(file: Path) -> Settings:
    """Read the settings of one instance of `koschey up`: its file has priority over the environment.

    Raises `StartError` as `load_settings` does, and if the file does not exist.
    """
    environment = _read_environment()
    if not file.exists():
        raise StartError(f"{file} does not exist; run `koschey up --data {file.parent}` first")
    return _parse(environment | _read_file(file))


def _read_environment() -> dict[str, str]:
    """Return the variables that are not empty. Refuses those that only look like settings."""
    known = VARIABLES | NOT_SETTINGS
    _refuse(name for name in os.environ.keys() - known if name.startswith(PREFIX) or name.upper() in known)
    return {name: value for name, value in os.environ.items() if name in VARIABLES and value}


def _read_file(file: Path) -> dict[str, str]:
    """Return what the file states. Refuses every other name."""
    if not os.access(file, os.R_OK):
        raise StartError(f"{file} belongs to another user; set KOSCHEY_DATABASE_URL or run as its owner")
    stated = dotenv_values(file, interpolate=False)
    _refuse(stated.keys() - VARIABLES)
    return {name: value for name, value in stated.items() if value}


def _refuse(unknown: Iterable[str]) -> None:
    if names := sorted(unknown):
        raise StartError(f"unknown setting {', '.join(names)}; docs/reference/settings.md lists all settings")


def _parse(variables: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate({name.removeprefix(PREFIX).lower(): value for name, value in variables.items()})
    except ValidationError as error:
        raise StartError("; ".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: ErrorDetails) -> str:
    where = "_".join(str(part) for part in problem["loc"]).upper()
    what = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{PREFIX}{where} is not set; run `koschey up`, or set it to your own server"
    return f"{PREFIX}{where}: {what}" if where else what
