"""What an upstream's page says against files that are known already: taken away, come back, added late.

A page is what its upstream wants to be seen, and whoever has taken over a project writes it. So news never lets
anything out; it only takes away, or asks for a person:

0. What a page lists no more is only suspected to be gone until further looks have confirmed it (`policy.absence`).
1. A held file that is gone is blocked, and stays so when the page lists it again.
2. A released file is blocked when it is taken away soon after its upload, as malware is. An older one stays served:
   what was accepted is not lost because its project was deleted. A file that was blocked for this alone, and that is
   listed again as it was, is released again.
3. A project that was gone, or of whose known files none is left, may be another's by now. Neither time nor trust lets
   out what it lists from then on, until a person has approved some of it or has trusted the project anew.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from koschey.causes import Grounds, UpstreamCause, by_upstream
from koschey.model import File, ProjectStatus, Standing, StandingFile, State, UpstreamFile
from koschey.policy.rules import RuleKind, Rules

CHECK = "upstream"
"""The check by whose name findings about an upstream's page are recorded; no worker has to bring it."""
RETURNED = "returned"
"""The code of a file that is listed since its project came back: for a person, unless policy says otherwise."""
REAPPEARED = "reappeared"
"""The code of a held file that a page lacked for some looks: for a person, unless policy says otherwise."""
REPLACED = "replaced"
"""The code of a file under whose name the upstream lists other bytes now."""

WITHDRAWN_WITHIN = timedelta(days=30)
"""A released file that is taken away within this time of its upload is blocked, where no rule says otherwise."""
LATE_AFTER = timedelta(days=14)
"""The public index itself lets nobody add files to a release that is older."""


def withdrawal(file: File, standing: Standing, rules: Rules, at: datetime) -> Grounds | None:
    """Return why a released file is blocked that its upstream withdrew at a moment; None where it stays served."""
    rule = rules.find(RuleKind.WITHDRAWN, file.version)
    within = rule.days if rule else WITHDRAWN_WITHIN
    age = at - begun_at(file, standing)
    if within is None or age >= within:
        return None
    limit = within / timedelta(days=1)
    why = f"the upstream withdrew the file {max(age.days, 0)} days after its upload, within the {limit:g} that count"
    return Grounds(by_upstream(UpstreamCause.WITHDRAWN), why)


def begun_at(file: File, standing: Standing) -> datetime:
    """Return since when a file has been public, as far as we believe it: an upstream that backdates gains nothing."""
    claims = [moment for moment in (file.upload_time, standing.counts_from) if moment is not None]
    return max(claims, default=file.first_seen_at)


def is_late(release: Collection[StandingFile], now: datetime, *, released: bool) -> bool:
    """Tell whether a new file comes to a release that was let out before.

    `released` is what the new file is from the start. Under trust a release comes file by file within hours, which is
    no news; a file for an old release is.
    """
    let_out = [item for item in release if item.standing.state is State.RELEASED]
    if not let_out:
        return False
    return not released or now - min(begun_at(item.file, item.standing) for item in let_out) > LATE_AFTER


def is_as_it_was(file: File, listed: UpstreamFile) -> bool:
    """Tell whether a page lists a file with the bytes that are known, and as the upload that is known.

    Whoever takes a name over can upload the same bytes, but not at the time of the first upload.
    """
    return file.sha256 is not None and (file.sha256, file.upload_time) == (listed.sha256, listed.upload_time)


def is_estranged(known: Collection[StandingFile], listed: Collection[str], before: ProjectStatus) -> bool:
    """Tell whether a page may be another's than the one that was known: nothing connects the two.

    The project was gone, or quarantined, when it was last looked at; or none of its files is listed any more.
    """
    files = [item.file for item in known if item.standing.state is not State.REMOVED]
    if not files or not listed:
        return False
    if before is ProjectStatus.QUARANTINED or all(file.is_gone for file in files):
        return True
    return all(file.filename not in listed for file in files)
