"""Texts of strangers, made harmless for the place that they go to: one function for each kind of place.

Reasons, user agents, account names, filenames, versions in URLs and the words of upstreams and indexes are such texts.
The terminal is `koschey.terminal`, which cleans all that it prints. Logs are JSON in ASCII and need nothing.
"""

import re
import shlex
from typing import Any

JOINERS = frozenset("\u200c\u200d")
"""Invisible, and harmless: scripts and emoji are written with them."""
NEXT = re.compile(r"[^\x20-\x7e]")


def on_one_line(text: str) -> str:
    r"""Return a text in which each character that steers a terminal or reorders what is read stands as an escape.

    These are all that are no letters, marks, digits, punctuation or plain spaces: control characters and line breaks
    (`\x1b`, `\n`), overrides of direction (`\u202e`), and what is invisible.
    """
    return NEXT.sub(_shown, text)


def on_lines(text: str) -> str:
    """Return the same, but line breaks stay: for pages and reports that show a text as it was typed."""
    return "\n".join(on_one_line(line) for line in text.splitlines())


def on_page(value: Any) -> Any:
    """Return what a template puts out: texts as `on_lines` does, markup and all else as it is."""
    return on_lines(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def shell_line(*words: str) -> str:
    """Return a command as a person can copy it into a shell: every word is one word there, and nothing else is run."""
    return " ".join(shlex.quote(on_one_line(word)) for word in words)


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable() or character in JOINERS:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
