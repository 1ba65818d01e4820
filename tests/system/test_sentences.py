"""Sentences are for people: no code, and no SQL, decides by what a reason, an event or a kind of alert says.

Sentences that code may compare with what would replace them, to see whether anything changes, are named in `ALLOWED`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from koschey.events import AlertKind, Event
from koschey.quarantine.decision import Choice

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("koschey", "workflows", "activities") for path in (ROOT / folder).rglob("*.py"))

SENTENCE = re.compile(r"(\w+_)?reasons?")
READING = frozenset(
    {"startswith", "endswith", "partition", "rpartition", "split", "rsplit", "find", "rfind", "index", "count"}
    | {"removeprefix", "removesuffix", "match", "fullmatch", "search", "findall", "finditer"}
)
"""Methods and functions that read a text."""
IN_SQL = re.compile(
    r"(?:\b(?:WHERE|AND|OR|NOT|ON|WHEN|HAVING|BY)|\()\s+(?:\w+\.)?(?:status_)?reason\s*"
    r"(?:=|<>|!=|~|!~|\b(?:I?LIKE|IN|SIMILAR|IS DISTINCT)\b)"
    r"|(?:starts_with|position|strpos|split_part|substring|left|right|regexp_\w+)\s*\([^()]*\breason\b"
    r"|->>\s*'reason'\s*(?:=|<>|!=|~|\b(?:I?LIKE|IN)\b)",
    re.IGNORECASE,
)
"""A condition on a reason; an assignment to it, or a list of columns, is none."""
EVENT_IN_SQL = re.compile(r"\b(?:journal\.|alert\.)(?:action|kind)\s*(?:=|<>|IN)\s*\(?\s*'", re.IGNORECASE)
WORDS = {member.value for kind in (Event, AlertKind) for member in kind if " " in member.value}
"""Texts of events and alerts that nothing else is called."""

ALLOWED = {
    "koschey/conformance/status.py": "both forms of a page of any index have the same reason",
    "koschey/db/standings.py": "a reason that is written already is not written again",
    "koschey/db/decisions.py": "a signal that came twice is the same decision, down to the reviewer's own words",
    "koschey/hosting/projects.py": "a status with the same reason changes nothing",
    "koschey/mirror/news.py": "a status that the upstream's page says with the same reason changes nothing",
}


def readings(tree: ast.AST) -> Iterator[int]:
    """The lines that compare, search or split a sentence, or compare an event with a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                if (not _is_about_presence(node) and any(map(_holds_sentence, sides))) or any(map(_is_word, sides)):
                    yield node.lineno
            case ast.Match(subject=subject) if _holds_sentence(subject):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args) if attr in READING:
                # Without an argument `split` takes spaces apart, and no sentence.
                if (_is_sentence(value) and args) or any(map(_is_sentence, args)):
                    yield node.lineno
            case ast.Constant(value=str(text)) if IN_SQL.search(text) or EVENT_IN_SQL.search(text):
                yield node.lineno


def _is_about_presence(node: ast.Compare) -> bool:
    """`reason is None`; `"\\0" in reason`: what a text may not hold is refused before anybody reads it."""
    is_identity = all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops)
    return is_identity or (isinstance(node.left, ast.Constant) and node.left.value == "\0")


def _holds_sentence(node: ast.expr) -> bool:
    match node:
        case ast.Tuple(elts=elements) | ast.Set(elts=elements) | ast.List(elts=elements):
            return any(map(_holds_sentence, elements))
        case ast.Call(func=ast.Attribute(value=value, attr="strip" | "lower" | "casefold")):
            return _holds_sentence(value)
    return _is_sentence(node)


def _is_sentence(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return bool(SENTENCE.fullmatch(name))
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return bool(SENTENCE.fullmatch(name))
    return False


def _is_word(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return text in WORDS
        case ast.Tuple(elts=elements) | ast.Set(elts=elements) | ast.List(elts=elements):
            return any(map(_is_word, elements))
    return False


def found(path: Path) -> list[int]:
    """The lines of a module that read a sentence."""
    return sorted(set(readings(ast.parse(path.read_text()))))


def test_no_code_reads_sentences() -> None:
    """A cause, a state, an event or a kind decides; the modules that may compare a reason with its successor do so."""
    places = {str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := found(path))}
    assert {path: lines for path, lines in places.items() if path not in ALLOWED} == {}
    assert places.keys() == ALLOWED.keys()
    assert {path: len(lines) for path, lines in places.items()} == dict.fromkeys(ALLOWED, 1)


@pytest.mark.parametrize(
    "sample",
    [
        'reason == f"blocked by {rule.actor}"',
        'item.standing.reason.startswith(f"{advisory.id}: ")',
        'if "malware" in standing.reason: pass',
        'detail["reason"] != "gone"',
        'entry.detail.get("reason") in {"gone", "lost"}',
        "(rule.reason, rule.actor) == said",
        'judged.reason.partition(": ")',
        'reason.strip() == "in quarantine"',
        're.search("MAL-", standing.reason)',
        'match verdict.reason:\n    case "gone": pass',
        'status_reason.split(";")',
        'change.action == "security fix waits"',
        'alert.kind in ("late file", "conflict")',
        '"SELECT 1 FROM standing WHERE standing.reason LIKE $1"',
        '"SELECT 1 FROM standing WHERE state = $1 AND reason = $2"',
        '"SELECT starts_with(standing.reason, $1)"',
        "\"SELECT 1 FROM journal WHERE detail ->> 'reason' = $1\"",
        "\"SELECT 1 FROM alert WHERE alert.kind = 'recall'\"",
    ],
)
def test_a_reading_is_found(sample: str) -> None:
    """Each form of a comparison with a sentence, as code had them before, is found."""
    assert list(readings(ast.parse(sample)))


@pytest.mark.parametrize(
    "sample",
    [
        "reason is None",
        'not reason.strip() or len(reason) > 2000 or "\\0" in reason',
        'f"{name}: {reason}"',
        "standing.state is State.BLOCKED",
        '"UPDATE standing SET state = $1, reason = $2 WHERE index_id = $3"',
        '"INSERT INTO rule (kind, reason) VALUES ($1, $2)"',
        "cause == by_advisory(advisory.id)",
    ],
)
def test_what_is_no_reading_is_none(sample: str) -> None:
    """To write a reason, to show it, and to see whether there is one, decides nothing by it."""
    assert not list(readings(ast.parse(sample)))


def test_every_choice_is_an_event() -> None:
    """Each decision of a reviewer is in the journal under its own name."""
    assert {choice.value for choice in Choice} <= {event.value for event in Event}
