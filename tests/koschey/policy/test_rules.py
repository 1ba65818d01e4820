"""Rules as pure data: which one decides, what beats what, what a file of them says, and what is no rule."""

import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.errors import UsageError
from koschey.governance.policy_file import parse_policy, render_policy
from koschey.governance.terms import Terms, parse_expiry, parse_rule, scope_text
from koschey.model import Origin, StandingFile, State
from koschey.policy.changes import carry_out, compare, tag_of
from koschey.policy.explain import deciding
from koschey.policy.findings import Evidence, Finding, FindingAction, KnownCheck, Severity
from koschey.policy.rules import EVERYTHING, FLAGS, UPSTREAM, Rule, RuleKind, Rules, breadth, covers
from koschey.policy.verdict import Policy, verdict
from tests.support.policies import VERSIONS, policies, rules_of, standing_files, unique
from tests.support.rows import NOON

PROJECT = "acme-tools"
SCOPES = [EVERYTHING, UPSTREAM, "acme-*", "acme-tools-*", PROJECT]
"""Scopes that cover the project, the widest first."""
DAY = timedelta(days=1)

covering = st.builds(
    Rule,
    st.sampled_from(RuleKind),
    st.sampled_from([None, *VERSIONS]),
    st.just("why"),
    st.just("ada"),
    st.sampled_from(SCOPES),
    value=st.sampled_from(["", "1", "7"]),
)


@given(st.lists(covering, max_size=8), st.sampled_from(RuleKind), st.sampled_from(VERSIONS))
def test_the_narrowest_scope_decides(found: list[Rule], kind: RuleKind, version: str) -> None:
    """The rule that decides covers the version, and no other of its kind is narrower: a release before all scopes."""
    chosen = Rules(tuple(found)).find(kind, version)
    candidates = [rule for rule in found if rule.kind is kind and rule.version in (None, version)]
    assert (chosen is None) == (not candidates)
    for rule in candidates:
        assert chosen is not None
        if chosen.version is None:
            assert rule.version is None
            assert SCOPES.index(rule.scope) <= SCOPES.index(chosen.scope)
        elif rule.version is not None:
            assert SCOPES.index(rule.scope) <= SCOPES.index(chosen.scope)


def test_scopes_are_ordered_by_breadth() -> None:
    """From everything down to the one project, each scope is narrower than the one before, and all cover it."""
    assert sorted(SCOPES, key=breadth, reverse=True) == SCOPES
    assert all(covers(scope, PROJECT, Origin.MIRRORED) for scope in SCOPES)
    assert [scope for scope in SCOPES if not covers(scope, PROJECT, Origin.HOSTED)] == [UPSTREAM]


@given(policies(), standing_files())
def test_block_beats_approval_beats_trust_beats_time(found: list[Rule], item: StandingFile) -> None:
    """Under a block nothing is served; what was approved stays served without one; trust does not wait for time."""
    file, standing = item.file, item.standing
    rules = Rules(rules_of(found, file.project)).active(NOON)
    judged = verdict(file, standing, Policy(rules, looked_at=NOON), NOON)
    if standing.state in (State.REMOVED, State.MALFORMED, State.CONFLICT):
        assert (judged.served, judged.state) == (False, standing.state)
    elif standing.state is State.BLOCKED or _finds(rules, file.version, RuleKind.BLOCKED, RuleKind.RESERVED):
        assert (judged.served, judged.state) == (False, State.BLOCKED)
    elif standing.state is State.RELEASED:
        assert (judged.served, judged.state) == (True, State.RELEASED)
    elif file.absent_since is None and file.sha256 and _finds(rules, file.version, RuleKind.TRUSTED):
        assert judged.state is (State.HELD if _finds(rules, file.version, RuleKind.ATTESTED) else State.RELEASED)
    elif judged.state is State.RELEASED:
        assert standing.release_at is not None
        assert standing.release_at <= NOON


@given(policies(), standing_files())
def test_observation_serves_what_is_held_and_nothing_else(found: list[Rule], item: StandingFile) -> None:
    """With observation over everything, a file is served if it is held and its bytes are known; its state stays."""
    file, standing = item.file, item.standing
    closed = ("blocked", "reserved", "observed")
    others = [rule for rule in rules_of(found, file.project) if rule.kind not in closed]
    observing = Rule(RuleKind.OBSERVED, None, "first weeks", "ada", EVERYTHING)
    before = verdict(file, standing, Policy(Rules(tuple(others)), looked_at=NOON), NOON)
    after = verdict(file, standing, Policy(Rules((*others, observing)), looked_at=NOON), NOON)
    if standing.state is State.HELD and file.sha256:
        assert after.served
        assert after.state is (State.RELEASED if before.state is State.RELEASED else State.HELD)
    else:
        assert after == before


def _finds(rules: Rules, version: str, *kinds: RuleKind) -> bool:
    return any(rules.find(kind, version) for kind in kinds)


# What decides, and what changes


