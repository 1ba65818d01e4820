"""Which passwords are refused: NIST SP 800-63B, a length, and nothing that is guessed first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.auth.password_rules import LONGEST, SHORTEST, check_password
from koschey.errors import UsageError


@pytest.mark.parametrize(
    "password",
    [
        "a long enough password",
        "eleven+plus1",
        "ünïcödé pässwörd",
        "x9#Kq2!vLm0z",
        "purple-monkey-dishwasher",
        "1-800-please-hold",
        "z" * 3 + "K" * 3 + "q" * 6,
        "k" + "9d" * 40 + "x",
        "admin-of-the-index",
    ],
)
def test_good_passwords(password: str) -> None:
    """There is no rule of composition: length and some surprise are enough."""
    check_password("ada", password)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "12 to 1024"),
        ("elevenchars", "12 to 1024"),
        ("x" * (LONGEST + 1), "12 to 1024"),
        (" a long enough password", "white space at its ends"),
        ("a long enough password\n", "white space at its ends"),
        ("a long\0enough password", "control characters"),
        ("password1234", "tried first"),
        ("PassWord1234", "tried first"),
        ("pass-word-1234", "tried first"),
        ("Correct Horse Battery Staple", "tried first"),
        ("koscheykoschey", "tried first"),
        ("aaaaaaaaaaaa", "repeats or continues"),
        ("abababababab", "repeats or continues"),
        ("abcdabcdabcdab", "repeats or continues"),
        ("abcdefghijkl", "repeats or continues"),
        ("345678902345", "repeats or continues"),
        ("876543210987", "repeats or continues"),
        ("qwertyuiop345", "repeats or continues"),
        ("lkjhgfdsa321", "repeats or continues"),
        ("ada-lovelace", "account's name"),
        ("Ada.Lovelace.1815", "account's name"),
        ("adalovelaceadalovelace", "account's name"),
    ],
)
def test_refused_passwords(password: str, words: str) -> None:
    """What is short, well known, the account's name or a pattern of keys is refused, without repeating it."""
    with pytest.raises(UsageError, match=words) as refused:
        check_password("ada-lovelace", password)
    assert not password.strip() or password not in str(refused.value)


@given(st.text(min_size=SHORTEST, max_size=LONGEST))
def test_length_and_surprise_are_enough(text: str) -> None:
    """No password that begins with three unusual words is refused, whatever printable text follows."""
    password = "purple monkey dishwasher " + "".join(letter for letter in text if letter.isprintable()).strip()
    check_password("ada", password.strip()[:LONGEST].strip())
