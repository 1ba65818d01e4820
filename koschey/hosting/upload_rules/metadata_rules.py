"""Rules about the core metadata in a file, besides those of the standards themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import getaddresses

from email_validator import EmailNotValidError, validate_email
from trove_classifiers import classifiers, deprecated_classifiers

from koschey.hosting.upload_rules.addresses import Address, kind_of
from koschey.hosting.upload_rules.rule import UploadRule
from koschey.standards.core_metadata import CoreMetadata, draft_fault
from koschey.standards.versions import parse_requirement_or_none

MAX_SUMMARY = 512
MAX_LABEL = 32
PRIVATE = "Private :: "
"""The public index never has classifiers with this prefix. People use them so that every upload there fails."""
SHOWN = 100
NO_URL = "is not a valid url; it starts with 'https://' or 'http://'."


@dataclass(frozen=True, slots=True)
class Stated:
    """The metadata in an archive."""

    core: CoreMetadata
    description_fault: str | None
    """Why the description cannot be rendered; None if it can."""
    filename: str = "METADATA"
    """The name of the metadata file in the archive."""


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
        for address in _addresses(getattr(stated.core, field) or ""):
            try:
                if address:
                    # `team@corp.local` is an address within a company. The library accepts it only below a public name.
                    validate_email(address + ".net", check_deliverability=False)
            except EmailNotValidError as error:
                yield f"{field}: {_shown(address)} is not a valid email address: {error}"


def _addresses(text: str) -> list[str]:
    try:
        return [address for _, address in getaddresses([text])]
    except RecursionError:
        # Nested comments and groups; such a text contains no address.
        return [text]


def _classifier(stated: Stated) -> Iterator[str]:
    for classifier in stated.core.classifiers:
        if classifier in deprecated_classifiers:
            instead = " or ".join(repr(other) for other in deprecated_classifiers[classifier])
            yield f"The classifier {classifier!r} has been deprecated" + (
                f", use {instead} instead." if instead else "."
            )
        elif classifier not in classifiers and not classifier.startswith(PRIVATE):
            yield f"{_shown(classifier)} is not a valid classifier."


def _urls(stated: Stated) -> Iterator[tuple[str, str]]:
    """Yield the field and the text of each URL."""
    for field in ("home_page", "download_url"):
        if (url := getattr(stated.core, field)) is not None:
            yield field, url
    for pair in stated.core.project_urls:
        yield "project_urls", pair.partition(",")[2].strip()


def _url(stated: Stated) -> Iterator[str]:
    for field, url in _urls(stated):
        if kind_of(url) is Address.NONE:
            yield f"{field}: {_shown(url)} {NO_URL}"
    for pair in stated.core.project_urls:
        label = pair.partition(",")[0].strip()
        if not 1 <= len(label) <= MAX_LABEL:
            yield f"project_urls: the label {_shown(label)} must have 1 to {MAX_LABEL} characters."


def _repository_url(stated: Stated) -> Iterator[str]:
    for field, url in _urls(stated):
        if kind_of(url) is Address.REPOSITORY:
            yield f"{field}: {_shown(url)} {NO_URL}"


def _web_url(stated: Stated) -> Iterator[str]:
    for field, url in _urls(stated):
        if kind_of(url) is Address.OTHER:
            yield f"{field}: {_shown(url)} {NO_URL}"


def _requirement(stated: Stated) -> Iterator[str]:
    # Requires-Dist is valid, or the metadata would not have been read.
    for field in ("provides_dist", "obsoletes_dist"):
        for text in getattr(stated.core, field):
            if parse_requirement_or_none(text) is None:
                yield f"{field}: {_shown(text)} is not a requirement (PEP 508)."


def _direct_url(stated: Stated) -> Iterator[str]:
    for field in ("requires_dist", "provides_dist", "obsoletes_dist"):
        for text in getattr(stated.core, field):
            # A URL needs an '@', which few requirements have; parsing all of 20,000 takes half a second.
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


RULES: tuple[UploadRule[Stated], ...] = (
    UploadRule(
        "metadata-version",
        "Metadata-Version is that of a standard; 2.0 was a draft.",
        _metadata_version,
        default=True,
        why="only `wheel` of 2014 to 2018 writes it; switch off to import what it built",
    ),
    UploadRule(
        "summary-lines",
        "The summary is one line.",
        _summary_lines,
        default=False,
        why="current build tools still write several, and pages join them",
    ),
    UploadRule("summary", f"The summary has at most {MAX_SUMMARY} characters.", _summary),
    UploadRule(
        "email",
        "Author-email and Maintainer-email hold addresses.",
        _email,
        default=False,
        why="many authors write the name of a team or of the company, and no client acts on it",
    ),
    UploadRule(
        "classifier",
        "Classifiers exist and are not deprecated; 'Private ::' is allowed.",
        _classifier,
        default=False,
        why="many companies have classifiers of their own, and no client acts on them",
    ),
    UploadRule("url", f"URLs are addresses that run no code; their labels have 1 to {MAX_LABEL} characters.", _url),
    UploadRule(
        "repository-url",
        "URLs are not those of repositories (ssh://, git://, git@host:path).",
        _repository_url,
        default=False,
        why="the source of a company's packages is in such repositories",
    ),
    UploadRule(
        "web-url",
        "URLs are http or https.",
        _web_url,
        default=True,
        why="a browser cannot follow others; switch off to import old packages with www.example.org or 'none'",
    ),
    UploadRule("requirement", "Provides-Dist and Obsoletes-Dist can be read.", _requirement),
    UploadRule(
        "direct-url",
        "No requirement names a URL ('name @ https://...').",
        _direct_url,
        default=True,
        why="the index does not hold, check or store what a client downloads from elsewhere",
    ),
    UploadRule("license", "License or License-Expression, not both (PEP 639).", _license),
    UploadRule(
        "description",
        "The description can be rendered.",
        _description,
        default=False,
        why="a mistake in a README should not stop a company's release",
    ),
)
"""In the order in which they are tried; add one here."""
