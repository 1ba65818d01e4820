"""Check which assertions of the packaging standards an index satisfies. URL is the address of its Simple API.

The command only reads. Exit code 1: the index fails some assertions; 2: the index cannot be reached.

Example: koschey conformance http://localhost:8080/simple/ --project six
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

import click
from rich.table import Table

from koschey.cli.base.options import JSON
from koschey.client.conformance import examine_index
from koschey.conformance.checks import AssertionOutcome
from koschey.conformance.examine import Result
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal, emphasised

COLOURS = {AssertionOutcome.PASS: "green", AssertionOutcome.FAIL: "bold red", AssertionOutcome.SKIP: "dim"}


@click.command("conformance", help=__doc__)
@click.argument("url")
@click.option(
    "--project", "projects", multiple=True, metavar="NAME", help="Check this project.  [default: the first 10]"
)
@JSON
def command(url: str, projects: tuple[str, ...], *, as_json: bool) -> None:
    """Print a row for each assertion."""
    results = asyncio.run(examine_index(url, projects))
    if as_json:
        say_json([_as_json(result) for result in results])
    else:
        out, counts = Terminal(), Counter(result.outcome for result in results)
        out.print(_table(results))
        out.print(f"{url}: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in AssertionOutcome))
    if any(result.outcome is AssertionOutcome.FAIL for result in results):
        sys.exit(1)


def _table(results: Sequence[Result]) -> Table:
    table = Table("id", "what", "result", "detail")
    for result in results:
        # As text: what an index says is never markup.
        outcome = emphasised(result.outcome, COLOURS[result.outcome])
        table.add_row(result.check.id, result.check.says, outcome, result.detail)
    return table


def _as_json(result: Result) -> dict[str, str]:
    return {
        "id": result.check.id,
        "what": result.check.says,
        "result": result.outcome,
        "detail": result.detail,
    }
