"""How the codes of reviewers are written and typed."""

import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from koschey.auth.codes import ALPHABET, CODE, digest_code, new_code


def test_codes_are_short_and_hard_to_mistake() -> None:
    """Ten characters of 32, none of which looks like another: 50 bits."""
    codes = {new_code() for _ in range(500)}
    assert len(codes) == 500
    assert all(re.fullmatch(f"[{ALPHABET}]{{5}}-[{ALPHABET}]{{5}}", code) for code in codes)
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


def test_a_code_may_be_typed_as_people_do() -> None:
    """Case, hyphens, spaces and look-alikes make no other code."""
    assert (
        len({digest_code(text) for text in ("01ABC-DEF00", "oiabcdefoo", " O L A B C D E F 0 0 ", "01abcdef00")}) == 1
    )
    assert digest_code("01ABC-DEF00") == hashlib.sha256(b"01ABCDEF00").hexdigest()


@given(st.text())
def test_any_text_is_a_code_or_none(text: str) -> None:
    """No text is an error, and what has a digest has the form of a code."""
    digest = digest_code(text)
    assert digest is None or re.fullmatch("[0-9a-f]{64}", digest)
    assert digest_code(f"{text}!") is None
    assert not CODE.fullmatch(f"{text}!")
