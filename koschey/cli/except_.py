"""Serve the held files of a release for some days, by an exception.

The exception covers the present bytes of these files, and no others.

Example: koschey except 'six==1.17.0' --days 14 --ticket SEC-7 --reason 'fixes a hole that we have'
"""

from pathlib import Path
from typing import Any

import click

from koschey.cli.base.decision import parse_digest, run_decision
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.quarantine.decision import Choice


@click.command("except", help=__doc__)
@click.argument("scope", metavar="NAME==VERSION")
@REASON
@click.option("--ticket", required=True, help="The ticket that requests the exception.")
@click.option("--days", type=float, required=True, help="The exception expires after this many days; at most 90.")
@click.option("--file", "filename", help="Cover only this file of the release.  [default: all files that are held now]")
@click.option("--sha256", help="The digest of that file: the exception covers exactly these bytes.")
@DATA
@JSON
def command(
    scope: str,
    reason: str,
    ticket: str,
    days: float,
    filename: str | None,
    sha256: str | None,
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Decide as `except`."""
    given: dict[str, Any] = {"ticket": ticket, "days": days, "filename": filename, "sha256": parse_digest(sha256)}
    run_decision(data, Choice.EXCEPT, scope, reason, as_json=as_json, **given)
