"""Explain which rules decide (>) about a project or a release, and the state of each of its files.

Example: koschey policy explain 'six==1.17.0'
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.policy.base import rule_as_json, rule_name, rule_terms, time_or_none, usual_of, utc
from koschey.governance.report import FileExplained, PolicyExplanation, explain
from koschey.settings import Settings
from koschey.standards.names import parse_scope
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


@click.command("explain", help=__doc__)
@click.argument("scope", metavar="NAME[==VERSION]")
@DATA
@JSON
def command(scope: str, data: Path | None, *, as_json: bool) -> None:
    """Print what decides."""
    run_on(data, lambda settings: _explain(settings, scope, as_json=as_json))


async def _explain(settings: Settings, scope: str, *, as_json: bool) -> None:
    project, version = parse_scope(scope)
    async with open_database(settings) as pool, pool.acquire() as connection:
        explained = await explain(connection, project, version, usual_of(settings))
    if as_json:
        say_json(_explanation_as_json(explained))
        return
    out = Terminal()
    for line in _explanation_lines(explained):
        out.print(line, soft_wrap=True)


def _explanation_lines(explained: PolicyExplanation) -> Iterator[str]:
    known = "" if explained.is_known else " (not known here yet; it would be mirrored)"
    yield f"{explained.project}{f'=={explained.version}' if explained.version else ''}{known}"
    if not explained.rules:
        yield "  no rule covers it"
    for rule, decides in explained.rules:
        yield f"  {'>' if decides else ' '} {rule_name(rule)}: {rule_terms(rule)}, by {rule.actor}"
    for each in explained.files:
        yield from _file_lines(each)


def _file_lines(each: FileExplained) -> Iterator[str]:
    file, standing, judged = each.item.file, each.item.standing, each.verdict
    yield f"{file.filename}: {standing.state}, {'served' if judged.served else 'not served'}: {judged.reason}"
    ends = f" until {utc(standing.release_at)}" if standing.release_at and standing.state == "held" else ""
    yield f"    window: {each.window}{ends}"
    yield f"    checks: completed {_listed(sorted(each.evidence.completed))}; missing {_listed(each.missing)}"
    for fault in each.evidence.faults:
        yield f"    {fault.check} failed: {fault.cause}"
    for finding, action in each.findings:
        yield f"    {finding.check}/{finding.code} ({finding.severity}), {action}: {finding.summary}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _explanation_as_json(explained: PolicyExplanation) -> dict[str, Any]:
    return {
        "project": explained.project,
        "version": explained.version,
        "known": explained.is_known,
        "rules": [{**rule_as_json(rule), "decides": decides} for rule, decides in explained.rules],
        "files": [_file_as_json(each) for each in explained.files],
    }


def _file_as_json(each: FileExplained) -> dict[str, Any]:
    file, standing = each.item.file, each.item.standing
    return {
        "filename": file.filename,
        "version": file.version,
        "sha256": file.sha256,
        "state": standing.state,
        "served": each.verdict.served,
        "reason": each.verdict.reason,
        "release_at": time_or_none(standing.release_at),
        "window": each.window,
        "checks": {
            "through": sorted(each.evidence.completed),
            "faulty": {fault.check: fault.cause for fault in each.evidence.faults},
            "missing": list(each.missing),
        },
        "findings": [
            {
                "check": finding.check,
                "code": finding.code,
                "severity": finding.severity,
                "action": action,
                "summary": finding.summary,
                "evidence": finding.evidence,
            }
            for finding, action in each.findings
        ],
    }
