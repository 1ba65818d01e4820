"""Enumerations whose members have a meaning in words, so that documents can be rendered from the code."""

from enum import StrEnum
from typing import Self


class Explained(StrEnum):
    """Base of these enumerations: each member is a text, and has a meaning, one sentence for people."""

    meaning: str

    def __new__(cls, text: str, meaning: str = "") -> Self:
        """Create a member from its text and its meaning. A look-up passes the text alone."""
        member = str.__new__(cls, text)
        member._value_ = text
        member.meaning = meaning
        return member
