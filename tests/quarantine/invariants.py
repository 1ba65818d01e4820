"""What must hold after each step of the model test: I1 to I10, and that what is served is within what is allowed.

I9 is that nobody approves an upload of their own. What is uploaded starts released, and `approve` is of mirrored files
alone; what can be seen of it here is that nobody is the second person to what they wanted themselves.
"""

import hashlib
import re
from datetime import datetime
from typing import Any

from hypothesis.stateful import invariant

from koschey.storage.s3 import blob_key
from tests.quarantine.example import Asked

FACTS = re.compile(r'<a href="[^"#]*#sha256=([0-9a-f]{64})"([^>]*)>([^<]*)</a>')


class Invariants(Asked):
    """The invariants. `check_all` asks them in the middle of a step too."""

    @invariant()
    def served_is_within_what_is_allowed(self) -> None:
        """I1, I2, I3, I10: what is served, and what is listed, is allowed, is one, and is what it was."""
        if not self.is_known():
            return
        allowed = self.reference.may_serve(self.app.now)
        listed = {file["filename"]: file for file in self.page()["files"]}
        assert set(listed) <= allowed, f"listed, but not allowed: {set(listed) - allowed}"
        for name in self.states():
            self._check_bytes(name, listed.get(name), allowed)
        self.reference.observe(self.states())

    @invariant()
    def every_edge_has_one_entry(self) -> None:
        """I4: each file that moved since the last step has one entry in the journal, which has no gaps."""
        self.check_edges()

    @invariant()
    def stored_rows_have_their_blobs(self) -> None:
        """I5: a row that says stored has its bytes, of that size and digest, in the bucket."""
        query = "SELECT sha256, size, stored_at FROM file JOIN project ON project.id = project_id WHERE name = $1"
        for row in self.app.fetch(query, self.project):
            if row["stored_at"] and row["sha256"] not in self.blobs_checked:
                size = self.app.run(self.app.resources.bucket.size_of(blob_key(row["sha256"])))
                assert size is not None, f"a row says stored, and the bucket does not have it: {row}"
                blob = self.app.run(self.app.resources.bucket.get(blob_key(row["sha256"])))
                assert (len(blob), hashlib.sha256(blob).hexdigest()) == (row["size"], row["sha256"])
                self.blobs_checked.add(row["sha256"])

    @invariant()
    def reserved_name_was_never_asked_for(self) -> None:
        """I6: the upstream heard nothing of the reserved name."""
        assert not [request for request in self.app.upstream.requests if "ours" in request.path]

    @invariant()
    def pages_say_what_is_stored(self) -> None:
        """I8: every fact of a page is the row's, and the HTML page says the same as the JSON page."""
        if self.told == (moment := (self.head(), self.app.now)) or not self.is_known():
            return
        self.told = moment
        page = self.page()
        text = self.app.ask(f"/simple/{self.project}/", Accept="text/html").body.decode()
        assert [(sha256, name) for sha256, _, name in FACTS.findall(text)] == [
            (file["hashes"]["sha256"], file["filename"]) for file in page["files"]
        ]
        for file, (_, attributes, _) in zip(page["files"], FACTS.findall(text), strict=True):
            self._check_facts(file, attributes)

    @invariant()
    def nobody_is_two_people(self) -> None:
        """I9: whoever agreed to a decision is another than who wanted it, and proved their name."""
        query = "SELECT actor, door, seconded_by FROM decision WHERE project = $1 AND seconded_by IS NOT NULL"
        for row in self.app.fetch(query, self.project):
            assert row["actor"] != row["seconded_by"], row
            assert row["door"] != "signal", row

    def check_all(self) -> None:
        """Check them all."""
        self.served_is_within_what_is_allowed()
        self.every_edge_has_one_entry()
        self.stored_rows_have_their_blobs()
        self.reserved_name_was_never_asked_for()
        self.pages_say_what_is_stored()
        self.nobody_is_two_people()

    def _check_bytes(self, name: str, listed: Any, allowed: set[str]) -> None:
        item = self.app.file(name).file
        if item.path is None:
            assert listed is None
            return
        answer = self.app.ask(item.path)
        assert answer.status != 200 or name in allowed, f"served, but not allowed: {name}"
        if answer.status != 200:
            # What was let out and never fetched may be gone upstream.
            unfetched = item.stored_at is None and answer.status in (0, 404, 424, 503)
            assert listed is None or unfetched, (name, answer)
            return
        digest = hashlib.sha256(answer.body).hexdigest()
        assert listed is not None, f"served, but not listed: {name}"
        assert digest == listed["hashes"]["sha256"]
        assert digest == self.served_bytes.setdefault(name, digest), f"other bytes under {name}"
        assert digest == self.reference.files[name].sha256
        self.reference.store(name, digest)

    def _check_facts(self, file: dict[str, Any], attributes: str) -> None:
        item = self.app.file(file["filename"]).file
        assert file["hashes"]["sha256"] == item.sha256
        assert file.get("size") == item.size
        # What the upstream does not say is when we saw it first, or installers' own cool-downs would pass over it.
        assert datetime.fromisoformat(file["upload-time"]) == (item.upload_time or item.first_seen_at)
        assert bool(file["yanked"]) == (item.yanked is not None) == ("data-yanked" in attributes)
        assert file.get("requires-python") == item.requires_python
        assert ("data-requires-python" in attributes) == (item.requires_python is not None)
