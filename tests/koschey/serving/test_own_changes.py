"""A snapshot that was built from what this process has just written outlives the notification of that write alone."""

from collections.abc import Callable

import pytest
from packaging.utils import NormalizedName

from koschey.model import Serial
from koschey.serving import snapshots as module
from koschey.serving.encoded import Encoded, EncodedPage, Variant
from koschey.serving.snapshots import Snapshot, SnapshotCache
from koschey.standards.negotiation import Form

SPAM, EGGS = NormalizedName("spam"), NormalizedName("eggs")
OURS, OTHER = 101, 202
"""Process ids of connections."""

type Step = Callable[[SnapshotCache, Snapshot], None]


def hear(sender: int, name: str = SPAM) -> Step:
    """A commit of this connection is notified."""
    return lambda cache, _: cache.hear_changed(name, sender)


def put(cache: SnapshotCache, built: Snapshot) -> None:
    """What was written is served; its transaction began before anything was heard."""
    cache.put_first(SPAM, built, 0, OURS)


def lose(cache: SnapshotCache, _: Snapshot) -> None:
    """The listening connection is lost."""
    cache.forget_all()


STAYS: dict[str, list[Step]] = {
    "its notification comes later": [put, hear(OURS)],
    "its notification came before": [hear(OURS), put],
    "another project changes": [hear(OTHER, EGGS), put, hear(OURS), hear(OURS, EGGS)],
}
GOES: dict[str, list[Step]] = {
    "another connection, later": [put, hear(OURS), hear(OTHER)],
    "another connection, in between": [put, hear(OTHER), hear(OURS)],
    "another connection, before": [hear(OTHER), put],
    "another connection, before and after its own": [hear(OURS), hear(OTHER), put],
    "another connection, before its own": [hear(OTHER), hear(OURS), put],
    "the same connection again": [put, hear(OURS), hear(OURS)],
    "the same connection twice before": [hear(OURS), hear(OURS), put],
    "a rule for many projects": [put, hear(OURS), hear(OTHER, "sp*")],
    "a rule for many projects, by the same connection": [put, hear(OURS, "@upstream")],
    "a lost connection": [put, lose],
    "a lost connection before": [hear(OURS), lose, put],
}


@pytest.fixture(name="cache")
def _cache() -> SnapshotCache:
    return SnapshotCache(lambda: True, limit=10**9)


@pytest.fixture(name="built")
def _built() -> Snapshot:
    return Snapshot(EncodedPage(Serial(1), {Form.JSON: Variant(Encoded(b"x"), "etag")}))


@pytest.mark.parametrize("steps", STAYS)
def test_it_stays(cache: SnapshotCache, built: Snapshot, steps: str) -> None:
    """The notification of the write itself removes nothing, in whatever order it arrives."""
    for step in STAYS[steps]:
        step(cache, built)
    assert cache.get(SPAM) is built


@pytest.mark.parametrize("steps", GOES)
def test_it_goes(cache: SnapshotCache, built: Snapshot, steps: str) -> None:
    """Every other change removes it, or keeps it out."""
    for step in GOES[steps]:
        step(cache, built)
    assert cache.get(SPAM) is None


def test_what_was_not_kept_is_not_expected(built: Snapshot) -> None:
    """While the cache is not trusted nothing is kept, and the next notification is one like others."""
    trusted = False
    cache = SnapshotCache(lambda: trusted, limit=10**9)
    put(cache, built)
    trusted = True
    cache.put(SPAM, built, cache.changes)
    cache.hear_changed(SPAM, OURS)
    assert cache.get(SPAM) is None


def test_few_notifications_are_remembered(
    cache: SnapshotCache, built: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of old notifications it is not known who sent them: a snapshot that is older is not kept."""
    monkeypatch.setattr(module, "REMEMBERED", 2)
    for name in (SPAM, "a", "b"):
        cache.hear_changed(name, OURS)
    put(cache, built)
    assert cache.get(SPAM) is None
