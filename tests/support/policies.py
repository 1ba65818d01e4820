"""Policies and files for property tests: rules of every kind and scope, and files in every state, of few names."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.causes import UNKNOWN
from koschey.model import File, FileId, Origin, Sha256, Standing, StandingFile, State
from koschey.policy.changes import rule_key
from koschey.policy.rules import FLAGS, Rule, RuleKind, covers
from koschey.standards.names import digest_path
from tests.support.rows import NOON, digest_of

PROPERTY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The settings of a property that is tested on a database, whose fixture lives as long as all examples."""
PROJECTS = ("acme", "acme-tools", "other")
VERSIONS = ("1.0", "2.0")
SCOPES = ("*", "@upstream", "acme-*", "acme-tools-*", *PROJECTS)
SHIFTS = st.sampled_from([-30, -8, -6, -1, 1, 6, 30]).map(lambda days: timedelta(days=days))
moments = SHIFTS.map(lambda shift: NOON + shift)
ends = st.sampled_from([None, None, None, *(NOON + timedelta(days=shift) for shift in (-6, 6, 30))])
STATES = [*State, State.HELD, State.HELD, State.HELD, State.HELD, State.RELEASED, State.RELEASED, State.RELEASED]
mostly = st.sampled_from([True, True, True, False])


def _rule(kind: RuleKind, value: st.SearchStrategy[str], **changes: Any) -> st.SearchStrategy[Rule]:
    given = {
        "kind": st.just(kind),
        "version": st.none(),
        "reason": st.sampled_from(["why", "because"]),
        "actor": st.just("ada"),
        "scope": st.sampled_from(SCOPES),
        "value": value,
        "expires_at": ends,
    }
    return st.builds(Rule, **given | changes)


days = st.sampled_from(["0", "2", "7", "60"])
KINDS: list[st.SearchStrategy[Rule]] = [
    *(_rule(kind, st.just("")) for kind in RuleKind if kind in FLAGS),
    *(_rule(kind, days | st.just("never")) for kind in (RuleKind.WINDOW, RuleKind.UNKNOWN_AGE)),
    _rule(RuleKind.WITHDRAWN, days),
    _rule(
        RuleKind.CHECK,
        st.sampled_from(["off", "note", "hold", "block"]),
        subject=st.sampled_from(["names", "names/near", "other"]),
    ),
    *(
        _rule(kind, st.just(""), version=st.sampled_from(VERSIONS), scope=st.sampled_from(PROJECTS))
        for kind in (RuleKind.BLOCKED, RuleKind.OBSERVED)
    ),
]


def policies(max_size: int = 6) -> st.SearchStrategy[list[Rule]]:
    """Any number of rules, some of which have expired."""
    return st.lists(st.one_of(KINDS), max_size=max_size)


def rules_of(found: list[Rule], project: str) -> tuple[Rule, ...]:
    """The rules that cover a mirrored project."""
    return tuple(rule for rule in found if covers(rule.scope, project, Origin.MIRRORED))


@st.composite
def standing_files(draw: st.DrawFn) -> StandingFile:
    """A file of a mirrored project in any state, with or without a digest and stored bytes."""
    project, version = draw(st.sampled_from(PROJECTS)), draw(st.sampled_from(VERSIONS))
    filename = f"{project.replace('-', '_')}-{version}{draw(st.sampled_from(['-py3-none-any.whl', '.tar.gz']))}"
    sha256: Sha256 | None = digest_of(filename) if draw(mostly) else None
    begun, due = draw(st.none() | moments), draw(st.none() | moments)
    file = File(
        id=FileId(1),
        project=NormalizedName(project),
        version=version,
        filename=filename,
        sha256=sha256,
        size=1000,
        upload_time=draw(st.none() | moments),
        first_seen_at=NOON - timedelta(days=8),
        stored_at=NOON if sha256 and draw(mostly) else None,
        requires_python=None,
        yanked=draw(st.sampled_from([None, None, None, "", "broken"])),
        core_metadata=None,
        metadata_stored=False,
        upstream_url=None,
        path=digest_path(sha256, filename) if sha256 else None,
        absent_since=draw(st.sampled_from([None, None, None, NOON])),
    )
    return StandingFile(
        file, replace(Standing(draw(st.sampled_from(STATES)), UNKNOWN, "as it was", due, None), counts_from=begun)
    )


def unique(rules: list[Rule]) -> list[Rule]:
    return list({rule_key(rule): rule for rule in rules}.values())
