"""Third-party checks: distributions with modules, entry points and metadata, installed into a folder on the path."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from koschey.inspection.checks.check import GROUP

HEAD = """\
import os, time
from koschey.inspection.checks.check import Code, Finding, FindingAction, Severity, Skipped, content_of

class Check:
    name = {name!r}
    codes = {{"odd": Code("Something odd.", FindingAction.HOLD, Severity.WARNING)}}

    async def __call__(self, facts, path, previous):
{body}

CHECK = Check()
"""


def check_source(name: str, *body: str) -> str:
    """A module with one check whose body is these lines."""
    return HEAD.format(name=name, body="\n".join(f"        {line}" for line in body))


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, points: Mapping[str, str], module: str = "acme_checks"
) -> Path:
    """Install a distribution of one module, as an installer does; return the folder."""
    target = folder / module
    info = target / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (target / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
    monkeypatch.syspath_prepend(str(target))
    return target
