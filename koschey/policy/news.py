"""Compares an upstream's page with the files that are already known: removed, listed again, added late.

The upstream writes its page, and so does any account that has taken over a project. So a change of the page releases no
new file: it blocks files, or requires a review.

0. A file that the page no longer lists is only suspected to be gone until re-checks confirm it (`policy.absence`).
1. A held file that is gone is blocked, and stays blocked when the page lists it again.
2. A released file is blocked if the upstream removes it soon after its upload, as it removes malware. An older file is
   still served: an accepted file is not lost because its project was deleted. A file that was blocked only for this is
   released again if the page lists it unchanged.
3. A project that was gone, or of whose known files none is left, may have a new owner. Neither time nor trust releases
   the files that it lists from then on, until a person has approved some of them or has trusted the project again.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from koschey.causes import Grounds, UpstreamCause, by_upstream
from koschey.model import File, ProjectStatus, Standing, StandingFile, State, UpstreamFile
from koschey.policy.rules import RuleKind, Rules

CHECK = "upstream"
"""The name of the check under which findings about an upstream's page are recorded; no worker registers it."""
RETURNED = "returned"
"""The code of a file that is listed since its project returned; a person reviews it unless policy says otherwise."""
REAPPEARED = "reappeared"
"""The code of a held file that some readings of the page lacked; a person reviews it unless policy says otherwise."""
REPLACED = "replaced"
"""The code of a file for whose name the upstream now lists other bytes."""

WITHDRAWN_WITHIN = timedelta(days=30)
"""A released file that its upstream removes within this time of its upload is blocked, if no rule says otherwise."""
LATE_AFTER = timedelta(days=14)
"""The age from which a new file of a release is late. The public index accepts no file for an older release."""


def withdrawal(file: File, standing: Standing, rules: Rules, at: datetime) -> Grounds | None:
    """Return why a released file is blocked that its upstream withdrew at a moment; None if it is still served."""
    rule = rules.find(RuleKind.WITHDRAWN, file.version)
    within = rule.days if rule else WITHDRAWN_WITHIN
    age = at - begun_at(file, standing)
    if within is None or age >= within:
        return None
    limit = within / timedelta(days=1)
    why = f"the upstream withdrew the file {max(age.days, 0)} days after its upload, within the {limit:g} that count"
    return Grounds(by_upstream(UpstreamCause.WITHDRAWN), why)


def begun_at(file: File, standing: Standing) -> datetime:
    """Return since when a file has been public, as far as Koschey trusts that: backdating gains an upstream nothing."""
    claims = [moment for moment in (file.upload_time, standing.counts_from) if moment is not None]
    return max(claims, default=file.first_seen_at)


def is_late(release: Collection[StandingFile], now: datetime, *, released: bool) -> bool:
    """Return whether a new file is added to a release that was released before.

    `released` says whether the new file starts as released. In a trusted project the files of a release arrive within
    hours of one another, which is expected; a new file of a release older than `LATE_AFTER` is not.
    """
    let_out = [item for item in release if item.standing.state is State.RELEASED]
    if not let_out:
        return False
    return not released or now - min(begun_at(item.file, item.standing) for item in let_out) > LATE_AFTER


def is_unchanged(file: File, listed: UpstreamFile) -> bool:
    """Return whether a page lists a file with the recorded digest and the recorded upload time.

    An account that takes over a name can upload the same bytes, but not at the time of the first upload.
    """
    return file.sha256 is not None and (file.sha256, file.upload_time) == (listed.sha256, listed.upload_time)


def is_estranged(known: Collection[StandingFile], listed: Collection[str], before: ProjectStatus) -> bool:
    """Return whether a page may belong to another owner than the known files: nothing connects the two.

    The project was gone or quarantined at the last reading, or the page lists none of its known files any more.
    """
    files = [item.file for item in known if item.standing.state is not State.REMOVED]
    if not files or not listed:
        return False
    if before is ProjectStatus.QUARANTINED or all(file.is_gone for file in files):
        return True
    return all(file.filename not in listed for file in files)