def test_explained_rules_say_which_decides() -> None:
    """Of three windows the narrowest decides; a rule of another release is not there; one of another kind decides."""
    wide, narrow = rule(RuleKind.WINDOW, EVERYTHING, "7"), rule(RuleKind.WINDOW, "acme-*", "3")
    release = replace(rule(RuleKind.WINDOW, PROJECT, "1"), version="1.0")
    trust = rule(RuleKind.TRUSTED, EVERYTHING)
    rules = Rules((wide, narrow, release, trust))
    assert list(deciding(rules, "1.0")) == [(wide, False), (narrow, False), (release, True), (trust, True)]
    assert list(deciding(rules, "2.0")) == [(wide, False), (narrow, True), (trust, True)]
    assert list(deciding(rules, None)) == [(wide, False), (narrow, True), (release, True), (trust, True)]


@given(policies(), policies())
def test_changes_lead_from_one_policy_to_the_other(before: list[Rule], after: list[Rule]) -> None:
    """What is compared and then carried out gives the other policy; the same policy twice changes nothing."""
    before, after = unique(before), unique(after)
    changes = compare(before, after)
    assert tag_of(carry_out(before, changes)) == tag_of(after)
    assert compare(after, after) == []
    assert (tag_of(before) == tag_of(after)) == (changes == [])


# As a file

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(str.strip)
subjects = st.from_regex(r"[a-z0-9]{1,9}(-[a-z0-9]{1,9})?(/[a-z0-9]{1,9})?", fullmatch=True)
days = st.floats(0, 3650).map(lambda days: f"{int(days)}" if days.is_integer() else repr(days))
flags = [kind for kind in RuleKind if kind not in ("window", "unknown-age", "withdrawn", "check", "exception")]
anything = {
    "version": st.none(),
    "reason": texts.map(str.strip),
    "actor": st.just("ada"),
    "scope": st.sampled_from(SCOPES),
    "expires_at": st.none() | st.datetimes(datetime(2027, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    "ticket": st.none() | texts,
}
written = st.one_of(
    st.builds(Rule, st.sampled_from(flags), **anything),
    st.builds(
        Rule, st.just(RuleKind.BLOCKED), **anything | {"version": st.sampled_from(VERSIONS), "scope": st.just("x")}
    ),
    st.builds(
        Rule, st.sampled_from([RuleKind.WINDOW, RuleKind.UNKNOWN_AGE, RuleKind.WITHDRAWN]), **anything, value=days
    ),
    st.builds(Rule, st.sampled_from([RuleKind.WINDOW, RuleKind.UNKNOWN_AGE]), **anything, value=st.just("never")),
    st.builds(
        Rule, st.just(RuleKind.CHECK), **anything, subject=subjects, value=st.sampled_from(FindingAction).map(str)
    ),
)


@given(st.lists(written, max_size=6))
def test_a_policy_reads_back_as_it_was_written(found: list[Rule]) -> None:
    """Whatever stands in a rule, the file that is written is TOML and reads back as the same rules."""
    rules = unique(found)
    text = render_policy(rules)
    assert len(tomllib.loads(text).get("rule", [])) == len(rules)
    assert parse_policy(text, "policy.toml", "ada", NOON) == rules
    assert render_policy(parse_policy(text, "policy.toml", "ada", NOON)) == text


RULE = '[[rule]]\nkind = "window"\nscope = "*"\nvalue = 7\nreason = "usual"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]", "this is not TOML"),
        ("rule = 1", "'rule' is not a list of tables"),
        ("rule = [1]", "'rule' is not a list of tables"),
        (RULE + "\n[[rules]]\n", "unknown key 'rules'"),
        (RULE + RULE.replace("value", "valeu"), "p.toml, line 6: rule 2: unknown key 'valeu'"),
        (RULE.replace("reason", "#"), "line 1: rule 1: 'reason' is missing"),
        (RULE.replace("7", "true"), "'value' is not a text"),
        (RULE.replace("7", "nan"), "'nan' is not a value of window"),
        (RULE.replace("7", "-1"), "'-1' is not a value of window"),
        (RULE.replace("7", '"soon"'), "days from 0 to 3650, or 'never'"),
        (RULE.replace('"*"', "7"), "'scope' is not a text"),
        (RULE + 'expires = "2027-01-01"', "without quotes"),
        (RULE + "expires = 2020-01-01", "2020-01-01 00:00 UTC is not in the future"),
        (RULE + "expires = 12:00:00", "is not a TOML time"),
        (RULE + RULE, "p.toml, line 6: rule 2 has the same kind, scope and subject as rule 1"),
        (RULE.replace("window", "exception"), "an exception is for bytes that exist"),
        ('rule = [{kind = "window", scope = "*", reason = "x"}]', "p.toml: rule 1: window needs a value"),
    ],
    ids=range(17),
)
def test_what_is_no_policy(text: str, words: str) -> None:
    """A file that is no policy is refused with the place, the fault and what is right."""
    with pytest.raises(UsageError) as refusal:
        parse_policy(text, "p.toml", "ada", NOON)
    assert str(refusal.value).startswith("p.toml")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


