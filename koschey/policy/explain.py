"""Explains a state: which rules cover a release, which of them decide, and why a window ends when it does."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from koschey.model import File, Standing, State
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.policy.windows import window_of


def deciding(rules: Rules, version: str | None) -> Sequence[tuple[Rule, bool]]:
    """Return the rules about a version, each with whether it decides its kind; otherwise a narrower rule does.

    Without a version, return all rules. A rule about the whole project then decides if it does for future versions.
    """
    covering = [rule for rule in rules.rules if version is None or rule.version in (None, version)]
    return [(rule, rules.find(rule.kind, version or rule.version or "", rule.subject) is rule) for rule in covering]


def why_window(file: File, standing: Standing, rules: Rules, usual: timedelta) -> str:
    """Return one sentence that says when time may release a file, and which rule or setting decides that."""
    if standing.state is not State.HELD:
        return f"the file is {standing.state}; no window applies"
    if allowed := rules.find(RuleKind.ALLOWED_ONLY, file.version):
        return f"no file is released automatically: {_named(allowed)}"
    if standing.counts_from is None:
        return "a reviewer must decide about the file; no window applies"
    dated = file.upload_time is not None
    window, source = window_of(rules, file.version, usual, dated=dated), _source(rules, file.version, dated=dated)
    if window is None:
        return f"the window never ends: {source}"
    start = f"{_days(window)} ({source}) from {_since(file, standing, rules)}"
    if standing.held_until and standing.release_at == standing.held_until:
        return f"{start}; a reviewer extended it to {standing.held_until:%Y-%m-%d %H:%M} UTC"
    return start


def _since(file: File, standing: Standing, rules: Rules) -> str:
    assert standing.counts_from is not None
    if (rule := rules.find(RuleKind.FIRST_SEEN, file.version)) and file.first_seen_at > standing.counts_from:
        return f"{file.first_seen_at:%Y-%m-%d %H:%M} UTC, when it was first seen: {_named(rule)}"
    return f"{standing.counts_from:%Y-%m-%d %H:%M} UTC, {_what_counts(file, standing.counts_from)}"


def _what_counts(file: File, start: datetime) -> str:
    if file.upload_time is None:
        return "when it was first seen; its upload time is unknown"
    if start == file.upload_time:
        return "its upload time"
    return "the last refresh of the page that did not list it, or when it was first seen"


def _source(rules: Rules, version: str, *, dated: bool) -> str:
    unknown = None if dated else rules.find(RuleKind.UNKNOWN_AGE, version)
    rule = unknown or rules.find(RuleKind.WINDOW, version)
    return _named(rule) if rule else "KOSCHEY_QUARANTINE_DAYS"


def _named(rule: Rule) -> str:
    return f"rule {rule.kind} {rule.scope}{f'=={rule.version}' if rule.version else ''}"


def _days(window: timedelta) -> str:
    days = window / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"
