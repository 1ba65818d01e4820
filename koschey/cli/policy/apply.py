"""Make exactly the rules of FILE active, in one transaction. Exceptions stay.

If that hides files in use, the command shows how many, and asks for the word policy.

Example: koschey policy apply policy.toml --dry-run
"""

import sys
from pathlib import Path

import click

from koschey.cli.base.confirmation import confirmed
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, YES
from koschey.cli.policy.base import change_as_json, change_lines, preview_as_json, print_outcome, usual_of, utc
from koschey.db.projects import select_now
from koschey.errors import UsageError
from koschey.governance.changes import Agreed, apply_policy
from koschey.governance.policy_file import parse_policy
from koschey.governance.preview import Preview, preview_policy
from koschey.policy.prediction import Prediction
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json

MAX_FILE = 4 * 2**20
"""Bytes of a file with a policy."""


@click.command("apply", help=__doc__)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Change nothing; show which files would appear and disappear.")
@click.option("--reason", help="The reason; it is recorded with every rule that changes.")
@YES
@DATA
@JSON
def command(file: str, reason: str | None, data: Path | None, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Apply the file, or show what that would change."""
    if reason is None and not dry_run:
        raise click.UsageError("Missing option '--reason'.")
    if dry_run:
        run_on(data, lambda settings: _preview(settings, file, as_json=as_json))
    else:
        run_on(data, lambda settings: _apply(settings, file, reason or "", yes=yes, as_json=as_json))


async def _preview(settings: Settings, file: str, *, as_json: bool) -> None:
    text = _read(file)
    async with open_database(settings) as pool, pool.acquire() as connection:
        wanted = parse_policy(text, _shown(file), operator().name, await select_now(connection))
        _print_preview(await preview_policy(connection, wanted, usual_of(settings)), as_json=as_json)


async def _apply(settings: Settings, file: str, reason: str, *, yes: bool, as_json: bool) -> None:
    text, usual = _read(file), usual_of(settings)
    async with open_database(settings) as pool, pool.acquire() as connection:
        wanted = parse_policy(text, _shown(file), operator().name, await select_now(connection))
        outcome = await confirmed(
            lambda consent: apply_policy(connection, operator(), wanted, reason, Agreed(consent, usual)),
            "policy",
            yes=yes,
        )
    print_outcome(outcome, as_json=as_json)


def _shown(file: str) -> str:
    """Return a file's name as messages have it."""
    return "standard input" if file == "-" else file


def _read(file: str) -> str:
    try:
        content = sys.stdin.buffer.read(MAX_FILE + 1) if file == "-" else _read_start(Path(file))
        if len(content) > MAX_FILE:
            raise UsageError(f"{file} is larger than the {MAX_FILE} bytes that a policy may have")
        return content.decode()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8, the encoding of TOML: the first wrong byte is {error.start}") from None


def _read_start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_FILE + 1)


def _print_preview(preview: Preview, *, as_json: bool) -> None:
    if as_json:
        rules = [change_as_json(change) for change in preview.changes]
        say_json({"dry_run": True, "rules": rules, "files": preview_as_json(preview.predictions)})
        return
    for line in change_lines(preview.changes):
        say(line)
    if not preview.changes:
        say("no rule would change")
    for prediction in preview.predictions:
        say(_prediction_line(prediction))
    counts = {mark: sum(prediction.mark == mark for prediction in preview.predictions) for mark in "+- "}
    say(
        f"dry run, nothing was changed: {counts['+']} files would appear, {counts['-']} disappear, "
        f"{counts[' ']} be released at another time"
    )


def _prediction_line(prediction: Prediction) -> str:
    """Return the line about one file that a change would reach."""
    file = prediction.item.file
    return f"{prediction.mark} {file.project} {file.version} {file.filename}: {_why(prediction)}"


def _why(prediction: Prediction) -> str:
    if not prediction.moves_release:
        return prediction.after.reason
    before, after = prediction.item.standing.release_at, prediction.release_at
    instead = f"instead of {utc(before)}" if before else "instead of by a reviewer only"
    moved = f"would be released on {utc(after)}" if after else "would be released by a reviewer only"
    return f"{moved}, {instead}; {prediction.after.reason}"
