"""The commands that hand a name over. They print what changed, and who downloaded files of the name before."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click
from packaging.utils import NormalizedName
from rich.table import Table

from koschey.cli.base.confirmation import confirmed
from koschey.cli.base.downloads import print_downloads
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON, YES
from koschey.cli.base.rows import minute, timed
from koschey.db.claims import DownloadSummary
from koschey.db.downloads import Download, select_all_downloads
from koschey.db.pool import Connection
from koschey.governance.claims import Handover
from koschey.model import Actor
from koschey.quarantine.impact import Consent
from koschey.settings import Settings
from koschey.standards.names import parse_name
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say, say_json
from koschey.terminal.tables import Terminal

type Operation = Callable[[Connection, Actor, NormalizedName, str, Consent], Awaitable[Handover]]


def handover_command(word: str, operation: Operation, help_: str | None) -> click.Command:
    """Return the command that hands over a name by this operation."""

    @click.command(word, help=help_)
    @click.argument("name")
    @REASON
    @YES
    @DATA
    @JSON
    def command(name: str, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
        async def carry_out(settings: Settings) -> None:
            done, log = await _hand_over(settings, operation, parse_name(name), reason, yes=yes)
            if as_json:
                say_json(_as_json(word, done, log))
            else:
                _print(word, done, log)

        run_on(data, carry_out)

    return command


async def _hand_over(
    settings: Settings, operation: Operation, name: NormalizedName, reason: str, *, yes: bool
) -> tuple[Handover, list[Download]]:
    async with open_database(settings) as pool:
        async with pool.acquire() as connection:
            done = await confirmed(
                lambda consent: operation(connection, operator(), name, reason, consent), name, yes=yes
            )
        # After the commit, no client receives a byte without an entry in this log.
        return done, await select_all_downloads(pool, name, None)


def _print(word: str, done: Handover, log: Sequence[Download]) -> None:
    say(f"{word} {done.project}: {_say(done)}")
    _print_downloaded(done.downloaded_files)
    if log:
        print_downloads(log, done.project)


def _say(done: Handover) -> str:
    if not done.changed:
        return f"nothing to change, the name is already {done.origin}"
    counts = [(len(done.set_aside), "set aside"), (len(done.brought_back), "restored")]
    said = [f"{count} file{'' if count == 1 else 's'} {what}" for count, what in counts if count]
    return ", ".join([f"the name is {done.origin} now", *said, f"serial {done.serial}"])


def _print_downloaded(downloaded: Sequence[DownloadSummary]) -> None:
    out = Terminal()
    if not downloaded:
        out.print("Nobody has ever downloaded a file of this name from here.")
        return
    table = Table("downloaded file", "sha256", "times", "first (UTC)", "last (UTC)", "by")
    table.columns[0].no_wrap = True
    for each in downloaded:
        first, last = minute(each.first_at), minute(each.last_at)
        by = ", ".join(account or "no login" for account in each.accounts)
        table.add_row(each.filename, (each.sha256 or "")[:12], str(each.downloads), first, last, by)
    out.print(table)


def _as_json(word: str, done: Handover, log: Sequence[Download]) -> dict[str, object]:
    return {
        "action": word,
        "name": done.project,
        "origin": done.origin,
        "serial": done.serial,
        "changed": done.changed,
        "set_aside": done.set_aside,
        "brought_back": done.brought_back,
        "downloaded": [
            {
                "filename": each.filename,
                "version": each.version,
                "sha256": each.sha256,
                "downloads": each.downloads,
                "forgotten": each.forgotten,
                "first_at": format_time(each.first_at),
                "last_at": format_time(each.last_at),
                "accounts": each.accounts,
            }
            for each in done.downloaded_files
        ],
        "downloads": [timed(each._asdict()) for each in log],
    }
