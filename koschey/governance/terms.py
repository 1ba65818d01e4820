"""Parses rules as people write them: kinds, scopes, values and expiries; an error repeats what the person wrote.

A scope is a project, a release `name==version`, `name-*` for a name and all that begin with it and a hyphen,
`@upstream` for all mirrored projects, or `*` for everything.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from koschey.errors import UsageError
from koschey.governance.reservations import parse_pattern
from koschey.policy.changes import RuleKey, rule_key
from koschey.policy.findings import FindingAction
from koschey.policy.reasons import UNSTORABLE, parse_reason
from koschey.policy.rules import EVERYTHING, FLAGS, NEVER, UPSTREAM, Rule, RuleKind
from koschey.standards.names import parse_scope

MAX_DAYS = 3650
MAX_TICKET = 200
SPAN = re.compile(r"(?P<count>[0-9]{1,6}(\.[0-9]{1,6})?)(?P<unit>[mhdw])", re.ASCII)
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SUBJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?", re.ASCII)
WHOLE_NAMES = frozenset({RuleKind.RESERVED, RuleKind.TRUSTED})
"""Kinds that apply to whole names, and so not to a single release."""
SETTABLE = tuple(kind for kind in RuleKind if kind is not RuleKind.EXCEPTION)


@dataclass(frozen=True, slots=True)
class Terms:
    """A rule as a person wrote it."""

    kind: str
    scope: str
    value: str | None = None
    subject: str | None = None
    reason: str = ""
    expires: datetime | None = None
    ticket: str | None = None


def parse_rule(terms: Terms, actor: str, now: datetime) -> Rule:
    """Return the rule that the terms describe. Raises `UsageError` if they describe none."""
    kind = parse_kind(terms.kind)
    scope, version = parse_rule_scope(kind, terms.scope)
    reason = parse_reason(terms.reason)
    if terms.ticket is not None:
        _check_ticket(terms.ticket)
    if terms.expires is not None and terms.expires <= now:
        raise UsageError(
            f"the expiry {terms.expires:%Y-%m-%d %H:%M} UTC is not in the future; omit it for a rule that never expires"
        )
    return Rule(
        kind=kind,
        version=version,
        reason=reason,
        actor=actor,
        scope=scope,
        subject=parse_subject(kind, terms.subject),
        value=_parse_value(kind, terms.value),
        expires_at=terms.expires,
        ticket=terms.ticket,
    )


def parse_rules(terms: Sequence[Terms], actor: str, now: datetime) -> list[Rule]:
    """Return the rules of a whole policy. Raises `UsageError`, which says which rule is invalid or a duplicate."""
    where, rules = [f"rule {number}" for number in range(1, len(terms) + 1)], []
    for each, here in zip(terms, where, strict=True):
        try:
            rules.append(parse_rule(each, actor, now))
        except UsageError as error:
            raise UsageError(f"{here}: {error}") from None
    refuse_doubles(rules, where)
    return rules


def refuse_doubles(rules: Iterable[Rule], where: Iterable[str]) -> None:
    """Raise `UsageError` if two rules of one policy have the same key; `where` names each rule in the message."""
    seen: dict[RuleKey, str] = {}
    for rule, here in zip(rules, where, strict=True):
        if first := seen.get(rule_key(rule)):
            other = first.rpartition(": ")[2]
            raise UsageError(f"{here} has the same kind, scope and subject as {other}; keep one of them")
        seen[rule_key(rule)] = here


def scope_text(rule: Rule) -> str:
    """Return the scope of a rule as people write it."""
    return f"{rule.scope}=={rule.version}" if rule.version else rule.scope


def parse_kind(text: str) -> RuleKind:
    """Return the kind of rule. Raises `UsageError` for an unknown kind, and for an exception, which cannot be set."""
    if text == RuleKind.EXCEPTION:
        raise UsageError(
            "an exception is for bytes that exist, and expires; a reviewer makes it for a release: koschey except"
        )
    if text not in SETTABLE:
        raise UsageError(f"there is no kind {text[:80]!r} of rule; the kinds are {', '.join(SETTABLE)}")
    return RuleKind(text)


def parse_rule_scope(kind: RuleKind, text: str) -> tuple[str, str | None]:
    """Return the normalised scope, and the version if it is a release. Raises `UsageError` for an invalid scope."""
    text = text.strip()
    if text in (EVERYTHING, UPSTREAM):
        return text, None
    if text.startswith("@"):
        raise UsageError(f"{text[:80]!r} is not a scope; the scope of all mirrored projects is {UPSTREAM!r}")
    if "==" not in text:
        return parse_pattern(text), None
    if kind in WHOLE_NAMES:
        raise UsageError(f"{kind} applies to names, not to one release; write {text.partition('==')[0]!r}")
    return parse_scope(text)


def parse_subject(kind: RuleKind, text: str | None) -> str:
    """Return the subject of a rule: a check, or one code of it. Raises `UsageError` for an invalid subject."""
    if kind is not RuleKind.CHECK:
        if text:
            raise UsageError(f"{kind} accepts no subject; only {RuleKind.CHECK} does")
        return ""
    if not text:
        raise UsageError("give the check that the rule is about as the subject: CHECK or CHECK/CODE")
    if len(text) > 200 or not SUBJECT.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a check; write CHECK or CHECK/CODE, in lower-case letters with hyphens")
    return text


def parse_expiry(text: str, now: datetime) -> datetime:
    """Return when a rule expires: a date, an ISO 8601 time (UTC unless it says otherwise), or a span such as `14d`.

    Raises `UsageError` if the text is none of these.
    """
    try:
        if match := SPAN.fullmatch(text.strip()):
            return now + timedelta(**{UNITS[match["unit"]]: float(match["count"])})
        found = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text[:80]!r} is not an expiry; write a date '2027-01-31', a time '2027-01-31T12:00Z', or a span '14d'"
        ) from None
    return as_utc(found)


def as_utc(moment: datetime | date) -> datetime:
    """Return a moment in UTC. A moment without a zone is in UTC already; a date becomes its midnight in UTC."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{moment} is beyond the times that can be stored") from None


def _parse_value(kind: RuleKind, text: str | None) -> str:
    if kind in FLAGS:
        if text:
            raise UsageError(f"{kind} accepts no value: the rule is either active or not")
        return ""
    if not text:
        raise UsageError(f"{kind} needs a value: {_allowed_values(kind)}")
    if kind is RuleKind.CHECK:
        if text not in list(FindingAction):
            raise UsageError(f"{text[:80]!r} is not an action; a check accepts {_allowed_values(kind)}")
        return text
    return text if text == NEVER else _parse_days(kind, text)


def _parse_days(kind: RuleKind, text: str) -> str:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days <= MAX_DAYS:
        raise UsageError(f"{text[:80]!r} is not a value of {kind}; it accepts {_allowed_values(kind)}")
    return f"{int(days)}" if days.is_integer() else repr(days)


def _allowed_values(kind: RuleKind) -> str:
    if kind is RuleKind.CHECK:
        return ", ".join(FindingAction)
    return f"days from 0 to {MAX_DAYS}, or '{NEVER}'"


def _check_ticket(text: str) -> None:
    if not text.strip() or len(text) > MAX_TICKET:
        raise UsageError(f"give a ticket of 1 to {MAX_TICKET} characters; it is stored with the rule")
    if UNSTORABLE.search(text):
        raise UsageError("the ticket contains a character that cannot be stored")
