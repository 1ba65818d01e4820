"""Explain why a release is not served, until when, and which older release is served instead.

The command also prints the one with which you request the release.

Example: koschey explain 'six==1.17.0' --index http://localhost:8080/simple/
"""

import asyncio
from pathlib import Path

import click

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, INDEX_OR_DATABASE, JSON
from koschey.client.index_api import IndexApi
from koschey.errors import NotKnown
from koschey.model import State
from koschey.policy.availability import Availability, Explanation, FileAccount, describe
from koschey.quarantine.explanations import explain
from koschey.settings import Settings
from koschey.standards.names import parse_specifier
from koschey.standards.upstream_page import CAUSES
from koschey.terminal.lines import say, say_json


@click.command("explain", help=__doc__)
@click.argument("scope", metavar="NAME==VERSION")
@INDEX_OR_DATABASE
@DATA
@JSON
def command(scope: str, index: str | None, data: Path | None, *, as_json: bool) -> None:
    """Ask the index, or the database where no index is named."""
    if index is None:
        run_on(data, lambda settings: _explain_here(settings, scope, as_json=as_json))
    else:
        asyncio.run(_explain_there(index, scope, as_json=as_json))


async def _explain_here(settings: Settings, scope: str, *, as_json: bool) -> None:
    project, version = parse_specifier(scope)
    async with open_database(settings) as pool:
        _show(await explain(pool, project, version, settings.window), as_json=as_json)


async def _explain_there(index: str, scope: str, *, as_json: bool) -> None:
    project, version = parse_specifier(scope)
    async with IndexApi.open(index) as api:
        _show(await api.explain(project, version), as_json=as_json)


def _show(explanation: Explanation, *, as_json: bool) -> None:
    if explanation.state is Availability.MISSING:
        raise NotKnown(f"{explanation.project}=={explanation.version}: {explanation.reason}")
    if as_json:
        say_json(describe(explanation))
    else:
        say(*_lines(explanation))


def _lines(explanation: Explanation) -> list[str]:
    end = explanation.release_at
    until = f" until {end:%Y-%m-%d %H:%M} UTC" if end else ""
    lines = [f"{explanation.project} {explanation.version} is {explanation.state}{until}"]
    if explanation.reason:
        lines.append(f"  why:     {explanation.reason}")
    findings = dict.fromkeys(finding for file in explanation.files for finding in file.findings)
    lines += [f"  found:   {finding}" for finding in findings]
    if len(explanation.files) > 1:
        lines += [f"  file:    {file.filename} is {_say_state(file)}" for file in explanation.files]
    lines += [f"  left out: {file.name}: {CAUSES[file.cause]}" for file in explanation.left_out]
    if explanation.state is not Availability.SERVED:
        lines.append(
            f"  instead: {f'{explanation.project} {explanation.free}' if explanation.free else 'no older version'}"
        )
    if explanation.request:
        lines.append(f"  request: {explanation.request} --reason WHY")
    return lines


def _say_state(file: FileAccount) -> str:
    if file.served:
        return "served"
    return f"{file.state}: {file.reason}" if file.state is State.MALFORMED else file.state
