"""Check whether an index serves everything that a lock file pins.

FILE is a requirements*.txt, uv.lock, pylock.toml, poetry.lock or pdm.lock. Environment markers are not evaluated: the
command checks what is pinned for any platform. If a lock gives digests, the index must serve every file that has one
of them. Exit code 1: something is not served; 2: the command cannot find out.

Example: koschey check uv.lock --index http://localhost:8080/simple/ --sarif koschey.sarif
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from koschey import __version__
from koschey.cli.base.options import INDEX, JSON
from koschey.client.check_reports import render_junit, render_sarif
from koschey.client.checks import PinResult, check_pins
from koschey.client.index_api import IndexApi
from koschey.client.locks import Lock, read_lock
from koschey.errors import StartError
from koschey.policy.availability import ASKABLE, Availability, describe
from koschey.terminal.lines import say, say_json
from koschey.terminal.tables import Terminal
from koschey.texts import shell_line

REPORT = click.Path(path_type=Path)


@click.command("check", help=__doc__)
@click.argument("file", type=click.Path(path_type=Path))
@INDEX
@click.option("--junit", metavar="FILE", type=REPORT, help="Write a JUnit report for CI.")
@click.option("--sarif", metavar="FILE", type=REPORT, help="Write a SARIF 2.1.0 report for CI.")
@JSON
def command(file: Path, index: str, junit: Path | None, sarif: Path | None, *, as_json: bool) -> None:
    """Check the lock, write the reports, and print what is not served."""
    lock = read_lock(file)
    checked, shown = asyncio.run(_check(lock, index))
    if junit:
        _write(junit, render_junit(checked))
    if sarif:
        _write(sarif, render_sarif(checked, __version__))
    refused = [each for each in checked if not each.is_served]
    if as_json:
        say_json(_as_json(checked, lock))
    else:
        if refused:
            Terminal().print(_table(refused))
        say(*lock.skipped, _summary(checked), *_advice(refused, shown))
    if refused:
        sys.exit(1)


async def _check(lock: Lock, index: str) -> tuple[list[PinResult], str]:
    """Return what the index says of each pin, and its URL as messages may show it."""
    async with IndexApi.open(index) as api:
        return await check_pins(api, lock), api.shown


def _write(report: Path, text: str) -> None:
    try:
        report.write_text(text, "utf-8")
    except OSError as error:
        raise StartError(f"the report cannot be written: {error}") from None


def _table(refused: Iterable[PinResult]) -> Table:
    table = Table("project", "version", "state", "until (UTC)", "why", "instead")
    for each in refused:
        explanation = each.explanation
        until = f"{explanation.release_at:%Y-%m-%d %H:%M}" if explanation.release_at else ""
        table.add_row(
            explanation.project,
            explanation.version,
            explanation.state,
            until,
            explanation.reason,
            explanation.free or "",
        )
    return table


def _summary(checked: Sequence[PinResult]) -> str:
    counts = Counter(each.explanation.state for each in checked)
    said = [f"{counts[state]} {state}" for state in Availability if counts[state]]
    return f"{', '.join(said) or 'nothing'} of {len(checked)} pins{_when(checked)}"


def _when(checked: Sequence[PinResult]) -> str:
    """Say when the windows of held pins end."""
    held = [each.explanation.release_at for each in checked if each.explanation.state is Availability.HELD]
    ends = [end for end in held if end]
    if not ends:
        return ""
    return f"; the windows of {'all' if len(ends) == len(held) else len(ends)} held pins end by {max(ends):%Y-%m-%d}"


def _advice(refused: Sequence[PinResult], index: str) -> list[str]:
    """Return the command that requests every release that a reviewer can release."""
    wanted = dict.fromkeys(
        f"{each.explanation.project}=={each.explanation.version}"
        for each in refused
        if each.explanation.state in ASKABLE
    )
    if not wanted:
        return []
    request = shell_line("koschey", "request", *wanted)
    return [f"to request all: {request} --reason WHY --index {index}"]


def _as_json(checked: Sequence[PinResult], lock: Lock) -> dict[str, Any]:
    pins = []
    for each in checked:
        fields = describe(each.explanation)
        del fields["files"]
        pins.append(fields | {"file": str(each.place.file), "line": each.place.line})
    return {"served": all(each.is_served for each in checked), "pins": pins, "passed_over": list(lock.skipped)}
