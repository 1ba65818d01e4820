"""Reads the settings from the environment and from the file of `koschey up`, and reports invalid ones."""

import os
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from koschey.errors import StartError
from koschey.settings.settings import PREFIX, Settings

NOT_SETTINGS = frozenset({PREFIX + "DATA"})
"""Variables that only the commands read, such as the folder of `koschey up`."""


def load_settings(*, file: Path | None = None) -> Settings:
    """Read the settings: the environment has priority over the file that `koschey up` wrote.

    Raises `StartError` with one line that names every unknown or invalid setting.
    """
    _refuse_unknown()
    if file is not None and file.exists():
        _require_readable(file)
    return _parse(_env_file=file)


def load_instance(file: Path) -> Settings:
    """Read the settings of one instance of `koschey up`: its file has priority over the environment.

    Raises `StartError` as `load_settings` does, and if the file does not exist.
    """
    _refuse_unknown()
    if not file.exists():
        raise StartError(f"{file} does not exist; run `koschey up --data {file.parent}` first")
    _require_readable(file)
    stated = {name: value for name, value in dotenv_values(file, interpolate=False).items() if value}
    return _parse(**{name.removeprefix(PREFIX).lower(): value for name, value in stated.items()})


def _refuse_unknown() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise StartError(f"unknown setting {', '.join(unknown)}; docs/reference/settings.md lists all settings")


def _require_readable(file: Path) -> None:
    if not os.access(file, os.R_OK):
        raise StartError(f"{file} belongs to another user; set KOSCHEY_DATABASE_URL or run as its owner")


def _parse(**given: Any) -> Settings:
    try:
        return Settings(**given)
    except ValidationError as error:
        raise StartError("; ".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: ErrorDetails) -> str:
    where = "_".join(str(part) for part in problem["loc"]).upper()
    what = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":  # only the file can contain one, and its names have the prefix
        return f"unknown setting {where}; docs/reference/settings.md lists all settings"
    if problem["type"] == "missing":
        return f"{PREFIX}{where} is not set; run `koschey up`, or set it to your own server"
    return f"{PREFIX}{where}: {what}" if where else what
