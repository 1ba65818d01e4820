"""Showing the policy: its rules, what they come to for a release, and what is served only under observation."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from koschey.commands.database import open_database
from koschey.governance.effects import Effects
from koschey.governance.preview import Usual
from koschey.governance.report import Explanation, FileExplained, PolicyShown, explain, observed, show_policy
from koschey.governance.terms import scope_text
from koschey.policy.changes import RuleChange
from koschey.policy.findings import KnownCheck
from koschey.policy.outlook import Outlook
from koschey.policy.rules import Rule, RuleKind
from koschey.settings import Settings
from koschey.standards.names import parse_name, parse_scope
from koschey.standards.simple_json import format_time
from koschey.terminal import emphasised, say_json


async def show(settings: Settings, project: str | None, *, as_json: bool, out: Console) -> None:
    """Print all rules, or those that cover one project, and what counts where none says otherwise."""
    name = parse_name(project) if project is not None else None
    async with open_database(settings) as pool, pool.acquire() as connection:
        shown = await show_policy(connection, name)
    if as_json:
        say_json(_shown_as_json(shown, settings.quarantine_days))
        return
    for rule in _observing(shown):
        warning = f"OBSERVATION IS ON for {scope_text(rule)}: what would be held there is served"
        out.print(emphasised(warning, "bold red"))
    out.print(_rules_table(shown.rules.rules) if shown.rules.rules else "No rule is in force.")
    out.print(
        f"Where no rule says otherwise, a new file is held for {settings.quarantine_days:g} days.", soft_wrap=True
    )
    if shown.checks:
        out.print(_checks_table(shown.checks))


async def explain_scope(settings: Settings, scope: str, usual: Usual, *, as_json: bool, out: Console) -> None:
    """Print what decides about a project or a release. Raises `NotKnown` where there is no such release."""
    project, version = parse_scope(scope)
    async with open_database(settings) as pool, pool.acquire() as connection:
        explained = await explain(connection, project, version, usual)
    if as_json:
        say_json(_explanation_as_json(explained))
        return
    for line in _explanation_lines(explained):
        out.print(line, soft_wrap=True)


async def show_observed(settings: Settings, usual: Usual, *, as_json: bool, out: Console) -> None:
    """Print what is served only because of observation, and what would become of it without."""
    async with open_database(settings) as pool, pool.acquire() as connection:
        found = await observed(connection, usual)
    if as_json:
        say_json(preview_as_json(found))
    elif found:
        out.print(_observed_table(found))
    else:
        out.print("Nothing is served only because of observation.")


def change_lines(changes: Iterable[RuleChange]) -> Iterator[str]:
    """Yield a line for each rule that changes."""
    for change in changes:
        before = f" (was {_said(change.before)})" if change.before and change.after else ""
        yield f"{change.mark} {_name(change.rule)}: {_said(change.rule)}{before}"


def outlook_line(outlook: Outlook) -> str:
    """Return the line about one file that a change would reach."""
    file = outlook.item.file
    return f"{outlook.mark} {file.project} {file.version} {file.filename}: {_why(outlook)}"


def preview_as_json(outlooks: Iterable[Outlook]) -> list[dict[str, object]]:
    """Return what would become of files, for machines."""
    return [
        {
            "project": outlook.item.file.project,
            "version": outlook.item.file.version,
            "filename": outlook.item.file.filename,
            "change": outlook.mark,
            "state": outlook.after.state,
            "why": outlook.after.reason,
            "release_at": _time(outlook.release_at),
            "release_at_before": _time(outlook.item.standing.release_at),
        }
        for outlook in outlooks
    ]


def effects_as_json(effects: Effects) -> dict[str, object]:
    """Return what a change did and left, for machines."""
    return {
        "files_served_no_more": effects.closed,
        "files_served_again": effects.opened,
        "mirrored": [name._asdict() for name in effects.late.names],
        "still_blocked": [
            {"project": each.project, "version": each.version, "files": each.files} for each in effects.still_blocked
        ],
    }


def rule_as_json(rule: Rule) -> dict[str, object]:
    """Return a rule for machines."""
    return {
        "kind": rule.kind,
        "scope": scope_text(rule),
        "subject": rule.subject or None,
        "value": rule.value or None,
        "reason": rule.reason,
        "author": rule.actor,
        "ends": _time(rule.expires_at),
        "ticket": rule.ticket,
    }


def _why(outlook: Outlook) -> str:
    if not outlook.moves_release:
        return outlook.after.reason
    before, after = outlook.item.standing.release_at, outlook.release_at
    instead = f"instead of {_shown_time(before)}" if before else "instead of by a person alone"
    moved = f"would be released on {_shown_time(after)}" if after else "would be released by a person alone"
    return f"{moved}, {instead}; {outlook.after.reason}"


def _name(rule: Rule) -> str:
    return " ".join(filter(None, [rule.kind, scope_text(rule), rule.subject]))


def _said(rule: Rule | None) -> str:
    assert rule is not None
    ends = f", until {_shown_time(rule.expires_at)}" if rule.expires_at else ""
    ticket = f" ({rule.ticket})" if rule.ticket else ""
    return f"{rule.value + ', ' if rule.value else ''}{rule.reason}{ticket}{ends}"


def _shown_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _observing(shown: PolicyShown) -> Sequence[Rule]:
    return [rule for rule in shown.rules.rules if rule.kind is RuleKind.OBSERVED]


def _rules_table(rules: Sequence[Rule]) -> Table:
    table = Table("kind", "scope", "subject", "value", "why", "by", "ends (UTC)", "ticket")
    for rule in rules:
        ends = f"{rule.expires_at:%Y-%m-%d %H:%M}" if rule.expires_at else "never"
        cells = (rule.kind, scope_text(rule), rule.subject, rule.value, rule.reason, rule.actor, ends, rule.ticket)
        table.add_row(*(cell or "" for cell in cells))
    return table


def _checks_table(checks: Sequence[KnownCheck]) -> Table:
    table = Table("check", "can find", "proposes", title="Checks that are known", title_justify="left")
    for check in checks:
        for code, action in sorted(check.proposed.items()):
            table.add_row(check.name, code, action)
    return table


def _observed_table(found: Sequence[Outlook]) -> Table:
    table = Table("project", "version", "file", "would be", "until (UTC)", "why")
    for outlook in found:
        file, until = outlook.item.file, outlook.release_at
        ends = f"{until:%Y-%m-%d %H:%M}" if until else "a person decides"
        cells = (file.project, file.version, file.filename, outlook.after.state, ends, outlook.after.reason)
        table.add_row(*(cell for cell in cells))
    return table


def _shown_as_json(shown: PolicyShown, days: float) -> dict[str, object]:
    return {
        "observed": [scope_text(rule) for rule in _observing(shown)],
        "window_days": days,
        "rules": [rule_as_json(rule) for rule in shown.rules.rules],
        "checks": [{"name": check.name, "proposes": dict(sorted(check.proposed.items()))} for check in shown.checks],
    }


def _explanation_lines(explained: Explanation) -> Iterator[str]:
    known = "" if explained.is_known else " (not known here yet; it would be mirrored)"
    yield f"{explained.project}{f'=={explained.version}' if explained.version else ''}{known}"
    if not explained.rules:
        yield "  no rule covers it"
    for rule, decides in explained.rules:
        yield f"  {'>' if decides else ' '} {_name(rule)}: {_said(rule)}, by {rule.actor}"
    for each in explained.files:
        yield from _file_lines(each)


def _file_lines(each: FileExplained) -> Iterator[str]:
    file, standing, judged = each.item.file, each.item.standing, each.verdict
    yield f"{file.filename}: {standing.state}, {'served' if judged.served else 'not served'}: {judged.reason}"
    ends = f" until {_shown_time(standing.release_at)}" if standing.release_at and standing.state == "held" else ""
    yield f"    window: {each.window}{ends}"
    yield f"    checks: through {_listed(sorted(each.evidence.completed))}; missing {_listed(each.missing)}"
    for fault in each.evidence.faults:
        yield f"    {fault.check} failed: {fault.cause}"
    for finding, action in each.findings:
        yield f"    {finding.check}/{finding.code} ({finding.severity}), {action}: {finding.summary}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _explanation_as_json(explained: Explanation) -> dict[str, Any]:
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
        "release_at": _time(standing.release_at),
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
