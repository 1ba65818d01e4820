"""The step between a button and a change that hides files in use: it shows how many, and asks for the name again."""

from collections.abc import Mapping
from dataclasses import dataclass

from quart import request

from koschey.errors import Unconfirmed, UsageError
from koschey.quarantine.impact import NO_CONSENT, Consent

MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the page shows: the same form again, the number of files that it would hide, and a field for the name."""

    action: str
    """The URL to which the form is sent."""
    fields: Mapping[str, str]
    """The fields of the first form."""
    name: str
    """The name that the person must type."""
    files: int
    """The number of files that the person agrees to hide."""


def confirmation_for(unconfirmed: Unconfirmed, action: str, fields: Mapping[str, str], name: str) -> Confirmation:
    """Return the confirmation for a change that nobody has agreed to yet."""
    return Confirmation(action, fields, name, unconfirmed.counts["files"])


async def read_consent(name: str) -> Consent:
    """Return what the form agrees to. Raises `UsageError` for another name, or if `confirm` is not a number."""
    form = await request.form
    files = form.get("confirm", "")
    if not files:
        return NO_CONSENT
    if not (files.isascii() and files.isdigit() and len(files) <= MAX_DIGITS):
        raise UsageError("`confirm` must be a number of files")
    if form.get("again", "").strip() != name:
        raise UsageError(f"the typed name is not {name}, so nothing was changed; type {name} to continue")
    return Consent(int(files))
