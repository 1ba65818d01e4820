"""What the index does by itself, in the model test: it looks, fetches, checks, reads advisories, and settles."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis.stateful import rule
from hypothesis.strategies import booleans, sampled_from, sets

from koschey.errors import KoscheyError
from koschey.model import Advisory
from koschey.quarantine.advisories import act_on_advisories, confirm_reading, write_reading
from tests.quarantine.example import DAY, HOUR, VERSIONS, Asked
from tests.support.chosen_check import FAULTS, checker

MOSTLY = sampled_from([True, True, True, False])
ANSWERS = sampled_from(["clean", "clean", "noted", "odd", "evil", *FAULTS])
SPANS = sampled_from([HOUR, 2 * DAY, 5 * DAY, 8 * DAY])
UNCHECKED = """
    SELECT filename FROM file JOIN standing ON file_id = file.id JOIN project ON project.id = project_id
     WHERE name = $1 AND version = $2 AND state = 'held' AND stored_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM check_run WHERE check_run.file_id = file.id AND check_run.name = $3)
"""


class WorkerSteps(Asked):
    """The steps of workers, each as its activity takes it."""

    @rule(dated=MOSTLY, hashed=MOSTLY)
    def look(self, dated: bool = True, hashed: bool = True) -> None:
        """The page is read again; it may lack times and digests."""
        upstream = self.app.upstream
        upstream.upload_times, upstream.hashes = dated, "sha256" if hashed else None
        try:
            page = self.upstream_page()
            self.app.refresh(self.project)
        finally:
            upstream.upload_times, upstream.hashes = True, "sha256"
        if page is not None or self.is_known():
            self.reference.look(page, self.app.now)
        self.check_edges()

    def miss_page(self, version: str, looks: int) -> None:
        """Look for a page that is not found, some times, an hour apart, and settle each time."""
        self.app.upstream.fault(self.project, status=404)
        for _ in range(looks):
            self.app.pass_time(HOUR)
            known = self.is_known()
            self.app.refresh(self.project)
            if known:
                self.reference.look(None, self.app.now)
            self.settle(version)
            self.reference.observe(self.states())
        self.app.upstream.clear_faults()

    @rule()
    def store(self) -> None:
        """The worker fetches what is held; what is there as it was promised is stored then."""
        there: dict[str, Any] = {file["filename"]: file for file in (self.upstream_page() or {"files": []})["files"]}
        for row in self.rows():
            name = row["filename"]
            with suppress(KoscheyError):
                self.app.store(name)
            if name in there and row["sha256"] == there[name]["hashes"]["sha256"]:
                assert name in self.stored(), f"{name} could be stored, and is not"
        for row in self.rows():
            if row["stored_at"]:
                self.reference.store(row["filename"], row["sha256"])
        self.check_edges()

    @rule(version=VERSIONS, answer=ANSWERS)
    def check(self, version: str, answer: str) -> None:
        """The check looks at what it has not seen; a fault is none of its answers."""
        asked: list[str] = []
        self.oracle.answer, self.oracle.tell = answer, asked.append
        self.app.run(checker(self.app.resources, self.oracle).check(self.project, version, [self.oracle.name]))
        self.app.hear_all()
        self.note_answers(asked, answer)
        if self.reference.evidence.rules.get(self.oracle.name) != "off":
            left = self.app.fetch(UNCHECKED, self.project, version, self.oracle.name)
            assert not left, f"nothing is known of a check of {left}"

    def note_answers(self, asked: list[str], answer: str) -> None:
        """The check was asked about files, and that is written down."""
        for name in asked:
            self.reference.files[name].checked = None if answer in FAULTS else answer

    @rule(version=VERSIONS, again=booleans())
    def settle(self, version: str, again: bool = False) -> None:
        """A timer fires: early, late or twice."""
        reference = self.reference
        due = [
            name
            for name, known in reference.files.items()
            if known.version == version and not known.out and reference.is_due(known, self.app.now)
        ]
        for _ in range(1 + again):
            self.app.settle(self.project, version)
        reference.settle(version, self.app.now)
        if not reference.estranged:
            states = self.states()
            assert all(states[name] == "released" for name in due), f"what was due is held: {due} {states}"
        self.check_edges()

    @rule(span=SPANS, heard=MOSTLY)
    def time_passes(self, span: timedelta, heard: bool) -> None:
        """Hours or days go by, and somebody goes on asking the feed, or nobody does."""
        self.app.pass_time(span)
        if heard and self.reference.evidence.feed_read_at is not None:
            feed = self.app.resources.feed
            assert feed
            self.in_transaction(lambda connection: confirm_reading(connection, feed))
            self.reference.evidence.feed_read_at = self.app.now

    @rule(malware=sets(VERSIONS), acted=MOSTLY)
    def read_feed(self, malware: set[str], acted: bool) -> None:
        """The advisories are read: they call some releases malware. Perhaps the worker dies before it acts on that."""
        found = [self._advisory(version) for version in sorted(malware)]
        feed = self.app.resources.feed
        assert feed
        self.in_transaction(lambda connection: write_reading(connection, found, None, feed))
        self.reference.evidence.read_feed(malware, self.app.now)
        if acted:
            self.act_on_feed()

    @rule()
    def act_on_feed(self) -> None:
        """The worker does what the advisories ask for."""
        self.in_transaction(act_on_advisories)
        if self.is_known():
            self.reference.act_on_feed()
        self.check_edges()

    def _advisory(self, version: str) -> Advisory:
        identity = f"MAL-{self.project}-{version}"
        return Advisory(identity, self.project, True, "malware", (version,), (), self.app.now, None)
