"""Whether what a lock pins can be installed: what is held or blocked, until when, and which older release is free."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from koschey import __version__
from koschey.commands.check_reports import Checked, render_junit, render_sarif
from koschey.commands.index_api import IndexApi
from koschey.commands.locks import Lock, read_lock
from koschey.errors import StartError, UsageError
from koschey.quarantine.explanations import ASKABLE, Availability, describe
from koschey.terminal import say, say_json
from koschey.texts import shell_line


@dataclass(frozen=True, slots=True)
class Reports:
    """In which forms the result is wanted beside the table."""

    junit: Path | None = None
    sarif: Path | None = None
    as_json: bool = False


async def check_lock(path: Path, index: str, reports: Reports, out: Console) -> bool:
    """Check a lock and say what was found; returns whether everything is served.

    Raises `StartError` where the lock or the index cannot be read, or a report cannot be written.
    """
    lock = read_lock(path)
    async with IndexApi.open(index) as api:
        checked, shown = await _check(api, lock), api.shown
    _write(reports, checked)
    refused = [each for each in checked if not each.is_served]
    if reports.as_json:
        say_json(_as_json(checked, lock))
        return not refused
    if refused:
        out.print(_table(refused))
    say(*lock.passed_over, _summary(checked), *_advice(refused, shown))
    return not refused


async def _check(api: IndexApi, lock: Lock) -> list[Checked]:
    try:
        told = await api.preflight(list(lock.pins))
    except UsageError as error:
        raise StartError(f"{api.shown} does not take the list: {error}") from None
    return [Checked(pin, place, said) for (pin, place), said in zip(lock.pins.items(), told, strict=True)]


def _write(reports: Reports, checked: Sequence[Checked]) -> None:
    try:
        if reports.junit:
            reports.junit.write_text(render_junit(checked), "utf-8")
        if reports.sarif:
            reports.sarif.write_text(render_sarif(checked, __version__), "utf-8")
    except OSError as error:
        raise StartError(f"the report cannot be written: {error}") from None


def _table(refused: Iterable[Checked]) -> Table:
    table = Table("project", "version", "state", "until (UTC)", "why", "free")
    for each in refused:
        told = each.told
        until = f"{told.release_at:%Y-%m-%d %H:%M}" if told.release_at else ""
        table.add_row(told.project, told.version, told.state, until, told.reason, told.free or "")
    return table


def _summary(checked: Sequence[Checked]) -> str:
    counts = Counter(each.told.state for each in checked)
    said = [f"{counts[state]} {state}" for state in Availability if counts[state]]
    return f"{', '.join(said) or 'nothing'} of {len(checked)} pins{_when(checked)}"


def _when(checked: Sequence[Checked]) -> str:
    """Say when time alone frees what is held."""
    held = [each.told.release_at for each in checked if each.told.state is Availability.HELD]
    ends = [end for end in held if end]
    if not ends:
        return ""
    return f"; {'all' if len(ends) == len(held) else len(ends)} held free on {max(ends):%Y-%m-%d}"


def _advice(refused: Sequence[Checked], index: str) -> list[str]:
    """Return the command that asks for everything that a reviewer can let out."""
    wanted = dict.fromkeys(
        f"{each.told.project}=={each.told.version}" for each in refused if each.told.state in ASKABLE
    )
    if not wanted:
        return []
    request = shell_line("koschey", "request", *wanted)
    return [f"ask for all: {request} --reason WHY --index {index}"]


def _as_json(checked: Sequence[Checked], lock: Lock) -> dict[str, Any]:
    pins = []
    for each in checked:
        fields = describe(each.told)
        del fields["files"]
        pins.append(fields | {"file": str(each.place.file), "line": each.place.line})
    return {"served": all(each.is_served for each in checked), "pins": pins, "passed_over": list(lock.passed_over)}
