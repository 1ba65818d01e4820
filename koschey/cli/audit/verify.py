"""Verify that no entry of the journal was changed, removed, inserted or cut off since it was written.

Without FILE, compares the journal in the database with its digests and with the anchors in the bucket. With FILE,
verifies an export in JSON lines on its own, without a database; `-` reads the standard input.

Exit code 1 if anything is wrong.

Example: koschey audit verify
"""

import asyncio
from pathlib import Path
from typing import BinaryIO

import click

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.db.journal import select_serial
from koschey.db.journal_chain import select_chain
from koschey.errors import JournalAltered
from koschey.governance.journal_chain import LISTED, ChainReport, Fault, verify_chain
from koschey.governance.journal_export import read_export
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json


@click.command("verify", help=__doc__)
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="SERIAL", help="Verify only later entries.")
@DATA
@JSON
def command(file: BinaryIO | None, after: int, data: Path | None, *, as_json: bool) -> None:
    """Verify, and print what was found."""
    if file is not None:
        _show(asyncio.run(verify_chain(read_export(file), anchors={}, after=after)), as_json=as_json)
        return

    async def verify(settings: Settings) -> None:
        _show(await _verify_database(settings, after), as_json=as_json)

    run_on(data, verify)


async def _verify_database(settings: Settings, after: int) -> ChainReport:
    # Only this command of those that ask the database loads the S3 client.
    from koschey.governance.anchors import read_anchors  # noqa: PLC0415
    from koschey.storage.s3 import OpenBucket  # noqa: PLC0415

    async with OpenBucket(settings) as bucket:
        anchors = await read_anchors(bucket)
    async with open_database(settings) as pool:
        # Read before the entries: those that are written meanwhile are read, too.
        given_out = await select_serial(pool)
        later = {serial: digest for serial, digest in anchors.items() if serial > after}
        return await verify_chain(select_chain(pool, after), anchors=later, given_out=given_out, after=after)


def _show(report: ChainReport, *, as_json: bool) -> None:
    """Print the report. Raises `JournalAltered` if there are faults."""
    if as_json:
        say_json(report)
    else:
        say(_summary(report), *map(_line, report.faults))
        if report.fault_count > LISTED:
            say(f"... and {report.fault_count - LISTED} more")
    if report.fault_count:
        raise JournalAltered(
            "the journal is not the one that was written; keep a copy of the database and of the bucket, and compare "
            "with your last backup or export"
        )


def _summary(report: ChainReport) -> str:
    anchors = f"{report.anchors} anchor{'' if report.anchors == 1 else 's'} compared"
    parts = [f"{report.entries} entries up to serial {report.last}", anchors]
    if report.unchained:
        parts.append(f"the first {report.unchained} are older than the chain and have no digest")
    count = report.fault_count
    found = f"{count} fault{'' if count == 1 else 's'}" if count else "no fault"
    return f"{found}: {'; '.join(parts)}"


def _line(fault: Fault) -> str:
    serials = f"serial {fault.serial}" if fault.serial == fault.last else f"serials {fault.serial} to {fault.last}"
    return f"{serials}: {fault.kind}. {fault.kind.meaning}"
