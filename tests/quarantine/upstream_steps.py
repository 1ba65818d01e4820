"""What the upstream does, in the model test."""

from contextlib import suppress
from datetime import timedelta

from hypothesis.stateful import rule
from hypothesis.strategies import booleans, sampled_from

from tests.quarantine.example import DAY, HOUR, MANAGER, VERSIONS
from tests.quarantine.worker_steps import ANSWERS, MOSTLY, WorkerSteps
from tests.support.archives import wheel

TAGS = sampled_from(["py3-none-any", "py2-none-any"])
RARELY = sampled_from([False, False, True])
MEANWHILE = sampled_from(["nothing", "undate", "replace", "block"])
"""What happens to a page, or to one of its releases, while it is not found."""
AGES = sampled_from([HOUR, 3 * DAY, 30 * DAY, -2 * DAY])


class UpstreamSteps(WorkerSteps):
    """It adds, changes, yanks, removes."""

    @rule(version=VERSIONS, tag=TAGS, age=AGES, looked=MOSTLY)
    def upstream_adds(self, version: str, tag: str, age: timedelta, looked: bool) -> None:
        """A file, perhaps late, perhaps backdated, perhaps from the future; mostly it is seen at once."""
        self._add(version, tag, age)
        if looked:
            self.look()

    def _add(self, version: str, tag: str, age: timedelta) -> None:
        name = f"{self.project.replace('-', '_')}-{version}-{tag}.whl"
        with suppress(KeyError):
            self.app.upstream.file(name)
            return
        content = wheel(self.project, version)[1]
        uploaded = self.app.now - age
        self.app.upstream.add(self.project, version, upload_time=uploaded, filename=name, content=content)

    @rule(tag=TAGS)
    def upstream_backdates(self, tag: str) -> None:
        """A file that was not there at the last look is old by what the upstream says."""
        self._add("1.0", "py3-none-any", HOUR)
        self.look()
        self._add("2.0", tag, 30 * DAY)
        self.look()

    @rule(version=VERSIONS)
    def upstream_replaces(self, version: str) -> None:
        """Other bytes under a known filename."""
        self.replace(version)

    def replace(self, version: str) -> None:
        """Change the bytes of a release's files."""
        for name in self.listed(version):
            self.app.upstream.replace(name, wheel(self.project, version, padding=len(name))[1])

    @rule(version=VERSIONS, yanked=booleans())
    def upstream_yanks(self, version: str, yanked: bool) -> None:
        """A release is yanked, or it is not any more."""
        if self.listed(version):
            change = self.app.upstream.yank if yanked else self.app.upstream.unyank
            change(self.project, version)

    @rule(version=VERSIONS)
    def upstream_removes(self, version: str) -> None:
        """A release is deleted."""
        if self.listed(version):
            self.app.upstream.remove_release(self.project, version)

    @rule(status=sampled_from(["quarantined", "active"]))
    def upstream_quarantines(self, status: str) -> None:
        """The upstream closes a project, or opens it again."""
        if self.upstream_page():
            self.app.upstream.set_status(self.project, status)

    @rule()
    def upstream_loses_project(self) -> None:
        """A project vanishes; whoever adds a file later may be another."""
        if self.upstream_page():
            self.app.upstream.remove_project(self.project)

    @rule(version=VERSIONS, answer=ANSWERS, malware=booleans(), again=RARELY, missed=RARELY, read=MOSTLY)
    def go_the_whole_way(
        self, version: str, answer: str, malware: bool, again: bool, missed: bool, read: bool = True
    ) -> None:
        """A new release goes through its quarantine: fetched, checked, and looked at again after its window.

        Mostly the feed is read before that; otherwise what it said is too old by then.
        """
        self._add(version, "py3-none-any", HOUR)
        self.look()
        self.store()
        self.check(version, answer)
        self.time_passes(8 * DAY, heard=False)
        if again:
            self.check(version, "clean")
        self.look()
        if read:
            self.read_feed({version} if malware else set(), acted=again)
        if missed:
            self.miss_page(version, 1)
            self.look()
        self.settle(version)

    @rule(version=VERSIONS, released=booleans(), looks=sampled_from([1, 2, 5]), meanwhile=MEANWHILE)
    def upstream_hiccups(self, version: str, released: bool, looks: int, meanwhile: str) -> None:
        """The page is not found for some looks, of which five confirm an absence, and there again, perhaps changed."""
        if released:
            self.go_the_whole_way(version, "clean", malware=False, again=False, missed=False)
        self.miss_page(version, looks)
        if meanwhile == "replace":
            self.replace(version)
        elif meanwhile == "block":
            self.decide(MANAGER, "block", version)
        self.look(dated=meanwhile != "undate")
        self.settle(version)
