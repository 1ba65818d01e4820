"""Names that change hands: to private packages, and to the upstream again; with what was ever downloaded of them."""

from collections.abc import Awaitable, Callable, Sequence

from packaging.utils import NormalizedName
from rich.console import Console
from rich.table import Table

from koschey.commands.confirming import confirmed
from koschey.commands.database import open_database, operator
from koschey.commands.downloads import print_downloads
from koschey.db.claims import Taken
from koschey.db.downloads import Download, select_all_downloads
from koschey.db.pool import Connection
from koschey.governance.claims import Handover, claim, release_name
from koschey.model import Actor
from koschey.quarantine.impact import Consent
from koschey.settings import Settings
from koschey.standards.names import parse_name
from koschey.standards.simple_json import format_time
from koschey.terminal import say, say_json

type Operation = Callable[[Connection, Actor, NormalizedName, str, Consent], Awaitable[Handover]]


async def claim_name(settings: Settings, name: str, reason: str, *, yes: bool, as_json: bool, out: Console) -> None:
    """Hand a name to private packages. Raises as `claim` does."""
    await _hand_over(settings, "claim", claim, parse_name(name), reason, yes=yes, as_json=as_json, out=out)


async def release_private_name(
    settings: Settings, name: str, reason: str, *, yes: bool, as_json: bool, out: Console
) -> None:
    """Hand a name to its upstream. Raises as `release_name` does."""
    await _hand_over(
        settings, "release-name", release_name, parse_name(name), reason, yes=yes, as_json=as_json, out=out
    )


async def _hand_over(
    settings: Settings,
    verb: str,
    operation: Operation,
    name: NormalizedName,
    reason: str,
    *,
    yes: bool,
    as_json: bool,
    out: Console,
) -> None:
    async with open_database(settings) as pool:
        async with pool.acquire() as connection:
            done = await confirmed(
                lambda consent: operation(connection, operator(), name, reason, consent), name, yes=yes
            )
        # After the commit: from then on nobody gets a byte who is not in the log.
        log = await select_all_downloads(pool, name, None)
    if as_json:
        say_json(_as_json(verb, done, log))
        return
    say(f"{verb} {name}: {_say(done)}")
    _print_taken(done.taken, out)
    if log:
        print_downloads(log, name, out)


def _say(done: Handover) -> str:
    if not done.changed:
        return f"nothing to change, the name is {done.origin} already"
    counts = [(len(done.set_aside), "set aside"), (len(done.brought_back), "back from an earlier time")]
    said = [f"{count} file{'' if count == 1 else 's'} {what}" for count, what in counts if count]
    return ", ".join([f"the name is {done.origin} now", *said, f"serial {done.serial}"])


def _print_taken(taken: Sequence[Taken], out: Console) -> None:
    if not taken:
        out.print("No file of the name was ever downloaded from here.")
        return
    table = Table("downloaded file", "sha256", "times", "first (UTC)", "last (UTC)", "by")
    table.columns[0].no_wrap = True
    for each in taken:
        first, last = (f"{at:%Y-%m-%d %H:%M}" for at in (each.first_at, each.last_at))
        by = ", ".join(account or "no login" for account in each.accounts)
        table.add_row(each.filename, (each.sha256 or "")[:12], str(each.downloads), first, last, by)
    out.print(table)


def _as_json(verb: str, done: Handover, log: Sequence[Download]) -> dict[str, object]:
    return {
        "action": verb,
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
            for each in done.taken
        ],
        "downloads": [{**each._asdict(), "at": format_time(each.at)} for each in log],
    }
