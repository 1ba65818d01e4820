"""The setting `KOSCHEY_DECISIONS_BY_SIGNAL`: which signals to a Temporal workflow can decide."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator


class SignalDecisions(StrEnum):
    """What a signal must contain to decide."""

    CODE = "code"
    """A code that Koschey has shown to a reviewer."""
    TRUSTED = "trusted"
    """The name of a reviewer. For a Temporal server with its own logins."""
    OFF = "off"
    """No signal decides."""


TRUE_IS_TRUSTED = (
    "KOSCHEY_DECISIONS_BY_SIGNAL=true means `trusted`: every client that reaches Temporal can decide in any reviewer's "
    "name. Write `code`, or `trusted` if Temporal has logins of its own."
)
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False}


def _parse(value: object) -> object:
    text = value.strip().lower() if isinstance(value, str) else value
    if isinstance(text, bool) or text in tuple(SignalDecisions):
        return text
    if isinstance(text, str) and text in BOOLEANS:
        return BOOLEANS[text]
    raise ValueError(f"write one of {', '.join(SignalDecisions)}")


type SignalSetting = Annotated[SignalDecisions | bool, BeforeValidator(_parse)]
"""The value as the operator wrote it: earlier versions used true and false."""


def signal_decisions(setting: SignalSetting) -> SignalDecisions:
    """Return the present meaning of a setting: true is `trusted`, false is `off`."""
    if isinstance(setting, SignalDecisions):
        return setting
    return SignalDecisions.TRUSTED if setting else SignalDecisions.OFF


def signal_warnings(setting: SignalSetting) -> list[str]:
    """Return warnings about a setting that an operator should change."""
    return [TRUE_IS_TRUSTED] if setting is True else []
