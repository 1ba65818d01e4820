"""Which assertions of the standards an index keeps."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from koschey.conformance.checks import Outcome
from koschey.conformance.examine import Result, examine
from koschey.terminal import emphasised, say_json

COLOURS = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.SKIP: "dim"}


async def report_conformance(url: str, projects: Sequence[str], *, as_json: bool, out: Console) -> bool:
    """Print a row for each assertion, and return whether none failed. Raises `StartError` without an index."""
    results = await examine(url, projects)
    if as_json:
        say_json([_as_json(result) for result in results])
    else:
        out.print(_table(results))
        counts = Counter(result.outcome for result in results)
        out.print(f"{url}: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome))
    return all(result.outcome is not Outcome.FAIL for result in results)


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
