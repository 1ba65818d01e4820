"""The registry of installed checks: Koschey's own, and those of other distributions.

Koschey's own checks are listed here and run in the worker: they compare facts that were read and bounded before, and
open no file. All others come from entry points and run in child processes; so does the scanner, which reads files with
a third-party library. A check that cannot be loaded, or whose name is taken, stops the worker's start: if it were left
out silently, nobody would notice.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from koschey.errors import StartError
from koschey.inspection.archives.limits import Limits
from koschey.inspection.checks.archive import Archive
from koschey.inspection.checks.changes import Changes
from koschey.inspection.checks.check import GROUP, Check, Code, FileFacts, Previous, Skipped
from koschey.inspection.checks.isolate import CheckOutcome, Fault, Isolated
from koschey.inspection.checks.metadata import Metadata
from koschey.inspection.checks.name import Name
from koschey.inspection.checks.provenance import Provenance
from koschey.inspection.checks.size import Size
from koschey.policy.advisories import ADVISORIES

BUILT_IN: tuple[Check, ...] = (Archive(), Metadata(), Provenance(), Changes(), Name(), Size())
"""In the order in which they run. `archive` runs first, because it reads the content that the others compare."""
COMPARING = frozenset({Provenance.name, Changes.name})
"""Checks that compare a file with that of the release before, which may have to be downloaded for them."""
SCANNER, SCANNER_LIBRARY = "koschey.inspection.checks.scanner:SCANNER", "hexora"
"""Present only if its library is installed, which the extra `koschey[scan]` brings."""
RESERVED = frozenset({ADVISORIES.name})
"""Names that other sources of findings use."""
VALID_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_CODES = 100


@dataclass(frozen=True, slots=True)
class Own:
    """A check of Koschey's own. It runs in the calling process."""

    check: Check

    reads_file = False
    """It compares facts that were read before."""

    @property
    def name(self) -> str:
        """Of the check."""
        return self.check.name

    @property
    def codes(self) -> Mapping[str, Code]:
        """Of the check."""
        return self.check.codes

    @property
    def compares(self) -> bool:
        """Whether it compares the file with that of the release before."""
        return self.check.name in COMPARING

    async def run(self, facts: FileFacts, descriptor: int, previous: Previous | None) -> CheckOutcome:
        """Run the check on a file. Nothing is read from the descriptor."""
        del descriptor
        try:
            return CheckOutcome(tuple(await self.check(facts, Path(os.devnull), previous)))
        except Skipped as skipped:
            return CheckOutcome(skipped.findings, f"it skipped {skipped.reason}"[:500])
        except Exception as error:  # noqa: BLE001 - a fault of an own check holds the file too
            return CheckOutcome(fault=f"it failed: {type(error).__name__}: {error}"[:500])


type Installed = Own | Isolated


async def load(limits: Limits | None = None, spool: Path | None = None) -> tuple[Installed, ...]:
    """Return all checks, loaded once to read their names and codes. Raises `StartError` if one cannot be loaded."""
    found: list[Installed] = [Own(check) for check in BUILT_IN]
    for where, target in _targets():
        plain = Isolated(target, limits=limits or Limits(), spool=spool)
        try:
            name, codes = await plain.describe()
        except Fault as fault:
            raise StartError(f"the check {where} cannot be loaded: {fault}; fix or uninstall it") from None
        _check_description(where, name, codes, found)
        found.append(replace(plain, name=name, codes=codes))
    return tuple(found)


def _targets() -> Iterator[tuple[str, str]]:
    if find_spec(SCANNER_LIBRARY) is not None:
        yield "scanner of koschey[scan]", SCANNER
    for point in sorted(_third_party(entry_points(group=GROUP)), key=lambda point: (point.name, point.value)):
        by = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
        yield f"{point.name}{by}", point.value


def _third_party(points: Iterable[EntryPoint]) -> set[EntryPoint]:
    """Return each entry point once: a distribution can be found on two paths."""
    return set(points)


def _check_description(where: str, name: str, codes: Mapping[str, Code], found: Iterable[Installed]) -> None:
    if not VALID_NAME.fullmatch(name) or name in RESERVED:
        raise StartError(
            f"the check {where} is called {name!a}; use a-z, 0-9 and '-', and another name than `advisories`"
        )
    if any(name == other.name for other in found):
        raise StartError(f"the check {where} has the name {name!a} of another check; uninstall one of the two")
    if len(codes) > MAX_CODES or not all(VALID_NAME.fullmatch(code) for code in codes):
        raise StartError(
            f"the check {where} declares more than {MAX_CODES} codes, or one with other characters than a-z, 0-9, '-'"
        )
