"""The short ways for what is plain on upstreams' pages: they find the same as the long ones."""

import re
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.standards import simple_json
from koschey.standards import upstream_page as cleaning
from koschey.standards.upstream_page import MAX_TEXT

PARTS = st.sampled_from(["a", "..", ".", "", "b.whl", "%2B", ";p", "é", " ", "~", ".c"])
ORIGINS = st.sampled_from(
    ["", "https://h", "http://h:8", "HTTPS://h", "//h", "ftp://h", "https://u@h", "https://h:", "https://[::1]", "x:"]
)


@given(
    base=st.sampled_from(["https://index/simple/spam/", "http://index:8/a/../spam/", "https://i/%7e/?q#f"]),
    origin=ORIGINS,
    parts=st.lists(PARTS, max_size=5),
    tail=st.sampled_from(["", "?q=1", "#sha256=ab", "?", "#"]),
)
def test_plain_addresses_are_resolved_as_all_are(base: str, origin: str, parts: list[str], tail: str) -> None:
    """The short way finds the same URL as the library, and cleans it alike."""
    url = f"{origin}/{'/'.join(parts)}{tail}" if origin or parts else tail
    try:
        expected = urljoin(base, url)
    except ValueError:
        expected = url
    assert simple_json._absolute(base, url) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleaning, "PLAIN_URL", re.compile("(?!)"))
        cleaned = cleaning._clean_url(expected)
    assert cleaning._clean_url(expected) == cleaned


@given(st.text(max_size=40) | st.text(alphabet="ab \t\n\x1b", max_size=2100))
def test_printable_texts_are_cleaned_alike(text: str) -> None:
    """A text that has nothing to remove is the same as if all of it had been examined."""
    lines = " ".join(text.split())
    shown = "".join(letter for letter in lines if letter.isprintable())
    assert cleaning.clean_text(text) == (shown[:MAX_TEXT].strip() or None)
