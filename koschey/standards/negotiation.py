"""Chooses the form of a page for a client (PEP 691, "Version + Format Selection"), and the content coding.

1. `?format=` with one of the five exact types wins over Accept; another value is ignored.
2. No Accept header is the same as `*/*`.
3. Types are ranked by q, then JSON before v1+html before text/html. A wildcard selects JSON only if the client
   refuses HTML: tools that send `*/*` parse HTML.
4. If no form is acceptable, the answer is 406.
"""

from enum import StrEnum
from functools import lru_cache


class Form(StrEnum):
    """The content types in which a page exists. JSON has no parameters: some clients compare for equality."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    TEXT_HTML = "text/html"


ALIASES = {
    "application/vnd.pypi.simple.v1+json": Form.JSON,
    "application/vnd.pypi.simple.latest+json": Form.JSON,
    "application/vnd.pypi.simple.v1+html": Form.HTML,
    "application/vnd.pypi.simple.latest+html": Form.HTML,
    "text/html": Form.TEXT_HTML,
}
WILDCARDS = {
    "*/*": (Form.TEXT_HTML, Form.HTML, Form.JSON),
    "text/*": (Form.TEXT_HTML,),
    "application/*": (Form.HTML, Form.JSON),
}
"""The forms that a wildcard matches. The first that the client does not refuse is chosen."""
RANK = {Form.JSON: 2, Form.HTML: 1, Form.TEXT_HTML: 0}


@lru_cache(maxsize=512)
def choose_form(accept: str, format_: str = "") -> Form | None:
    """Return the form to answer with, or None if the client accepts none of them (406)."""
    if format_ in ALIASES:
        return ALIASES[format_]
    wanted = [_parse(part) for part in (accept or "*/*").split(",")]
    refused = {ALIASES[kind] for kind, quality in wanted if quality == 0 and kind in ALIASES}
    # PEP 691: a type named explicitly is preferred to one that only a wildcard admits.
    ranked = [
        (quality, kind in ALIASES, RANK[form], form)
        for kind, quality in wanted
        if quality > 0 and (form := _meant(kind, refused))
    ]
    return max(ranked)[3] if ranked else None


def _meant(kind: str, refused: set[Form]) -> Form | None:
    """Return the form that a type or a wildcard selects."""
    forms = (ALIASES[kind],) if kind in ALIASES else WILDCARDS.get(kind, ())
    return next((form for form in forms if form not in refused), None)


def _parse(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    try:
        return kind, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return kind, 0.0


class Coding(StrEnum):
    """The content codings in which a page exists, the preferred one first."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"


@lru_cache(maxsize=512)
def choose_coding(accept_encoding: str) -> Coding:
    """Return the coding to answer with (RFC 9110, 12.5.3): the client's favourite, or zstd if it has none.

    Never 406: even a client that refuses `identity` gets it, as the RFC allows.
    """
    given = dict(_parse(part) for part in accept_encoding.split(",") if part.strip())
    ranked = [(given.get(coding, given.get("*", 0.0)), coding) for coding in (Coding.ZSTD, Coding.GZIP)]
    quality, coding = max(ranked, key=lambda pair: pair[0])
    return coding if quality > 0 and quality >= given.get(Coding.IDENTITY, 0.0) else Coding.IDENTITY
