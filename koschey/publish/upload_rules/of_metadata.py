"""Rules about what a file says of itself in its core metadata, beside those of the standards themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import getaddresses
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from trove_classifiers import classifiers, deprecated_classifiers

from koschey.publish.upload_rules.rule import Rule
from koschey.standards.core_metadata import CoreMetadata, draft_fault
from koschey.standards.versions import parse_requirement_or_none

MAX_SUMMARY = 512
MAX_LABEL = 32
PRIVATE = "Private :: "
"""What begins so is never a classifier of the public index, which is why people write it: no upload there works."""
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Stated:
    """What an archive says of itself."""

    core: CoreMetadata
    description_fault: str | None
    """Why the description cannot be shown; None where it can."""
    filename: str = "METADATA"
    """Of the metadata in the archive."""


def _metadata_version(stated: Stated) -> Iterator[str]:
    if fault := draft_fault(stated.core, stated.filename):
        yield fault


def _summary_lines(stated: Stated) -> Iterator[str]:
    if stated.core.summary_is_folded:
        yield f"Invalid {stated.filename}: 'summary' must be a single line."


def _summary(stated: Stated) -> Iterator[str]:
    summary = stated.core.summary or ""
    if len(summary) > MAX_SUMMARY:
        yield f"'summary' field must be {MAX_SUMMARY} characters or less, not {len(summary)}."


def _email(stated: Stated) -> Iterator[str]:
    for field in ("author_email", "maintainer_email"):
        for _, address in getaddresses([getattr(stated.core, field) or ""]):
            try:
                if address:
                    # `team@corp.local` is an address within a company. The library takes it only below a public name.
                    validate_email(address + ".net", check_deliverability=False)
            except EmailNotValidError as error:
                yield f"{field}: {_shown(address)} is not a valid email address: {error}"


def _classifier(stated: Stated) -> Iterator[str]:
    for classifier in stated.core.classifiers:
        if classifier in deprecated_classifiers:
            instead = " or ".join(repr(other) for other in deprecated_classifiers[classifier])
            yield f"The classifier {classifier!r} has been deprecated" + (
                f", use {instead} instead." if instead else "."
            )
        elif classifier not in classifiers and not classifier.startswith(PRIVATE):
            yield f"{_shown(classifier)} is not a valid classifier."


def _url(stated: Stated) -> Iterator[str]:
    for field in ("home_page", "download_url"):
        url = getattr(stated.core, field)
        if url is not None and not _is_url(url):
            yield f"{field}: {_shown(url)} is not a valid url; it starts with 'https://' or 'http://'."
    for pair in stated.core.project_urls:
        label, _, url = (part.strip() for part in pair.partition(","))
        if not 1 <= len(label) <= MAX_LABEL:
            yield f"project_urls: the label {_shown(label)} must have 1 to {MAX_LABEL} characters."
        if not _is_url(url):
            yield f"project_urls: {_shown(url)} is not a valid url; it starts with 'https://' or 'http://'."


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in text and text.isprintable()
    except ValueError:
        return False


def _requirement(stated: Stated) -> Iterator[str]:
    # Requires-Dist is valid: metadata is not read otherwise.
    for field in ("provides_dist", "obsoletes_dist"):
        for text in getattr(stated.core, field):
            if parse_requirement_or_none(text) is None:
                yield f"{field}: {_shown(text)} is not a requirement (PEP 508)."


def _direct_url(stated: Stated) -> Iterator[str]:
    for field in ("requires_dist", "provides_dist", "obsoletes_dist"):
        for text in getattr(stated.core, field):
            # Few have the sign without which there is no URL; to parse all of 20,000 takes half a second.
            requirement = parse_requirement_or_none(text) if "@" in text else None
            if requirement is not None and requirement.url is not None:
                yield f"{field}: Can't have direct dependency: {_shown(text)}."


def _license(stated: Stated) -> Iterator[str]:
    if stated.core.license is not None and stated.core.license_expression is not None:
        yield "License is deprecated when License-Expression is present. Only License-Expression should be present."


def _description(stated: Stated) -> Iterator[str]:
    if stated.description_fault is not None:
        yield stated.description_fault


def _shown(text: str) -> str:
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "...")


RULES: tuple[Rule[Stated], ...] = (
    Rule(
        "metadata-version",
        "Metadata-Version is that of a standard; 2.0 was a draft.",
        _metadata_version,
        default=True,
        why="only `wheel` of 2014 to 2018 writes it; off to move in what it built",
    ),
    Rule(
        "summary-lines",
        "The summary is one line.",
        _summary_lines,
        default=False,
        why="current build tools still write several, and pages join them",
    ),
    Rule("summary", f"The summary has at most {MAX_SUMMARY} characters.", _summary),
    Rule("email", "Author-email and Maintainer-email hold addresses.", _email),
    Rule(
        "classifier",
        "Classifiers exist and are not deprecated; 'Private ::' is free.",
        _classifier,
        default=False,
        why="many have classifiers of their own, and nothing acts on them",
    ),
    Rule("url", f"URLs are http or https; their labels have 1 to {MAX_LABEL} characters.", _url),
    Rule("requirement", "Provides-Dist and Obsoletes-Dist can be read.", _requirement),
    Rule(
        "direct-url",
        "No requirement names a URL ('name @ https://...').",
        _direct_url,
        default=True,
        why="what is fetched past the index is neither held nor checked nor kept",
    ),
    Rule("license", "License or License-Expression, not both (PEP 639).", _license),
    Rule(
        "description",
        "The description can be rendered.",
        _description,
        default=False,
        why="a mistake in a README is no reason to stop a company's release",
    ),
)
"""In the order in which they are tried; add one here."""
