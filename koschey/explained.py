"""Enumerations whose members say what they mean, so that documents are rendered from the code."""

from enum import StrEnum
from typing import Self


class Explained(StrEnum):
    """The base: each member is its text, and has a meaning, one sentence for people."""

    meaning: str

    def __new__(cls, text: str, meaning: str = "") -> Self:
        """Make a member of its text and its meaning; a look-up gives the text alone."""
        member = str.__new__(cls, text)
        member._value_ = text
        member.meaning = meaning
        return member
