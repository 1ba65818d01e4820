"""Show where the distributions in a SITE_PACKAGES folder came from. Exit code 1: the origin of some is unknown.

Example: koschey provenance .venv/lib/python3.13/site-packages --sbom sbom.json
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.options import INDEX, JSON
from koschey.client.installed import PROVENANCE, Distribution, read_environment
from koschey.client.origins import DistributionOrigin, Kind, find_origins
from koschey.client.sbom import SbomComponent, render_sbom
from koschey.errors import UsageError
from koschey.terminal.lines import say, say_json, write_document
from koschey.terminal.tables import Terminal

STDOUT = "-"


@click.command("provenance", help=__doc__)
@click.argument("site_packages", type=click.Path(path_type=Path))
@INDEX
@click.option("--write", is_flag=True, help="Write provenance_url.json (PEP 710) beside what is installed.")
@click.option("--sbom", metavar="FILE", help="Write a CycloneDX 1.6 bill of materials; - is standard output.")
@JSON
def command(site_packages: Path, *, index: str, write: bool, sbom: str | None, as_json: bool) -> None:
    """Find out where each distribution came from, and print it; then name those that could not be mapped."""
    found, unreadable = read_environment(site_packages)
    index = index.rstrip("/") + "/"
    origins = asyncio.run(find_origins(found, index))
    notes = _write(found, origins) if write else []
    origins += [DistributionOrigin(name, "", Kind.UNKNOWN, why=why) for name, why in unreadable.items()]
    if sbom:
        _write_sbom(sbom, index, origins)
    if sbom != STDOUT:
        _show(origins, as_json=as_json)
    say(*notes, err=True)
    if lost := [origin for origin in origins if origin.kind is Kind.UNKNOWN]:
        lines = [f"  {origin.name} {origin.version}: {origin.why}" for origin in lost]
        raise UsageError("\n".join([f"{len(lost)} of {len(origins)} distributions have an unknown origin:", *lines]))


def _write(found: Sequence[Distribution], origins: Sequence[DistributionOrigin]) -> list[str]:
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


def _write_sbom(name: str, index: str, origins: Sequence[DistributionOrigin]) -> None:
    text = render_sbom(_part(origin, index) for origin in origins if origin.version) + "\n"
    if name == STDOUT:
        write_document(text)
    else:
        Path(name).write_text(text, "utf-8")


def _show(origins: Sequence[DistributionOrigin], *, as_json: bool) -> None:
    if as_json:
        say_json([_as_json(origin) for origin in origins])
    else:
        Terminal().print(_table(origins))


def _part(origin: DistributionOrigin, index: str) -> SbomComponent:
    hosted_by = index if origin.kind is Kind.PRIVATE else None
    return SbomComponent(origin.name, origin.version, origin.url, origin.sha256, hosted_by)


def _table(origins: Sequence[DistributionOrigin]) -> Table:
    table = Table("project", "version", "origin", "from")
    for origin in origins:
        table.add_row(origin.name, origin.version, origin.kind, origin.why or origin.url or "")
    return table


def _as_json(origin: DistributionOrigin) -> dict[str, object]:
    return {
        "project": origin.name,
        "version": origin.version,
        "origin": origin.kind,
        "url": origin.url,
        "sha256": origin.sha256,
        "record": json.loads(origin.record) if origin.record else None,
        "why": origin.why or None,
    }
