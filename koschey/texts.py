"""Makes untrusted texts harmless for the place where they are shown: one function for each kind of place.

Untrusted texts are reasons, user agents, account names, filenames, versions in URLs and texts of upstreams and indexes.
`koschey.terminal` cleans all that it prints. Logs are JSON in ASCII and need no cleaning.
"""

import re
import shlex
from typing import Any

JOINERS = frozenset("\u200c\u200d")
"""Invisible but harmless characters: some scripts and emoji need them."""
NEXT = re.compile(r"[^\x20-\x7e]")


def on_one_line(text: str) -> str:
    r"""Return a text in which each character that controls a terminal or reorders text is replaced by an escape.

    These are all characters other than letters, marks, digits, punctuation and plain spaces: control characters and
    line breaks (`\x1b`, `\n`), overrides of direction (`\u202e`), and invisible characters.
    """
    return NEXT.sub(_shown, text)


def on_lines(text: str) -> str:
    """Return the same, but keep line breaks: for pages and reports that show a text as it was typed."""
    return "\n".join(on_one_line(line) for line in text.splitlines())


def on_page(value: Any) -> Any:
    """Return a value as a template writes it: texts as `on_lines` returns them, markup and all else unchanged."""
    return on_lines(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def shell_line(*words: str) -> str:
    """Return a command for a person to copy into a shell: each word stays one word, and the shell runs nothing else."""
    return " ".join(shlex.quote(on_one_line(word)) for word in words)


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable() or character in JOINERS:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
