"""Cleans text for XML documents."""

import re

FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""All but `Char` of XML 1.0, section 2.2: no parser accepts a document that has one of these."""


def clean_xml(text: str) -> str:
    """Return the text without the characters that XML cannot contain, not even escaped."""
    return FORBIDDEN.sub("", text)
