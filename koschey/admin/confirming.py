"""The step between a button and a change that hides what is in use: how much that is, and the name once more."""

from collections.abc import Mapping
from dataclasses import dataclass

from quart import request

from koschey.errors import Unconfirmed, UsageError
from koschey.quarantine.impact import NO_CONSENT, Consent

MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is shown: the same form again, with what it would hide, and a field for the name."""

    action: str
    """Where the form goes."""
    fields: Mapping[str, str]
    """What was sent before."""
    name: str
    """What must be typed."""
    files: int
    """What is agreed to."""


def ask_again(unconfirmed: Unconfirmed, action: str, fields: Mapping[str, str], name: str) -> Confirmation:
    """Return the step for a change that nobody has agreed to yet."""
    return Confirmation(action, fields, name, unconfirmed.counts["files"])


async def read_consent(name: str) -> Consent:
    """Return what the form agrees to. Raises `UsageError` where another name was typed."""
    form = await request.form
    files = form.get("confirm", "")
    if not files:
        return NO_CONSENT
    if not (files.isascii() and files.isdigit() and len(files) <= MAX_DIGITS):
        raise UsageError("`confirm` is a number of files")
    if form.get("again", "").strip() != name:
        raise UsageError(f"{name} is what had to be typed; nothing was changed")
    return Consent(int(files))
