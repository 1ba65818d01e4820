"""Faults of the index, one at a time, that the model test must find: so its silence means something."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from koschey.causes import BY_TIME
from koschey.db import files, findings, journal
from koschey.mirror import intake, new_files, news
from koschey.mirror.fetch import FileFetcher
from koschey.mirror.leases import Holding
from koschey.mirror.spool import Fetch
from koschey.model import File, Standing, State
from koschey.policy import admission, verdict
from koschey.policy.findings import Finding, FindingAction
from koschey.policy.verdict import Verdict
from koschey.quarantine import decide, evidence, malware_reports, settle
from koschey.quarantine.choices import blocking, exception, release, second_person
from koschey.quarantine.choices.change import DecisionChange
from koschey.quarantine.decision import Choice, DecisionOutcome
from koschey.serving import files as serving_files
from koschey.serving import served
from koschey.serving.cache import ProjectCache
from koschey.web import files as web_files

JUDGE, WORST = verdict.verdict, verdict._worst
FETCH, AGREE, SELECT_EVIDENCE = FileFetcher.obtain, second_person.agree, findings.select_evidence


def serve_blocked(file: File, standing: Standing, *rest: Any) -> Verdict:
    """A verdict that forgets blocks."""
    judged = JUDGE(file, standing, *rest)
    return replace(judged, served=True) if standing.state is State.BLOCKED and file.path else judged


def serve_held(file: File, standing: Standing, *rest: Any) -> Verdict:
    """A verdict that lets what waits onto the page."""
    judged = JUDGE(file, standing, *rest)
    return replace(judged, served=True) if judged.state is State.HELD and file.path and file.sha256 else judged


def release_early(file: File, *_: Any) -> Verdict:
    """A verdict for which every window has ended."""
    return Verdict(bool(file.sha256 and file.path), State.RELEASED, BY_TIME, "too early")


def believe_upload_time(upload_time: datetime | None, first_seen_at: datetime, *_: Any, **__: Any) -> datetime:
    """A window that counts from whatever the upstream says."""
    return upload_time or first_seen_at


async def do_nothing(*_: object) -> None:
    """A step that is left out."""


async def forgive_faults(db: Any, known: Any) -> Any:
    """Evidence in which a check that failed is one that went through."""
    return {
        file: replace(said, faults=(), completed=said.completed | {fault.check for fault in said.faults})
        for file, said in (await SELECT_EVIDENCE(db, known)).items()
    }


def never_find(action: FindingAction) -> Any:
    """A verdict that passes over what is to be blocked, or held."""

    def worst(file: File, policy: Any, known: Any, wanted: FindingAction) -> Finding | None:
        return None if wanted is action else WORST(file, policy, known, wanted)

    return worst


async def need_nobody(change: DecisionChange, *_: Any, **__: Any) -> DecisionChange:
    """A decision of one person where two are asked for."""
    return change


async def agree_with_oneself(change: DecisionChange, *args: Any, **more: Any) -> DecisionChange | DecisionOutcome:
    """Somebody who decides the same twice is two people."""
    agreed = await AGREE(change, *args, **more)
    is_same = isinstance(agreed, DecisionOutcome) and agreed.serial is None
    return change if is_same else agreed


async def lift_alone(*_: Any) -> bool:
    """A recall is lifted as any block is."""
    return False


async def recall_nothing(change: DecisionChange) -> DecisionOutcome:
    """A recall that is written down, and no more."""
    change.require_known()
    return await change.record([], whole=True)


async def recall_untold(change: DecisionChange) -> DecisionOutcome:
    """A recall of which no process hears: what they have cached they go on serving."""
    silent = journal.INSERT_ENTRIES.replace("'koschey_project'", "'nobody_listens'")
    with patch.object(journal, "INSERT_ENTRIES", silent):
        return await blocking.recall(change)


async def write_row_first(self: FileFetcher, fetch: Fetch, holding: Holding[File]) -> File:
    """A row that says stored before the bytes are."""
    file = fetch.file
    if file.sha256 and file.size is not None and file.path:
        async with self.pool.acquire() as connection:
            await files.update_stored(connection, file.id, file.sha256, file.size, file.path)
    return await FETCH(self, fetch, holding)


def recalling(recall: Any) -> tuple[Any, str, Any]:
    """Have another function do recalls."""
    return decide, "CHOICES", {**decide.CHOICES, Choice.RECALL: recall}


@dataclass(frozen=True)
class Mutation:
    """What is wrong, and where; and which steps it takes to see that, so that it is found among few."""

    patches: Sequence[tuple[Any, str, Any]]
    steps: frozenset[str] = frozenset()
    length: int = 30
    """Steps of an example. In a short one each step still meets new releases."""

    @property
    def kept(self) -> frozenset[str]:
        """The rules of the machine that stay; a short example has none but its own."""
        return self.steps if self.length < USUAL_LENGTH else USUAL | self.steps

    @property
    def examples(self) -> int:
        """As many as give the same number of steps, whatever their length."""
        return EXAMPLES * USUAL_LENGTH // self.length


EXAMPLES, USUAL_LENGTH = 250, 30
USUAL = frozenset({"upstream_adds", "look", "store", "settle", "time_passes"})
CHECKS = frozenset({"check", "go_the_whole_way"})
WHOLE_WAY = frozenset({"go_the_whole_way"})
PEOPLE = frozenset({"approve", "block"})
HICCUPS = frozenset({"upstream_hiccups"})
PAIRS = frozenset({"approve", "block", "trust", "decide_in_turn", "set_policy"})
NEWS = frozenset({"approve", "read_feed", "act_on_feed", "go_the_whole_way"})

MUTATIONS = {
    "files that are blocked are served": Mutation(
        [
            (serving_files, "verdict", serve_blocked),
            # Asking PostgreSQL once more would refuse them.
            (web_files, "record_download", do_nothing),
        ],
        PEOPLE,
    ),
    "the page lists what is held": Mutation([(served, "verdict", serve_held)]),
    "what is held is given to who knows the path": Mutation(
        [(serving_files, "verdict", serve_held), (web_files, "record_download", do_nothing)]
    ),
    "time releases too early": Mutation([(verdict, "_judge_by_time", release_early)]),
    "an upload time is believed": Mutation(
        [(admission, "window_start", believe_upload_time)], frozenset({"upstream_backdates"})
    ),
    "what reappears is let out": Mutation([(news, "insert_reappeared_project", do_nothing)], CHECKS | HICCUPS),
    "a suspicion is passed over": Mutation([(verdict, "_suspected", lambda *_: None)], WHOLE_WAY, length=4),
    "all that comes back is let out": Mutation(
        [(where, "is_unchanged", lambda *_: True) for where in (intake, news)], CHECKS | HICCUPS
    ),
    "a page is never forgotten": Mutation([(ProjectCache, "forget", lambda *_: None)], PEOPLE),
    "a move is not journalled": Mutation([(settle, "_record", do_nothing)], CHECKS),
    "a fault counts as completed": Mutation([(evidence, "select_evidence", forgive_faults)], CHECKS),
    "what a check wants blocked is not": Mutation([(verdict, "_worst", never_find(FindingAction.BLOCK))], CHECKS),
    "what a check wants looked at is not": Mutation([(verdict, "_worst", never_find(FindingAction.HOLD))], CHECKS),
    "a second person is not asked for": Mutation(
        [(release, "agree_by_policy", need_nobody), (exception, "agree_by_policy", need_nobody)], PAIRS
    ),
    "one person is two": Mutation(
        [(second_person, "agree", agree_with_oneself), (blocking, "agree", agree_with_oneself)], PAIRS
    ),
    "a recall is lifted by one": Mutation([(blocking, "_is_recalled", lift_alone)], PAIRS),
    "a recall blocks nothing": Mutation([recalling(recall_nothing)], PEOPLE),
    "a recall is not told": Mutation([recalling(recall_untold)], PEOPLE),
    "malware is no finding": Mutation([(evidence, "findings_about", lambda *_: ())], NEWS),
    "malware that was let out stays out": Mutation([(malware_reports, "affects", lambda *_: False)], NEWS),
    "an old reading of the feed is believed": Mutation(
        [(evidence, "feed_fault", lambda *_: None), (new_files, "feed_fault", lambda *_: None)],
        CHECKS | {"trust"},
    ),
    "a row comes before its bytes": Mutation(
        [(FileFetcher, "obtain", write_row_first)], frozenset({"die_around_the_bytes"})
    ),
}
"""Faults by what they are."""
