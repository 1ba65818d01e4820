"""What the check and the advisory feed say of releases, and what may be done in spite of it: a part of the reference.

As simply as it can be said, and from what is promised: what was not asked, or not lately, speaks for nobody.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

CHECK, FEED = "oracle", "advisories"
MALICIOUS = f"{FEED}/malicious"
PROPOSED = {f"{CHECK}/noted": "note", f"{CHECK}/odd": "hold", f"{CHECK}/evil": "block", MALICIOUS: "block"}
"""What the check and the feed can find, and what is done about it where people say nothing."""


@dataclass
class Evidence:
    """One check, one feed, and what people want done about them."""

    feed_lasts: timedelta
    rules: dict[str, str] = field(default_factory=dict)
    """What is done about a check, or about one thing that it finds."""
    malware: set[str] = field(default_factory=set)
    """Versions, by the last reading of the feed."""
    reported: set[str] = field(default_factory=set)
    """Those about which nothing was done yet."""
    feed_read_at: datetime | None = None

    def read_feed(self, malware: set[str], now: datetime) -> None:
        """The feed was read."""
        self.reported = ((malware - self.malware) | self.reported) & malware
        self.malware, self.feed_read_at = malware, now

    def is_whole(self, checked: str | None, now: datetime) -> bool:
        """Tell whether everybody who must be asked was asked. A check that did not go through was not."""
        was_checked = checked is not None or self.rules.get(CHECK) == "off"
        is_fresh = self.feed_read_at is not None and now - self.feed_read_at <= self.feed_lasts
        return was_checked and (is_fresh or self.rules.get(FEED) == "off")

    def actions(self, version: str, checked: str | None) -> set[str]:
        """Return what is to be done about all that was found."""
        found = {f"{CHECK}/{checked}"} & set(PROPOSED)
        found |= {MALICIOUS} if version in self.malware else set()
        return {self._action(code) for code in found}

    def is_malware(self, version: str | None) -> bool:
        """Tell whether a version is blocked because the feed names it."""
        return version in self.malware and self._action(MALICIOUS) == "block"

    def _action(self, code: str) -> str:
        return self.rules.get(code) or self.rules.get(code.partition("/")[0]) or PROPOSED[code]