# As people write it


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (Terms("window", "Acme_Tools", "2.50"), ("acme-tools", None, "", "2.5")),
        (Terms("window", "*", "1e1"), ("*", None, "", "10")),
        (Terms("unknown-age", "@upstream", "never"), ("@upstream", None, "", "never")),
        (Terms("window", "Acme==1.0.0", "0"), ("acme", "1.0.0", "", "0")),
        (Terms("trusted", "A.c-*"), ("a-c-*", None, "", "")),
        (Terms("check", "*", "off", "install-hooks/runs-code"), ("*", None, "install-hooks/runs-code", "off")),
        (Terms("check", "*", "block", "advisories"), ("*", None, "advisories", "block")),
    ],
)
def test_terms(terms: Terms, said: tuple[str, str | None, str, str]) -> None:
    """What people write is normalised: names, versions, days."""
    found = parse_rule(replace(terms, reason="why"), "ada", NOON)
    assert (found.scope, found.version, found.subject, found.value) == said
    assert parse_rule(replace(terms, scope=scope_text(found), reason="why"), "ada", NOON) == found


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (Terms("windows", "*", "7"), "the kinds are trusted, blocked"),
        (Terms("exception", "six==1.0", "0" * 64), "a reviewer makes it for a release"),
        (Terms("window", "*"), "window needs a value: days from 0 to 3650"),
        (Terms("window", "*", "3651"), "days from 0 to 3650"),
        (Terms("window", "*", "inf"), "days from 0 to 3650"),
        (Terms("trusted", "*", "7"), "accepts no value"),
        (Terms("trusted", "six==1.0"), "write 'six'"),
        (Terms("window", "@hosted", "7"), "'@upstream'"),
        (Terms("window", "ac*", "7"), "is not a pattern"),
        (Terms("window", "six==one", "7"), "PEP 440"),
        (Terms("window", "", "7"), "is not a pattern"),
        (Terms("check", "*", "hold"), "give the check"),
        (Terms("check", "*", "maybe", "x"), "off, note, hold, block"),
        (Terms("check", "*", "hold", "A b"), "is not a check"),
        (Terms("window", "*", "7", "x"), "accepts no subject"),
        (Terms("window", "*", "7", expires=NOON), "not in the future"),
        (Terms("window", "*", "7", ticket=" "), "give a ticket"),
        (Terms("window", "*", "7", ticket="a\0"), "cannot be stored"),
    ],
    ids=range(18),
)
def test_no_terms(terms: Terms, words: str) -> None:
    """What is no rule is refused with what is right in its place."""
    with pytest.raises(UsageError) as refusal:
        parse_rule(replace(terms, reason="why"), "ada", NOON)
    assert words in str(refusal.value)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001, "\udcff"])
def test_no_reason(reason: str) -> None:
    """Every rule has a reason that can be kept."""
    with pytest.raises(UsageError, match="reason"):
        parse_rule(Terms("trusted", "six", reason=reason), "ada", NOON)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("14d", NOON + 14 * DAY),
        ("1.5h", NOON + timedelta(minutes=90)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:00", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31T12:00+02:00", datetime(2027, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_ends(text: str, ends: datetime) -> None:
    """An end is a date, a time or a span from now."""
    assert parse_expiry(text, NOON) == ends


@pytest.mark.parametrize("text", ["", "soon", "14", "d", "-1d", "2027-02-30", "999999w", "0001-01-01T00:00+23:00"])
def test_no_end(text: str) -> None:
    """What is no end is refused in words."""
    with pytest.raises(UsageError, match=r"is not an expiry|beyond"):
        parse_expiry(text, NOON)


# Checks


def test_rules_about_checks_decide_what_is_done() -> None:
    """A rule about a code beats one about its check, which beats what the check proposes; off asks for no check."""
    known = KnownCheck("names", {"near": FindingAction.HOLD, "far": FindingAction.NOTE})
    near = Finding("near", Severity.SERIOUS, "looks like six", check="names")

    def action(*rules: Rule) -> FindingAction:
        return Policy(Rules(rules), checks=(known,)).action(near, "1.0")

    whole = rule(RuleKind.CHECK, EVERYTHING, "note", "names")
    code = rule(RuleKind.CHECK, EVERYTHING, "block", "names/near")
    assert [action(), action(whole), action(whole, code)] == ["hold", "note", "block"]
    off = Policy(Rules((replace(whole, value="off"),)), checks=(known,))
    assert off.required("1.0") == frozenset()
    assert Policy(Rules((code,)), checks=(known,)).required("1.0") == {"names"}
    assert Policy(Rules()).action(near, "1.0") is FindingAction.HOLD
    assert Evidence().completed == frozenset()


def rule(kind: RuleKind, scope: str, value: str = "", subject: str = "") -> Rule:
    return Rule(kind, None, "why", "ada", scope, subject, value)


def test_every_kind_is_documented() -> None:
    """The page of the kinds has a row for each kind of rule, and for no other, and tells which take a value."""
    text = (Path(__file__).parents[3] / "docs" / "reference" / "rule-kinds.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) ?\|", text, re.MULTILINE))
    assert rows.keys() == set(RuleKind)
    assert {kind for kind, value in rows.items() if not value} == FLAGS
