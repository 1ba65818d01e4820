"""The order of test files: the longest first, so that no test process works alone on a long one at the end.

Each run stores the seconds of each file in pytest's cache, and the next run sorts by them. For a file that has not run
on this machine, they are estimated from the fixtures of its tests.
"""

import re
from collections import defaultdict

import pytest

ESTIMATES = {"postgres": 0.1, "koschey": 1.0}
"""Estimated seconds of a test by fixture. The slowest fixture that it uses counts."""
WHOLE_PROCESSES = ("tests/system/", "tests/workflows/", "tests/quarantine/", "tests/browser/")
"""Folders whose tests start, stop and kill processes."""

_seconds: defaultdict[str, float] = defaultdict(float)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the files, and keep the order of the tests in each."""
    expected: defaultdict[str, float] = defaultdict(float)
    for item in items:
        expected[_file(item.nodeid)] += _estimate(item)
    # Every test process reads the same, because only the process that started them writes, at the end.
    kept = config.cache.get(_key(config), {}) if getattr(config, "cache", None) else {}
    expected.update({file: kept[file] for file in expected if file in kept})
    items.sort(key=lambda item: (-expected[_file(item.nodeid)], _file(item.nodeid)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add the time of one phase of a test, whichever process ran it."""
    _seconds[_file(report.nodeid)] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Store the times, but not if this run left out tests of a file."""
    config = session.config
    if getattr(config, "cache", None) is None:  # `-p no:cacheprovider`
        return
    is_whole = not (config.option.keyword or config.option.lf or any("::" in each for each in config.args))
    if is_whole and not hasattr(config, "workerinput") and session.exitstatus == pytest.ExitCode.OK:
        kept = config.cache.get(_key(config), {})
        config.cache.set(_key(config), kept | {file: round(spent, 1) for file, spent in _seconds.items()})


def _key(config: pytest.Config) -> str:
    """Return the cache key, which contains the marks that select tests, because deselected tests take no time."""
    return f"koschey/seconds-of-files/{re.sub(r'\W+', '-', config.option.markexpr) or 'all'}"


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _estimate(item: pytest.Item) -> float:
    if item.nodeid.startswith(WHOLE_PROCESSES):
        return 5.0
    used = getattr(item, "fixturenames", ())
    return max((seconds for fixture, seconds in ESTIMATES.items() if fixture in used), default=0.01)
