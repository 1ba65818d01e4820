"""Reads signals with an open code from histories, so that no decision waits for a workflow that Temporal does not run.

While signals to one workflow saturate Temporal, it may begin none of the workflow's tasks until they stop, and a
reviewer's signal is pending with them. But the history has the signal, and a worker can read the history. So while a
code is open, the worker reads the histories of its releases, and carries out each decision that the workflow has not
carried out before the next reading. The workflow finds the code used later, and answers with the result.
"""

import asyncio

import structlog
from temporalio.client import Client

from activities.decisions import SignalledDecision, parse_signalled
from koschey.auth.codes import digest_code
from koschey.db.pool import Pool
from koschey.db.reviewer_codes import OpenRelease, select_open_releases
from koschey.errors import UsageError
from koschey.policy.advisories import Feed
from koschey.quarantine.reviewer_codes import LIFETIME, redeem_code
from koschey.worker.signal_history import read_signalled

log = structlog.get_logger()

EVERY = 2.0
"""Seconds between two readings, and so the minimum time that a signal is left to its workflow."""
RELEASES = 20
"""Maximum number of releases in one reading: those with the newest codes."""


class OpenCodes:
    """Reads histories again and again while codes are open."""

    def __init__(self, pool: Pool, client: Client, feed: Feed | None) -> None:
        self._pool = pool
        self._client = client
        self._feed = feed
        self._found: list[SignalledDecision] = []

    async def run(self) -> None:
        """Read histories again and again. Has no end."""
        while True:
            await asyncio.sleep(EVERY)
            await self.read_once()

    async def read_once(self) -> list[str]:
        """Carry out what the last reading found and no workflow has carried out since; return the answers."""
        answers = [await self._decide(decision) for decision in self._found]
        self._found = []
        found = [
            decision
            for release in await select_open_releases(self._pool, LIFETIME, RELEASES)
            for decision in await self._signalled(release)
        ]
        if found:
            # If the code is still open after the signal was read, it was open when Temporal received the signal.
            open_now = await select_open_releases(self._pool, LIFETIME, RELEASES)
            digests = {digest for release in open_now for digest in release.digests}
            self._found = [decision for decision in found if digest_code(decision.code) in digests]
        return answers

    async def _signalled(self, release: OpenRelease) -> list[SignalledDecision]:
        """Return the decisions signalled with an open code of a release, each once, in their order."""
        signalled = await read_signalled(self._client, release.project, release.version)
        wanted = [each.decision for each in signalled if digest_code(each.decision.code) in release.digests]
        return [decision for place, decision in enumerate(wanted) if decision not in wanted[:place]]

    async def _decide(self, decision: SignalledDecision) -> str:
        """Carry out a decision as the workflow would. Its signal was received in time."""
        try:
            wanted = parse_signalled(decision)
        except UsageError as error:
            return f"refused: {error}"
        async with self._pool.acquire() as connection:
            answer = await redeem_code(connection, decision.code, decision.reviewer, wanted, self._feed, in_time=True)
        log.info("a signal was read from its history", project=wanted.project, version=wanted.version, answer=answer)
        return answer
