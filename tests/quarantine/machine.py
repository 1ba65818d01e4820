"""Everything that can happen to a mirrored project, in any order, and what must hold after each step.

Hypothesis chooses the steps. Beside the real index stands `reference.Reference`; what is served must be within what it
allows. What can happen stands in modules of their own, by who does it, and so does what must hold.
"""

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import initialize
from hypothesis.strategies import booleans, sampled_from

from koschey.governance.changes import set_rule
from koschey.governance.terms import Terms
from tests.quarantine.example import HOUR, MANAGER
from tests.quarantine.fault_steps import FaultSteps
from tests.quarantine.reference_evidence import CHECK, FEED
from tests.quarantine.upstream_steps import UpstreamSteps
from tests.support.chosen_check import register

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
SHORT = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, database=None,
    phases=[Phase.generate], report_multiple_bugs=False, suppress_health_check=QUIET, print_blob=False,
)  # fmt: skip
"""The same examples every time, so that what fails here fails everywhere."""
WITH_FEED: dict[str, Any] = {"advisories": "/nowhere/advisories.zip"}
"""That there is a feed; it is read when a step of the machine says so."""


class Quarantine(FaultSteps, UpstreamSteps):
    """The machine."""

    @initialize(checked=sampled_from([True, True, False]), fed=booleans(), seen=sampled_from([True, True, True, False]))
    def begin(self, checked: bool, fed: bool, seen: bool) -> None:
        """One name is private, and the upstream has a project of that name. Checks and advisories count, or do not.

        Mostly a new release has been seen, or most examples would be of a project that is not known.
        """
        ours = f"{self.project}-ours"
        self.app.upstream.add(ours, "99.0")
        self.app.upstream.forget_requests()
        terms = Terms("reserved", ours, reason="ours")
        self.in_transaction(lambda connection: set_rule(connection, MANAGER, terms))
        self.app.run(register(self.app.resources.pool))
        # Nobody has read the feed yet.
        self.app.execute("DELETE FROM advisory_feed")
        for name, counts in ((CHECK, checked), (FEED, fed)):
            if not counts:
                self.set_rule("check", "off", name)
                self.reference.evidence.rules[name] = "off"
        self.serial = self.head()
        if seen:
            self.upstream_adds("1.0", "py3-none-any", HOUR, looked=True)

    def teardown(self) -> None:
        """Leave no project behind that the next example could meet."""
        with suppress(KeyError):
            self.app.upstream.remove_project(self.project)
