"""Faults of the index, one at a time, that the model test must find: so its silence means something."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from koschey.db import files, findings, journal
from koschey.index import intake, served
from koschey.index.cache import ProjectCache
from koschey.index.fetching import Fetch, FileFetcher
from koschey.model import File, Standing, StandingFile, State
from koschey.policy import admission, verdict
from koschey.policy.findings import Finding, FindingAction
from koschey.policy.verdict import Verdict
from koschey.publish import decide, evidence, report, settle
from koschey.publish.choices import blocking, exception, letting_out, second_person
from koschey.publish.choices.change import Change
from koschey.publish.decision import Choice, Outcome
from koschey.web import files as web_files

JUDGE, WORST = verdict.verdict, verdict._worst
FETCH, AGREE, SELECT_EVIDENCE = FileFetcher._fetch, second_person.agree, findings.select_evidence


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
    return Verdict(bool(file.sha256 and file.path), State.RELEASED, "too early")


def believe_upload_time(upload_time: datetime | None, first_seen_at: datetime, *_: Any, **__: Any) -> datetime:
    """A window that counts from whatever the upstream says."""
    return upload_time or first_seen_at


async def do_nothing(*_: object) -> None:
    """A step that is left out."""


async def move_silently(connection: Any, _: Any, due: Sequence[tuple[StandingFile, Verdict]]) -> None:
    """A settling that tells nobody."""
    for item, judgement in due:
        await files.update_states(connection, [item.file.id], judgement.state, judgement.reason)


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


async def need_nobody(change: Change, *_: Any, **__: Any) -> Change:
    """A decision of one person where two are asked for."""
    return change


async def agree_with_oneself(change: Change, *args: Any, **more: Any) -> Change | Outcome:
    """Somebody who decides the same twice is two people."""
    agreed = await AGREE(change, *args, **more)
    is_same = isinstance(agreed, Outcome) and agreed.serial is None
    return change if is_same else agreed


async def lift_alone(*_: Any) -> bool:
    """A recall is lifted as any block is."""
    return False


async def recall_nothing(change: Change) -> Outcome:
    """A recall that is written down, and no more."""
    change.require_known()
    return await change.record([], whole=True)


async def recall_untold(change: Change) -> Outcome:
    """A recall of which no process hears: what they have cached they go on serving."""
    with patch.object(journal, "notify", do_nothing):
        return await blocking.recall(change)


async def write_row_first(self: FileFetcher, fetch: Fetch) -> File:
    """A row that says stored before the bytes are."""
    file = fetch.file
    if file.sha256 and file.size is not None and file.path:
        async with self.pool.acquire() as connection:
            await files.update_stored(connection, file.id, file.sha256, file.size, file.path)
    return await FETCH(self, fetch)


def recalling(recall: Any) -> tuple[Any, str, Any]:
    """Have another function do recalls."""
    return decide, "CHOICES", {**decide.CHOICES, Choice.RECALL: recall}


MUTATIONS: dict[str, list[tuple[Any, str, Any]]] = {
    "files that are blocked are served": [
        (web_files, "verdict", serve_blocked),
        # Asking PostgreSQL once more would refuse them.
        (web_files, "record_download", do_nothing),
    ],
    "the page lists what is held": [(served, "verdict", serve_held)],
    "what is held is given to who knows the path": [(web_files, "verdict", serve_held)],
    "time releases too early": [(verdict, "_judge_by_time", release_early)],
    "an upload time is believed": [(admission, "window_start", believe_upload_time)],
    "a page is never forgotten": [(ProjectCache, "forget", lambda *_: None)],
    "a move is not journalled": [(settle, "_move", move_silently)],
    "a fault counts as completed": [(evidence, "select_evidence", forgive_faults)],
    "what a check wants blocked is not": [(verdict, "_worst", never_find(FindingAction.BLOCK))],
    "what a check wants looked at is not": [(verdict, "_worst", never_find(FindingAction.HOLD))],
    "a second person is not asked for": [
        (letting_out, "agree_by_policy", need_nobody),
        (exception, "agree_by_policy", need_nobody),
    ],
    "one person is two": [(second_person, "agree", agree_with_oneself), (blocking, "agree", agree_with_oneself)],
    "a recall is lifted by one": [(blocking, "_is_recalled", lift_alone)],
    "a recall blocks nothing": [recalling(recall_nothing)],
    "a recall is not told": [recalling(recall_untold)],
    "malware is no finding": [(evidence, "findings_about", lambda *_: ())],
    "malware that was let out stays out": [(report, "affects", lambda *_: False)],
    "an old reading of the feed is believed": [
        (evidence, "feed_fault", lambda *_: None),
        (intake, "feed_fault", lambda *_: None),
    ],
    "a row comes before its bytes": [(FileFetcher, "_fetch", write_row_first)],
}
"""What is wrong, and where."""
