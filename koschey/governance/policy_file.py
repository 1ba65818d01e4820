"""The policy as a file for version control: TOML, with one `[[rule]]` for each rule.

The standard library reads TOML but does not write it. This module writes a list of flat tables of texts, numbers and
times, and reading the file gives the same rules.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

from koschey.errors import UsageError
from koschey.governance.terms import Terms, as_utc, parse_rule, refuse_doubles, scope_text
from koschey.policy.rules import NEVER, Rule, RuleKind

HEAD = """\
# The policy of a Koschey index. `koschey policy apply FILE` makes exactly these rules active; exceptions stay active.
# scope: a project, 'name==version', 'name-*', '@upstream' or '*'; the rule with the narrowest scope decides.
"""
KEYS = ("kind", "scope", "subject", "value", "reason", "expires", "ticket")
REQUIRED = ("kind", "scope", "reason")
DAYS = frozenset({RuleKind.WINDOW, RuleKind.UNKNOWN_AGE, RuleKind.WITHDRAWN})
HEADER = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)
ESCAPES = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}
MAX_RULES = 10_000


def parse_policy(text: str, filename: str, actor: str, now: datetime) -> list[Rule]:
    """Return the rules of a file. Raises `UsageError`, which says where in the file a rule is invalid, and why."""
    try:
        read = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{filename}: this is not TOML: {error}") from None
    if unknown := sorted(read.keys() - {"rule"}):
        raise UsageError(f"{filename}: unknown key {unknown[0]!r}; a policy is a list of [[rule]]")
    tables = read.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{filename}: 'rule' is not a list of tables; begin each rule with [[rule]]")
    if len(tables) > MAX_RULES:
        raise UsageError(f"{filename}: a policy has at most {MAX_RULES} rules, not {len(tables)}")
    where = list(_places(text, filename, len(tables)))
    rules = [_read(table, here, actor, now) for table, here in zip(tables, where, strict=True)]
    refuse_doubles(rules, where)
    return rules


def render_policy(rules: Iterable[Rule]) -> str:
    """Return the file that `parse_policy` reads as these rules."""
    return "\n".join([HEAD, *(_render(rule) for rule in rules)])


def _places(text: str, filename: str, count: int) -> Iterator[str]:
    """Yield the place of each rule: its number, and its line if the text has exactly one header for each rule."""
    lines = [text.count("\n", 0, match.start()) + 1 for match in HEADER.finditer(text)]
    for number in range(count):
        line = f", line {lines[number]}" if len(lines) == count else ""
        yield f"{filename}{line}: rule {number + 1}"


def _read(table: dict[str, object], where: str, actor: str, now: datetime) -> Rule:
    if unknown := sorted(table.keys() - set(KEYS)):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; a rule has {', '.join(KEYS)}")
    if missing := [key for key in REQUIRED if key not in table]:
        raise UsageError(f"{where}: {missing[0]!r} is missing")
    expires = table.get("expires")
    if expires is not None and not isinstance(expires, date):
        raise UsageError(f"{where}: 'expires' is not a TOML time; write it without quotes: 2027-01-31T12:00:00Z")
    texts = {key: _text(table, key, where) for key in KEYS if key in table and key != "expires"}
    try:
        return parse_rule(Terms(**texts, expires=None if expires is None else as_utc(expires)), actor, now)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _text(table: dict[str, object], key: str, where: str) -> str:
    value = table[key]
    if key == "value" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise UsageError(f"{where}: {key!r} is not a text; write it in quotes")
    return value


def _render(rule: Rule) -> str:
    lines = ["[[rule]]", f"kind = {_quote(rule.kind)}", f"scope = {_quote(scope_text(rule))}"]
    if rule.subject:
        lines.append(f"subject = {_quote(rule.subject)}")
    if rule.value:
        is_number = rule.kind in DAYS and rule.value != NEVER
        lines.append(f"value = {rule.value if is_number else _quote(rule.value)}")
    lines.append(f"reason = {_quote(rule.reason)}")
    if rule.expires_at:
        lines.append(f"expires = {moment_text(rule.expires_at)}")
    if rule.ticket is not None:
        lines.append(f"ticket = {_quote(rule.ticket)}")
    return "".join(f"{line}\n" for line in lines)


def moment_text(moment: datetime) -> str:
    """Return a moment in UTC in the format of TOML and RFC 3339."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _quote(text: str) -> str:
    """Return a TOML basic string: quotes, backslashes and control characters are escaped, and nothing else."""
    return '"' + "".join(ESCAPES.get(letter) or _escape(letter) for letter in text) + '"'


def _escape(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x20 or ord(letter) == 0x7F else letter
