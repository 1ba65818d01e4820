"""What an index may serve of one project: the rules of the quarantine once more, as simply as they can be said.

Written from what is promised and not from the code: it knows no reason, no journal and no database. It never says what
must be served but `is_due`; that an index serves less, for it is more careful, is no fault.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.quarantine.reference_evidence import Evidence

STUCK = frozenset({"conflict", "malformed"})
CLOSED = STUCK | {"blocked", "removed"}


@dataclass
class Known:
    """One filename. Its bytes are those that it had first, for ever."""

    version: str
    sha256: str | None
    counts_from: datetime
    uploaded: datetime | None = None
    """As the page said that listed it first."""
    listed: bool = True
    yanked: bool = False
    stored: bool = False
    checked: str | None = None
    """What the check, once it went through, said: `clean`, or what it found."""
    out: bool = False
    """It was let out, by time, trust or a person, and not taken back since."""
    closed: bool = False
    """Only people can open it again."""
    stuck: bool = False
    """Closed, and not by a block that could be lifted."""
    doubted: bool = False
    """The upstream once listed other bytes, or lacked it while it was held."""
    missed: bool = False
    """The last look lacked it."""
    missed_out: bool = False
    """It was out when it was missed first, and no person and no report has decided about it since."""
    waits_for_person: bool = False
    held_until: datetime | None = None
    exception: tuple[str, datetime] | None = None


@dataclass
class Reference:
    """One mirrored project."""

    usual: timedelta
    evidence: Evidence
    files: dict[str, Known] = field(default_factory=dict)
    looked_at: datetime | None = None
    quarantined: bool = False
    blocks: set[str | None] = field(default_factory=set)
    recalled: set[str | None] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    """Of `trusted`, `allowed-only`, `observed` and `second-person` those that are in force."""
    window: timedelta | None = None
    proposals: dict[tuple[str, str | None], tuple[str, frozenset[str]]] = field(default_factory=dict)
    """Who proposed what, and about which files."""
    estranged: bool = False
    """The project was gone once, or all that was known of it: another may have the name."""

    def look(self, page: Mapping[str, Any] | None, now: datetime) -> None:
        """The upstream's page was read; None where there was none."""
        listed = {file["filename"]: file for file in page["files"]} if page else {}
        self.quarantined = bool(page) and page["project-status"]["status"] == "quarantined"  # type: ignore[index]
        self.estranged |= bool(self.files) and not set(listed) & set(self.files)
        for name, known in self.files.items():
            if not self.quarantined:
                self._miss(known, listed.get(name))
            self._follow(known, listed.get(name))
        for name in set(listed) - set(self.files):
            self._add(name, listed[name], now)
        if self.looked_at is None:
            # What was reported before is closed as it comes in.
            self.evidence.reported.clear()
        self.looked_at = now

    def _miss(self, known: Known, file: Mapping[str, Any] | None) -> None:
        """Whatever an absence does, nothing gains by it: only what was out, and is as it was, may be out again."""
        if file is None:
            known.missed_out = known.missed_out or (known.out and not known.missed)
            known.missed = True
        elif known.missed:
            is_open = not self.is_blocked(known) and not self.evidence.is_malware(known.version)
            if known.missed_out and is_open and _is_as_it_was(known, file):
                known.closed, known.out = False, True
            known.doubted = known.doubted or not known.out
            known.missed = known.missed_out = False

    def _follow(self, known: Known, file: Mapping[str, Any] | None) -> None:
        known.listed, known.yanked = file is not None, bool(file and file["yanked"])
        sha256 = file["hashes"].get("sha256") if file else None
        if known.sha256 and sha256 and sha256 != known.sha256:
            # Nothing new is let in; what was let out stays what it was.
            known.closed, known.doubted = known.closed or not known.out, True

    def _add(self, name: str, file: Mapping[str, Any], now: datetime) -> None:
        uploaded = datetime.fromisoformat(file["upload-time"]) if "upload-time" in file else now
        # An upstream that backdates gains nothing: at the last look the file was not there.
        counts_from = max(uploaded, self.looked_at) if self.looked_at else uploaded
        sha256, stated = file["hashes"].get("sha256"), uploaded if "upload-time" in file else None
        known = Known(name.split("-")[1], sha256, counts_from, stated, yanked=bool(file["yanked"]))
        known.closed = self.is_blocked(known) or self.evidence.is_malware(known.version)
        if known.sha256 and not known.closed:
            # What was old at first sight is no news; what is trusted waits for checks where there are any.
            is_old = self._is_over(known, now)
            by_trust = "trusted" in self.flags and (is_old or self.evidence.is_whole(None, now))
            known.out = by_trust or (is_old and "allowed-only" not in self.flags)
        self.files[name] = known

    def store(self, name: str, sha256: str) -> None:
        """The bytes were fetched."""
        known = self.files[name]
        known.stored, known.sha256 = True, known.sha256 or sha256

    def act_on_feed(self) -> None:
        """What is newly reported is closed at once, also where it was let out."""
        for known in self.files.values():
            is_news = known.version in self.evidence.reported and self.evidence.is_malware(known.version)
            if is_news and not known.closed:
                known.closed, known.out, known.missed_out = True, False, False
                self.recalled.add(known.version)
        self.evidence.reported.clear()

    def settle(self, version: str, now: datetime) -> None:
        """Time was asked."""
        for known in self._release(version):
            actions = self.evidence.actions(known.version, known.checked)
            known.closed |= "block" in actions and not known.out and "observed" not in self.flags
            known.out = known.out or self.is_due(known, now)

    def is_due(self, known: Known, now: datetime) -> bool:
        """Tell whether time, or trust, lets out what waits."""
        if known.closed or self.is_blocked(known) or self.quarantined or not known.listed or not known.sha256:
            return False
        found = self.evidence.actions(known.version, known.checked)
        if known.doubted or found & {"hold", "block"} or not self.evidence.is_whole(known.checked, now):
            return False
        if "trusted" in self.flags:
            return True
        if not self._is_over(known, now) or known.waits_for_person or "allowed-only" in self.flags:
            return False
        # The upstream was looked at after the end, and listed it still.
        return known.stored and not known.yanked and self.looked_at is not None and self.looked_at >= self._end(known)

    def agrees(self, person: str | None, choice: str, version: str | None) -> bool:
        """Tell whether a decision may be in force at once; `person` is None where nobody proved a name."""
        if not self._needs_two(choice, version):
            return True
        proposer, _ = self.proposals.get((choice, version), (None, None))
        return None not in (person, proposer) and person != proposer

    def propose(self, person: str, choice: str, version: str | None) -> None:
        """Somebody decided alone what needs two."""
        self.proposals[choice, version] = person, frozenset(self.files)

    def _needs_two(self, choice: str, version: str | None) -> bool:
        if choice != "unblock":
            return choice in ("approve", "except", "trust") and "second-person" in self.flags
        lifted = self._lifted(version)
        return bool(self.recalled & (lifted | {None})) or any(self.evidence.is_malware(each) for each in lifted)

    def _lifted(self, version: str | None) -> set[str | None]:
        """Return what an unblocking opens: its scope, and the versions of the files in it that nothing else blocks."""
        kept = self.blocks - {version}
        files = (known for known in self._release(version) if known.closed and not known.stuck)
        return {version} | {known.version for known in files if not kept & {None, known.version}}

    def decide(self, choice: str, version: str | None, now: datetime, span: timedelta = timedelta(0)) -> None:
        """A decision is in force: of one person where one is enough, else about the files that were proposed."""
        names = self.proposals.pop((choice, version))[1] if self._needs_two(choice, version) else frozenset(self.files)
        if choice in ("block", "recall"):
            self.blocks.add(version)
            self.recalled |= {version} if choice == "recall" else set()
            self.proposals = {key: told for key, told in self.proposals.items() if version not in (None, key[1])}
        elif choice == "unblock":
            self.recalled -= self._lifted(version)
            self.blocks.discard(version)
        elif choice in ("trust", "untrust"):
            self.flags = self.flags - {"trusted"} | ({"trusted"} if choice == "trust" else set())
        for name in names:
            if version in (None, self.files[name].version):
                self._decide_on(self.files[name], choice, now + span)

    def _decide_on(self, known: Known, choice: str, until: datetime) -> None:
        is_open = not known.closed and not self.is_blocked(known) and known.sha256 is not None
        if choice in ("block", "recall", "unblock"):
            known.missed_out = known.missed_out and known.closed and choice != "unblock"
        if choice in ("block", "recall"):
            known.closed, known.stuck, known.out, known.exception = True, False, False, None
        elif choice == "unblock" and known.closed and not self.is_blocked(known):
            known.closed, known.waits_for_person = False, True
        elif choice in ("approve", "trust") and is_open:
            known.out = True
        elif choice == "except" and is_open and known.sha256:
            known.exception = known.sha256, until
        elif choice == "extend" and not known.out:
            known.held_until = max(until, known.held_until or until)

    def observe(self, states: Mapping[str, str]) -> None:
        """Take over where the index is more careful: what it holds must earn its way out anew."""
        for name, known in self.files.items():
            known.out = known.out and states[name] == "released"
            known.closed, known.stuck = known.closed or states[name] in CLOSED, states[name] in STUCK

    def may_serve(self, now: datetime) -> set[str]:
        """Return what may be served at this moment."""
        return {name for name, known in self.files.items() if self._may_serve(known, now)}

    def _may_serve(self, known: Known, now: datetime) -> bool:
        if known.closed or self.is_blocked(known) or self.quarantined or known.sha256 is None:
            return False
        excepted = known.exception is not None and known.exception[0] == known.sha256 and now < known.exception[1]
        return known.out or excepted or "observed" in self.flags

    def is_blocked(self, known: Known) -> bool:
        """Tell whether a person's block covers it."""
        return bool(self.blocks & {None, known.version})

    def _release(self, version: str | None) -> Iterator[Known]:
        return (known for known in self.files.values() if version in (None, known.version))

    def _end(self, known: Known) -> datetime:
        end = known.counts_from + (self.usual if self.window is None else self.window)
        return max(end, known.held_until) if known.held_until else end

    def _is_over(self, known: Known, now: datetime) -> bool:
        return self._end(known) <= now


def _is_as_it_was(known: Known, file: Mapping[str, Any]) -> bool:
    """Tell whether a page lists the bytes and the upload that are known."""
    uploaded = datetime.fromisoformat(file["upload-time"]) if "upload-time" in file else None
    return known.sha256 is not None and (known.sha256, known.uploaded) == (file["hashes"].get("sha256"), uploaded)
