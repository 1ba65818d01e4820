"""Changing the policy from the command line: one rule, or all of them from a file; and writing them to one."""

import sys
from dataclasses import replace
from pathlib import Path

from koschey.commands.confirming import confirmed
from koschey.commands.database import open_database, operator
from koschey.commands.policy_shown import change_lines, effects_as_json, outlook_line, preview_as_json, rule_as_json
from koschey.db.findings import select_known_checks
from koschey.db.projects import select_now
from koschey.errors import UsageError
from koschey.governance.changes import (
    Agreed,
    PolicyOutcome,
    apply_policy,
    select_policy,
    set_rule,
    unset_rule,
)
from koschey.governance.policy_file import parse_policy, render_policy
from koschey.governance.preview import Preview, Usual, preview_policy
from koschey.governance.terms import Terms, parse_expiry
from koschey.policy.advisories import Feed
from koschey.policy.changes import RuleChange
from koschey.policy.rules import Rule
from koschey.settings import Settings
from koschey.terminal import say, say_json, write_document

MAX_FILE = 4 * 2**20
"""Bytes of a file with a policy."""


def usual_of(settings: Settings) -> Usual:
    """Return what counts where no rule says otherwise."""
    return Usual(settings.window, Feed(settings.feed_max_age) if settings.advisories else None)


async def set_policy_rule(settings: Settings, terms: Terms, expires: str | None, *, yes: bool, as_json: bool) -> None:
    """Put one rule in force. Raises `UsageError` where it is none."""
    async with open_database(settings) as pool, pool.acquire() as connection:
        if expires is not None:
            terms = replace(terms, expires=parse_expiry(expires, await select_now(connection)))
        usual = usual_of(settings)
        outcome = await confirmed(
            lambda consent: set_rule(connection, operator(), terms, Agreed(consent, usual)), terms.scope, yes=yes
        )
        known = {check.name for check in await select_known_checks(connection)}
    _print_outcome(outcome, as_json=as_json)
    check = (terms.subject or "").partition("/")[0]
    if check and known and check not in known:
        say(f"koschey: no worker has brought a check {check!r} so far; those known are listed by show", err=True)


async def unset_policy_rule(
    settings: Settings, kind: str, scope: str, subject: str | None, reason: str, *, yes: bool, as_json: bool
) -> None:
    """Lift one rule. Raises `NotKnown` where there is none."""
    async with open_database(settings) as pool, pool.acquire() as connection:
        lifted, usual = (kind, scope, subject, reason), usual_of(settings)
        outcome = await confirmed(
            lambda consent: unset_rule(connection, operator(), *lifted, Agreed(consent, usual)), scope, yes=yes
        )
    _print_outcome(outcome, as_json=as_json)


async def export_policy(settings: Settings, file: Path | None) -> None:
    """Write the policy to a file, or to standard output. Raises `UsageError` where it cannot be written."""
    async with open_database(settings) as pool, pool.acquire() as connection:
        text = render_policy(await select_policy(connection))
    if file is None:
        write_document(text)
    else:
        _write(file, text)


async def apply_policy_file(
    settings: Settings, file: str, reason: str | None, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Put the rules of a file in force, or say what that would do. Raises `UsageError` where it holds none."""
    text = _read(file)
    async with open_database(settings) as pool, pool.acquire() as connection:
        now = await select_now(connection)
        wanted = parse_policy(text, "standard input" if file == "-" else file, operator().name, now)
        if dry_run:
            _print_preview(await preview_policy(connection, wanted, usual_of(settings)), as_json=as_json)
            return
        usual = usual_of(settings)
        outcome = await confirmed(
            lambda consent: apply_policy(connection, operator(), wanted, reason or "", Agreed(consent, usual)),
            "policy",
            yes=yes,
        )
    _print_outcome(outcome, as_json=as_json)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None


def _read(file: str) -> str:
    try:
        content = sys.stdin.buffer.read(MAX_FILE + 1) if file == "-" else _read_start(Path(file))
        if len(content) > MAX_FILE:
            raise UsageError(f"{file} is larger than the {MAX_FILE} bytes that a policy may have")
        return content.decode()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no UTF-8, which TOML is written in: byte {error.start}") from None


def _read_start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_FILE + 1)


def _print_outcome(outcome: PolicyOutcome, *, as_json: bool) -> None:
    if as_json:
        changed = [_change_as_json(change) for change in outcome.changes]
        told: dict[str, object] = {
            "serial": outcome.serial,
            "rules": changed,
            "releases_judged_anew": outcome.judged_anew,
        }
        told |= effects_as_json(outcome.effects)
        say_json(told)
        return
    for line in change_lines(outcome.changes):
        say(line)
    if outcome.serial is None:
        say("nothing to change")
    else:
        anew = f"{outcome.judged_anew} held release{'' if outcome.judged_anew == 1 else 's'} judged anew"
        say(f"serial {outcome.serial}, {anew}")
    for sentence in outcome.effects.sentences:
        say(sentence)


def _change_as_json(change: RuleChange) -> dict[str, object]:
    def shown(rule: Rule | None) -> dict[str, object] | None:
        return rule_as_json(rule) if rule else None

    return {"change": change.mark, "before": shown(change.before), "after": shown(change.after)}


def _print_preview(preview: Preview, *, as_json: bool) -> None:
    if as_json:
        rules = [_change_as_json(change) for change in preview.changes]
        say_json({"dry_run": True, "rules": rules, "files": preview_as_json(preview.outlooks)})
        return
    for line in change_lines(preview.changes):
        say(line)
    if not preview.changes:
        say("no rule would change")
    for outlook in preview.outlooks:
        say(outlook_line(outlook))
    counts = {mark: sum(outlook.mark == mark for outlook in preview.outlooks) for mark in "+- "}
    say(
        f"dry run, nothing was changed: {counts['+']} files would appear, {counts['-']} disappear, "
        f"{counts[' ']} be released at another time"
    )
