"""Runs the checks against one index."""

from collections.abc import Sequence
from dataclasses import dataclass

from koschey.conformance import (  # noqa: F401 - importing them registers their checks
    addresses,
    metadata,
    negotiation,
    pages,
    project_json,
    project_list,
    provenance,
    status,
    transport,
    versions,
    xml_rpc,
)
from koschey.conformance.checks import AssertionCheck, AssertionOutcome, Failed, Skipped, registered
from koschey.conformance.client import Client
from koschey.conformance.subject import Subject
from koschey.errors import KoscheyError


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check."""

    check: AssertionCheck
    outcome: AssertionOutcome
    detail: str = ""


async def examine(client: Client, url: str, names: Sequence[str] = ()) -> list[Result]:
    """Run every check against the index whose Simple API is at `url`.

    Examines the named projects, or the first of the list. Raises `StartError` if the index cannot be read.
    """
    subject = Subject(client, url, names)
    await subject.load()
    return [await run_check(check, subject) for check in registered()]


async def run_check(check: AssertionCheck, subject: Subject) -> Result:
    """Run one check. An answer that is not HTTP, or no answer, is a failure of the index."""
    try:
        return Result(check, AssertionOutcome.PASS, await check.run(subject) or "")
    except Skipped as reason:
        return Result(check, AssertionOutcome.SKIP, str(reason))
    except (Failed, KoscheyError) as failure:
        return Result(check, AssertionOutcome.FAIL, str(failure))
