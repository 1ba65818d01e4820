"""Codes of reviewers: the releases and people that they are about, how to get a code, and how to send it."""

from datetime import timedelta

from packaging.utils import NormalizedName

from koschey.db.pool import Connection
from koschey.model import Actor
from koschey.policy.advisories import Feed
from koschey.quarantine.decide import Choice, Decision
from koschey.quarantine.reviewer_codes import IssuedCode, issue_code, redeem_code, was_received_in_time

SPAM, EGGS = NormalizedName("spam"), NormalizedName("eggs")
WHEEL, SDIST, LATER = "spam-1.0-py3-none-any.whl", "spam-1.0.tar.gz", "spam-2.0.tar.gz"
RITA, OPERATOR = Actor("rita", "admin"), Actor("root", "cli")
RELEASE = (SPAM, "1.0")


async def code_for(
    db: Connection,
    choice: Choice = Choice.APPROVE,
    *releases: tuple[NormalizedName, str],
    actor: Actor = RITA,
    days: float | None = None,
    feed: Feed | None = None,
) -> IssuedCode:
    """Issue a code for a decision about releases, `RELEASE` unless others are given."""
    return await issue_code(db, actor, choice, releases or [RELEASE], feed, days)


async def use(
    db: Connection,
    code: str,
    choice: Choice = Choice.APPROVE,
    release: tuple[NormalizedName, str] = RELEASE,
    *,
    reviewer: str = "rita",
    days: float | None = None,
    received: timedelta | None = None,
    feed: Feed | None = None,
) -> str:
    """Send a code; `received` is how long ago Temporal received it, for codes that are late."""

    async def age() -> timedelta | None:
        return received

    decision = Decision(choice, *release, "seen in Temporal", days=days)
    in_time = await was_received_in_time(db, code, decision, age)
    return await redeem_code(db, code, reviewer, decision, feed, in_time=in_time)
