"""Whether the metadata inside a file agrees with its filename and its page, by which resolvers choose it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from koschey.inspection.archives.content import DescribedMetadata
from koschey.inspection.checks.check import Code, FileFacts, Finding, FindingAction, Previous, Severity, content_of
from koschey.standards.versions import canonical_version, parse_specifiers_or_none

DIFFERS, OTHER_RELEASE, OTHER_PYTHON = "differs", "other-release", "other-python"
AMBIGUOUS, UNUSUAL = "ambiguous", "unusual"


class Metadata:
    """Compares the metadata inside a file with its filename and its page."""

    name = "metadata"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        DIFFERS: Code(
            "The page has other core metadata than the wheel: resolvers see other dependencies than installers.",
            FindingAction.BLOCK,
            Severity.SERIOUS,
        ),
        OTHER_RELEASE: Code(
            "The metadata names another project or version than the filename.", FindingAction.HOLD, Severity.SERIOUS
        ),
        # Installers use the page. If it is wider than the file, nothing worse follows than a failed build.
        OTHER_PYTHON: Code(
            "The page states another Requires-Python than the metadata.", FindingAction.NOTE, Severity.WARNING
        ),
        AMBIGUOUS: Code(
            "A field that installers act on is given twice, is unreadable or is missing.",
            FindingAction.HOLD,
            Severity.SERIOUS,
        ),
        # Metadata 2.0, a content type of UNKNOWN, a wrong URL: half of the older build tools wrote one of these.
        UNUSUAL: Code("An upload with this metadata would be refused here.", FindingAction.NOTE, Severity.INFO),
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Compare the metadata with the facts of the index."""
        del path, previous
        described = content_of(facts).metadata
        assert described is not None
        return list(_compare(facts, described))


def _compare(facts: FileFacts, found: DescribedMetadata) -> Iterator[Finding]:
    if facts.is_wheel and facts.core_metadata not in (None, found.sha256):
        evidence: dict[str, Any] = {"page": facts.core_metadata, "wheel": found.sha256}
        yield Finding(DIFFERS, Severity.SERIOUS, f"the page has other core metadata than {facts.filename}", evidence)
    if found.ambiguous:
        fault = found.fault or "Name or Version is missing or not valid"
        yield Finding(AMBIGUOUS, Severity.SERIOUS, fault)
    elif not _is_of(facts, found):
        stated = f"{found.project} {found.version}"
        evidence = {"project": found.project, "version": found.version}
        yield Finding(OTHER_RELEASE, Severity.SERIOUS, f"the metadata in {facts.filename} is of {stated}", evidence)
    if not found.ambiguous and found.fault:
        yield Finding(UNUSUAL, Severity.INFO, found.fault)
    if not _is_same(facts.requires_python, found.requires_python):
        page, file = facts.requires_python or "nothing", found.requires_python or "nothing"
        evidence = {"page": facts.requires_python, "file": found.requires_python}
        yield Finding(OTHER_PYTHON, Severity.WARNING, f"Requires-Python is {page} on the page, {file} inside", evidence)


def _is_of(facts: FileFacts, found: DescribedMetadata) -> bool:
    return found.project == facts.project and canonical_version(found.version or "") == canonical_version(facts.version)


def _is_same(page: str | None, file: str | None) -> bool:
    on_page, in_file = (parse_specifiers_or_none(text or "") for text in (page, file))
    if on_page is None or in_file is None:
        return (page or "").split() == (file or "").split()
    return on_page == in_file
