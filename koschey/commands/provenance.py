"""Where the distributions of an environment came from: as a table, JSON, PEP 710 files or a bill of materials."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from koschey.commands.installed import PROVENANCE, Distribution, read_environment
from koschey.commands.origins import Kind, Origin, OriginFinder
from koschey.commands.sbom import Part, render_sbom
from koschey.errors import UsageError
from koschey.settings.private_hosts import NO_HOSTS
from koschey.terminal import say, say_json, write_document
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress

MAX_PAGE = 100 * 2**20
STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    site_packages: Path
    index: str
    write: bool
    sbom: str | None
    """A file's name, or `-` for standard output."""
    as_json: bool


async def show_provenance(wanted: Wanted, out: Console) -> None:
    """Find out where each distribution came from and say so.

    Raises `UsageError` where the folder is no environment and, after all is said, where some could not be mapped.
    """
    found, unreadable = read_environment(wanted.site_packages)
    index = wanted.index.rstrip("/") + "/"
    egress = Egress(NO_HOSTS.with_urls([index]))
    try:
        finder = OriginFinder(UpstreamClient(egress, index, max_page=MAX_PAGE, max_file=0))
        origins = list(await asyncio.gather(*(finder.find(distribution) for distribution in found)))
    finally:
        await egress.close()
    notes = _write(found, origins) if wanted.write else []
    origins += [Origin(name, "", Kind.UNKNOWN, why=why) for name, why in unreadable.items()]
    _report(wanted, index, origins, out)
    for note in notes:
        say(note, err=True)
    if lost := [origin for origin in origins if origin.kind is Kind.UNKNOWN]:
        lines = [f"  {origin.name} {origin.version}: {origin.why}" for origin in lost]
        raise UsageError("\n".join([f"{len(lost)} of {len(origins)} distributions could not be mapped:", *lines]))


def _write(found: Sequence[Distribution], origins: Sequence[Origin]) -> list[str]:
    """Write the records that there are; returns what could not be written, and why."""
    notes = []
    for distribution, origin in zip(found, origins, strict=True):
        if origin.record is None:
            continue
        try:
            distribution.write_provenance(origin.record)
        except (UsageError, OSError) as error:
            notes.append(f"{PROVENANCE} was not written: {error}")
    return notes


def _report(wanted: Wanted, index: str, origins: Sequence[Origin], out: Console) -> None:
    if wanted.sbom:
        text = render_sbom(_part(origin, index) for origin in origins if origin.version)
        if wanted.sbom == STDOUT:
            write_document(text + "\n")
            return
        Path(wanted.sbom).write_text(text + "\n", "utf-8")
    if wanted.as_json:
        say_json([_as_json(origin) for origin in origins])
    else:
        out.print(_table(origins))


def _part(origin: Origin, index: str) -> Part:
    hosted_by = index if origin.kind is Kind.PRIVATE else None
    return Part(origin.name, origin.version, origin.url, origin.sha256, hosted_by)


def _table(origins: Sequence[Origin]) -> Table:
    table = Table("project", "version", "origin", "from")
    for origin in origins:
        table.add_row(origin.name, origin.version, origin.kind, origin.why or origin.url or "")
    return table


def _as_json(origin: Origin) -> dict[str, object]:
    return {
        "project": origin.name,
        "version": origin.version,
        "origin": origin.kind,
        "url": origin.url,
        "sha256": origin.sha256,
        "record": json.loads(origin.record) if origin.record else None,
        "why": origin.why or None,
    }
