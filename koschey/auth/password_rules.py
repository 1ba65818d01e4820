"""What a new password must satisfy (NIST SP 800-63B, section 3.1.1.2): a length, and that it is not easily guessed.

There are no rules of composition: they make passwords worse. Existing passwords are not judged.
"""

from functools import cache
from importlib import resources

from koschey.errors import UsageError

SHORTEST = 12
LONGEST = 1024
"""Characters. The standard asks for at least 64; more would only cost time to hash."""
UNIT = 4
"""A password that repeats a part of at most so many characters is refused: `abcabcabcabc`."""
RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Rows of keys and letters. A password that consists of parts of them is refused."""
SHORTEST_RUN = 3
LIST = "refused_passwords.txt"
"""Well-known passwords of at least `SHORTEST` characters, and the words of this product, in lower case."""


def check_password(name: str, password: str) -> None:
    """Raise `UsageError` if an account of this name may not have this password. The message does not repeat it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(f"a password has {SHORTEST} to {LONGEST} characters")
    if password != password.strip() or not password.isprintable():
        raise UsageError("a password has no white space at its ends, and no line breaks or control characters")
    plain = password.casefold()
    letters = "".join(letter for letter in plain if letter.isalnum())
    own = "".join(letter for letter in name.casefold() if letter.isalnum())
    if own and own in letters and letters.replace(own, "").strip("0123456789") == "":
        raise UsageError("this password consists of the account's name; choose another one")
    if plain in _refused() or letters in _refused():
        raise UsageError("this password is one of those that are tried first; choose another one")
    if _repeats(plain) or _is_made_of_runs(plain):
        raise UsageError("this password only repeats or continues a few characters; choose another one")


def _repeats(text: str) -> bool:
    return any(text == (text[:length] * len(text))[: len(text)] for length in range(1, UNIT + 1))


def _is_made_of_runs(text: str) -> bool:
    """Return whether the text consists of parts of rows, forwards or backwards, of at least `SHORTEST_RUN` each."""
    rows = [*RUNS, *(row[::-1] for row in RUNS)]
    while text:
        longest = next(
            (length for length in range(len(text), SHORTEST_RUN - 1, -1) if any(text[:length] in row for row in rows)),
            0,
        )
        if not longest:
            return False
        text = text[longest:]
    return True


@cache
def _refused() -> frozenset[str]:
    text = (resources.files("koschey.auth") / LIST).read_text()
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))
