"""What the commands about the policy share: what counts without a rule, and how rules and changes are shown."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import click

from koschey.governance.changes import PolicyOutcome
from koschey.governance.effects import Effects
from koschey.governance.preview import Usual
from koschey.governance.terms import scope_text
from koschey.policy.advisories import Feed
from koschey.policy.changes import RuleChange
from koschey.policy.prediction import Prediction
from koschey.policy.rules import Rule
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say, say_json

SUBJECT = click.option("--subject", metavar="CHECK[/CODE]", help="The check, or one of its codes; for the kind check.")


def usual_of(settings: Settings) -> Usual:
    """Return what counts where no rule says otherwise."""
    return Usual(settings.window, Feed(settings.feed_max_age) if settings.advisories else None)


def print_outcome(outcome: PolicyOutcome, *, as_json: bool) -> None:
    """Print what a change of the policy did."""
    if as_json:
        changed = [change_as_json(change) for change in outcome.changes]
        fields: dict[str, object] = {
            "serial": outcome.serial,
            "rules": changed,
            "releases_judged_anew": outcome.rejudged,
        }
        fields |= _effects_as_json(outcome.effects)
        say_json(fields)
        return
    for line in change_lines(outcome.changes):
        say(line)
    if outcome.serial is None:
        say("nothing to change")
    else:
        checked = f"{outcome.rejudged} held release{'' if outcome.rejudged == 1 else 's'} re-checked"
        say(f"serial {outcome.serial}, {checked}")
    for sentence in outcome.effects.sentences:
        say(sentence)


def change_lines(changes: Iterable[RuleChange]) -> Iterator[str]:
    """Yield a line for each rule that changes."""
    for change in changes:
        before = f" (was {rule_terms(change.before)})" if change.before and change.after else ""
        yield f"{change.mark} {rule_name(change.rule)}: {rule_terms(change.rule)}{before}"


def change_as_json(change: RuleChange) -> dict[str, object]:
    """Return the change of a rule, for machines."""

    def shown(rule: Rule | None) -> dict[str, object] | None:
        return rule_as_json(rule) if rule else None

    return {"change": change.mark, "before": shown(change.before), "after": shown(change.after)}


def rule_as_json(rule: Rule) -> dict[str, object]:
    """Return a rule for machines."""
    return {
        "kind": rule.kind,
        "scope": scope_text(rule),
        "subject": rule.subject or None,
        "value": rule.value or None,
        "reason": rule.reason,
        "author": rule.actor,
        "ends": time_or_none(rule.expires_at),
        "ticket": rule.ticket,
    }


def preview_as_json(predictions: Iterable[Prediction]) -> list[dict[str, object]]:
    """Return what would become of files, for machines."""
    return [
        {
            "project": prediction.item.file.project,
            "version": prediction.item.file.version,
            "filename": prediction.item.file.filename,
            "change": prediction.mark,
            "state": prediction.after.state,
            "why": prediction.after.reason,
            "release_at": time_or_none(prediction.release_at),
            "release_at_before": time_or_none(prediction.item.standing.release_at),
        }
        for prediction in predictions
    ]


def rule_name(rule: Rule) -> str:
    """Return kind, scope and subject of a rule."""
    return " ".join(filter(None, [rule.kind, scope_text(rule), rule.subject]))


def rule_terms(rule: Rule | None) -> str:
    """Return value, reason, ticket and end of a rule."""
    assert rule is not None
    ends = f", until {utc(rule.expires_at)}" if rule.expires_at else ""
    ticket = f" ({rule.ticket})" if rule.ticket else ""
    return f"{rule.value + ', ' if rule.value else ''}{rule.reason}{ticket}{ends}"


def utc(moment: datetime) -> str:
    """Return a moment for people."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def time_or_none(moment: datetime | None) -> str | None:
    """Return a moment for JSON."""
    return format_time(moment) if moment else None


def _effects_as_json(effects: Effects) -> dict[str, object]:
    """Return what a change did and left, for machines."""
    return {
        "files_served_no_more": effects.closed,
        "files_served_again": effects.opened,
        "mirrored": [name._asdict() for name in effects.mirrored_names.names],
        "still_blocked": [
            {"project": each.project, "version": each.version, "files": each.files} for each in effects.still_blocked
        ],
    }
