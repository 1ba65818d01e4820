"""The table of roles and actions, and what scopes, indexes and tokens make of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.accounts import Account, Grant, TokenRights
from koschey.auth.permissions import (
    ROLES,
    Action,
    allows,
    covers,
    permits,
    permits_overview,
    permits_somewhere,
)

READS = {Action.READ, Action.INSPECT}
TABLE: dict[str, set[Action]] = {
    "reader": READS,
    "uploader": {Action.UPLOAD},
    "maintainer": {*READS, Action.UPLOAD, Action.YANK},
    "reviewer": {*READS, Action.AUDIT, Action.DECIDE},
    "auditor": {*READS, Action.AUDIT},
    "admin": set(Action),
}
"""The table once more."""
SCOPES = ("*", "@upstream", "spam-*", "spam-eggs-*", "spam", "spam-eggs", "spam-eggs-ham", "spamalot", "eggs")


@pytest.mark.parametrize("role", [*TABLE, "upload-only", "Admin", "", "*", "owner"])
@pytest.mark.parametrize("action", Action)
def test_roles(role: str, action: Action) -> None:
    """A role allows what the table says, for its scope, and everything else is denied."""
    expected = action in TABLE.get(role, set())
    assert allows((Grant(role, "*"),), action, "spam") is expected
    assert allows((Grant(role, "spam"),), action, "spam") is expected
    assert allows((Grant(role, "spam-*"),), action, "spam-eggs") is expected
    assert not allows((Grant(role, "spam"),), action, "eggs")
    assert not allows((Grant(role, "SPAM"), Grant(role, "spa*"), Grant(role, "")), action, "spam")
    assert not allows((), action, "spam")


def test_the_table_is_whole() -> None:
    """Each role of the table is here, and no other."""
    assert {role: set(actions) for role, actions in ROLES.items()} == TABLE


def test_one_grant_is_enough() -> None:
    """Grants add up; none takes another away."""
    grants = (Grant("uploader", "eggs"), Grant("reviewer", "spam"))
    assert allows(grants, Action.DECIDE, "spam")
    assert not allows(grants, Action.UPLOAD, "spam")
    assert allows(grants, Action.UPLOAD, "eggs")


COVERED = {
    "*": set(SCOPES),
    "@upstream": {"@upstream"},
    "spam-*": {"spam-*", "spam-eggs-*", "spam", "spam-eggs", "spam-eggs-ham"},
    "spam-eggs-*": {"spam-eggs-*", "spam-eggs", "spam-eggs-ham"},
    **{name: {name} for name in ("spam", "spam-eggs", "spam-eggs-ham", "spamalot", "eggs")},
}


@pytest.mark.parametrize(("granted", "scope"), list(itertools.product(SCOPES, SCOPES)))
def test_scopes_contain_narrower_ones(granted: str, scope: str) -> None:
    """A pattern contains its names and narrower patterns, a project only itself, and `*` everything."""
    assert covers(granted, scope) is (scope in COVERED[granted])


def test_nothing_contains_the_empty_scope_by_chance() -> None:
    """Broken scopes contain nothing."""
    for granted in ("", "-*", "spa*", "**"):
        assert not covers(granted, "spam"), granted
    assert not covers("", "")


@given(st.sampled_from(SCOPES), st.sampled_from(SCOPES), st.sampled_from(SCOPES))
def test_containment_is_transitive(first: str, second: str, third: str) -> None:
    """What is contained in a contained scope is contained."""
    if covers(first, second) and covers(second, third):
        assert covers(first, third)


def test_a_grant_of_one_index_ends_there() -> None:
    """A grant for one index allows nothing in another, nor in all; one for all indexes allows it in each."""
    one, every = (Grant("admin", "*", "main"),), (Grant("admin", "*"),)
    assert allows(one, Action.MANAGE, "spam", "main")
    assert not allows(one, Action.MANAGE, "spam", "other")
    assert not allows(one, Action.MANAGE, "spam", "*")
    assert all(allows(every, Action.MANAGE, "spam", index) for index in ("main", "other", "*"))


def identity(*grants: Grant, token: TokenRights | None = None) -> Account:
    return Account("ada", None, grants, (), token)


def test_every_account_reads() -> None:
    """Reading needs no role; a token reads only if it has the action."""
    assert permits(identity(), Action.READ, "spam")
    assert [action for action in Action if permits(identity(), action, "spam")] == [Action.READ]
    for actions, expected in ((None, True), (frozenset({"read"}), True), (frozenset({"upload"}), False)):
        token = TokenRights("id", actions)
        assert permits(identity(token=token), Action.READ, "*") is expected
        assert permits_somewhere(identity(token=token), Action.READ) is expected


GRANTS = st.lists(
    st.builds(Grant, st.sampled_from(list(TABLE)), st.sampled_from(SCOPES), st.sampled_from(["*", "main", "other"])),
    max_size=4,
)
TOKENS = st.builds(
    TokenRights,
    st.just("id"),
    st.none() | st.frozensets(st.sampled_from([str(action) for action in Action])),
    st.none() | st.lists(st.sampled_from(SCOPES), max_size=3).map(tuple),
    st.sampled_from(["*", "main", "other"]),
)
ACTIONS, ANY_SCOPE = st.sampled_from(list(Action)), st.sampled_from(SCOPES)


@given(GRANTS, TOKENS, ACTIONS, ANY_SCOPE, st.sampled_from(["main", "other", "*"]))
def test_a_token_is_the_intersection(
    grants: list[Grant], token: TokenRights, action: Action, scope: str, index: str
) -> None:
    """A token allows nothing that its owner may not, and nothing beyond its limits; otherwise all that both allow."""
    owner = permits(identity(*grants), action, scope, index)
    within = (
        (token.actions is None or action in token.actions)
        and (token.scopes is None or any(covers(each, scope) for each in token.scopes))
        and token.index in ("*", index)
    )
    assert permits(identity(*grants, token=token), action, scope, index) is (owner and within)


@given(GRANTS, st.none() | TOKENS, ACTIONS, ANY_SCOPE, st.sampled_from(["main", "other"]))
def test_somewhere_is_no_less_than_anywhere(
    grants: list[Grant], token: TokenRights | None, action: Action, scope: str, index: str
) -> None:
    """Who may do something for one scope may do it somewhere; who may see a list has no limit of projects."""
    who = identity(*grants, token=token)
    if permits(who, action, scope, index):
        assert permits_somewhere(who, action)
    if permits_overview(who, action):
        assert permits_somewhere(who, action)
        assert token is None or token.scopes is None
