"""The index that is examined: the shared Koschey with a little of everything, or the one that `--index-url` names."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from koschey.client.http import HttpClient, open_egress
from koschey.conformance.checks import AssertionOutcome, registered
from koschey.conformance.examine import run_check
from koschey.conformance.subject import Subject
from tests.support.koschey_up import Koschey
from tests.support.sigstore import Sigstore
from tests.support.upstream.server import Upstream

type Keeps = Callable[[str], Awaitable[None]]


def furnish(upstream: Upstream) -> list[str]:
    """Publish what the checks look for, and return the names of the projects."""
    upstream.add("conf-full", "1.0", requires_python=">=3.8,<5")
    upstream.add("conf-full", "1.0", sdist=True)
    upstream.add("conf-full", "1.1", yanked='it "burns" & <breaks>')
    upstream.add("conf-full", "1.2", yanked=True)
    upstream.add("conf-full", "1.3", core_metadata=False)
    for minor in range(10):  # long enough that the page is compressed
        upstream.add("conf-full", f"2.{minor}")
    upstream.add("conf-plus", "1!2.0+local.1", requires=["conf-full"])
    upstream.add("conf-attested", "1.0", provenance=Sigstore().provenance)
    upstream.add("conf-quarantined", "1.0")
    upstream.set_status("conf-quarantined", "quarantined", 'it is "malware" & <worse>')
    return ["conf-full", "conf-plus", "conf-attested", "conf-quarantined"]


@pytest.fixture
def examined(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """The URL of the index, and the names of projects to look at."""
    if url := request.config.getoption("--index-url"):
        return str(url), list(request.config.getoption("--index-project"))
    koschey: Koschey = request.getfixturevalue("koschey")
    names = furnish(request.getfixturevalue("upstream"))
    for name in names:  # the list names what somebody has asked for
        koschey.page(name)
    return koschey.index_url, names


@pytest.fixture
async def keeps(request: pytest.FixtureRequest, examined: tuple[str, list[str]]) -> AsyncIterator[Keeps]:
    """Fail where the index does not keep an assertion; Koschey must also have all that it is about."""
    checks = {check.id: check for check in registered()}
    async with open_egress(examined[0]) as egress:
        subject = Subject(HttpClient(egress), *examined)
        await subject.load()

        async def keep(assertion: str) -> None:
            result = await run_check(checks[assertion], subject)
            if result.outcome is AssertionOutcome.SKIP and request.config.getoption("--index-url"):
                pytest.skip(result.detail)
            assert result.outcome is AssertionOutcome.PASS, f"{assertion}: {result.check.says} {result.detail}"

        yield keep
