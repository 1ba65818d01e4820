"""Runs processes as where some packages are not installed: the extra `fast`, for example."""

import os
from pathlib import Path

HOOK = Path(__file__).with_name("absent")
"""The folder of a `sitecustomize` that hides modules from a process."""


def without(*modules: str) -> dict[str, str]:
    """Return variables with which a process, and all that it starts, finds all modules but these."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(HOOK)]
    return {"ABSENT_MODULES": ",".join(modules), "PYTHONPATH": os.pathsep.join([str(HOOK), *paths])}
