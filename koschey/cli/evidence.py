"""Commands that prove: where things came from, and that an index keeps the standards."""

import asyncio
import sys
from pathlib import Path

import click

from koschey.cli.root import DATA, JSON, cli, run_on
from koschey.terminal import Terminal


@cli.command()
@click.argument("url")
@click.option("--project", "projects", multiple=True, metavar="NAME", help="Look at it.  [default: the first 10]")
@JSON
def conformance(url: str, projects: tuple[str, ...], *, as_json: bool) -> None:
    """Say which assertions of the standards an index keeps, by reading alone. URL is that of its Simple API.

    Exit code 1: some are not kept; 2: the index cannot be reached.

    Example: koschey conformance http://localhost:8080/simple/ --project six
    """
    from koschey.commands.conformance import report_conformance  # noqa: PLC0415

    if not asyncio.run(report_conformance(url, projects, as_json=as_json, out=Terminal())):
        sys.exit(1)


@cli.command()
@click.argument("scope", metavar="NAME[==VERSION]")
@DATA
@JSON
def attest(scope: str, data: Path | None, *, as_json: bool) -> None:
    """Fetch and verify the provenance (PEP 740) of stored files anew; the worker does it.

    Example: koschey attest 'six==1.17.0'
    """
    from koschey.commands.attest import attest_scope  # noqa: PLC0415

    run_on(data, lambda settings: attest_scope(settings, scope, as_json=as_json))


@cli.command()
@click.argument("site_packages", type=click.Path(path_type=Path))
@click.option(
    "--index",
    envvar=["UV_DEFAULT_INDEX", "PIP_INDEX_URL"],
    default="http://127.0.0.1:8080/simple/",
    show_default="UV_DEFAULT_INDEX, PIP_INDEX_URL, or http://127.0.0.1:8080/simple/",
    help="Simple API of the Koschey that it was installed from.",
)
@click.option("--write", is_flag=True, help="Write provenance_url.json (PEP 710) beside what was installed.")
@click.option("--sbom", metavar="FILE", help="Write a CycloneDX 1.6 bill of materials; - is standard output.")
@JSON
def provenance(site_packages: Path, *, index: str, write: bool, sbom: str | None, as_json: bool) -> None:
    """Say from where each distribution in a SITE_PACKAGES folder came. Exit code 1: it is unknown for some.

    Example: koschey provenance .venv/lib/python3.13/site-packages --sbom sbom.json
    """
    from koschey.commands.provenance import Wanted, show_provenance  # noqa: PLC0415

    asyncio.run(show_provenance(Wanted(site_packages, index, write, sbom, as_json), Terminal()))
