"""Writes docs/reference and the list of decisions from the code: `uv run python docs/generate.py`.

`tests/system/test_documents.py` compares each page with what this module renders.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from koschey.app import create_front
from koschey.auth.permissions import EVERY_ACCOUNT, ROLES, Action, Role
from koschey.causes import CauseKind, UpstreamCause
from koschey.cli import cli
from koschey.cli.base.lazy_group import LazyGroup
from koschey.events import AlertKind, Event
from koschey.explained import Explained
from koschey.hosting.upload_rules.switches import RULES
from koschey.inspection.checks.check import Check, Code
from koschey.inspection.checks.registry import BUILT_IN
from koschey.inspection.checks.scanner import SCANNER
from koschey.policy.rules import FLAGS, RuleKind
from koschey.settings import PREFIX, Settings
from koschey.web.access import routes
from koschey.web.api.document import build_document
from tests.conformance.assertions import ASSERTIONS

DOCS = Path(__file__).parent
NOTE = "<!-- Made from the code by `uv run python docs/generate.py`; edit the code instead. -->"


def page(title: str, *parts: str) -> str:
    """Return a page: its title, the note that it is generated, and its parts."""
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a `|` in a cell is escaped, and a line break becomes a space."""
    cells = [[re.sub(r"\s+", " ", cell).replace("|", r"\|").strip() for cell in row] for row in rows]
    lines = ["".join(f" {cell} |" if cell else " |" for cell in row) for row in (head, ["---"] * len(head), *cells)]
    return "\n".join(f"|{line}" for line in lines)


def member_docs(kind: type[Enum]) -> dict[str, str]:
    """Return the docstring below each member of an enum, by the member's value."""
    [body] = [node.body for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef)]
    found = {member.value: "" for member in kind}
    for before, after in pairwise(body):
        if isinstance(before, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            [target] = before.targets
            found[kind[ast.unparse(target)].value] = str(after.value.value)
    return found


def settings_page() -> str:
    """All settings, with their defaults."""
    rows = [
        (f"`{PREFIX}{name.upper()}`", _default(field), str(field.description))
        for name, field in Settings.model_fields.items()
    ]
    return page(
        "Settings",
        "All settings are environment variables. `koschey up` sets those of PostgreSQL, S3 and Temporal itself, and "
        "passes the others on. It writes all of them to a file in its folder; commands on the same machine read that "
        "file. Koschey refuses to start with a setting that it does not know.",
        table(("setting", "default", "what it is"), rows),
        "`KOSCHEY_DATA` is not a setting of a process: it names the folder of `koschey up`, as `--data` does.",
    )


def _default(field: Any) -> str:
    value = field.get_default()
    if field.is_required():
        return "required"
    if value in (None, ""):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def cli_page() -> str:
    """All commands, with their arguments and options."""
    return page(
        "Command line",
        "Exit codes: 0 done; 1 refused or failed; 2 cannot start, or the command line is wrong. `koschey check` and "
        "`koschey conformance` answer 1 if something is not served or fails, and 2 if they cannot find out.",
        "`-h` or `--help` shows the same as this page.",
        *_group_parts("koschey", cli),
    )


def _command_parts(name: str, command: click.Command) -> list[str]:
    context = click.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    text, *examples = re.split(r"^Example: ", inspect.cleandoc(command.help or ""), flags=re.MULTILINE)
    parts = [f"## {name}", f"```text\n{name} {usage}\n```", text.strip()]
    parts += [f"```console\n$ {' '.join(example.split())}\n```" for example in examples]
    records = [
        (", ".join(f"`{flag}`" for flag in parameter.opts) + _metavar(parameter, context), _option_help(parameter))
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    parts += [table(("option", "what it does"), records)] if records else []
    return parts + (_group_parts(name, command) if isinstance(command, LazyGroup) else [])


def _group_parts(name: str, group: click.Command) -> list[str]:
    assert isinstance(group, LazyGroup), name
    return [
        part for word, command in group.load_commands().items() for part in _command_parts(f"{name} {word}", command)
    ]


def _metavar(option: click.Option, context: click.Context) -> str:
    return "" if option.is_flag else f" {option.make_metavar(context)}"


def _option_help(option: click.Option) -> str:
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    default = f" Default: {shown}." if option.show_default else ""
    return (option.help or "") + ("" if not option.required else " Required.") + default


def api_page() -> str:
    """All operations of the management API, and its types, from the OpenAPI document."""
    document = build_document()
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    operations = [
        part
        for path, methods in sorted(document["paths"].items())
        for method, operation in methods.items()
        for part in _operation_parts(f"{method.upper()} {path}", operation)
    ]
    return page(
        "API",
        "The management API lies under `/api/v1/`. It accepts JSON and an `Authorization` header: `Bearer` with a "
        "token, or `Basic` with an account and its password. Errors are `application/problem+json` (RFC 9457). The "
        "index serves this document at `/api/v1/openapi.json` (OpenAPI 3.1).",
        "Answers about a project carry its serial as `ETag`. A request that sends it back as `If-Match` is refused "
        "with 412 if the project has changed since. A change that would hide files in use is refused with 428 and "
        "the counts, until the request has `confirm` with the number of files.",
        "All moments are RFC 3339 in UTC.",
        *operations,
        "## Types",
        *(part for name in sorted(schemas) for part in _type_parts(name, schemas[name])),
    )


def _operation_parts(title: str, operation: Mapping[str, Any]) -> list[str]:
    parts = [f"## {title}", operation["summary"], operation.get("description", "")]
    rows = [
        (f"`{one['name']}`", one["in"], _required(one["required"]), _schema(one["schema"]), _about(one))
        for one in operation.get("parameters", [])
    ]
    parts += [table(("parameter", "in", "required", "type", "what it is"), rows)] if rows else []
    bodies = [body for body in (operation.get("requestBody"), operation["responses"]["200"]) if body]
    shapes = [_schema(next(iter(body["content"].values()))["schema"]) for body in bodies]
    refused = ", ".join(status for status in operation["responses"] if status != "200")
    said = [f"Accepts {shapes[0]}."] if len(shapes) > 1 else []
    parts.append(" ".join([*said, f"Returns {shapes[-1]}.", *([f"Errors: {refused}."] if refused else [])]))
    return [part for part in parts if part]


def _required(flag: object) -> str:
    return "yes" if flag else ""


def _about(parameter: Mapping[str, Any]) -> str:
    return str(parameter.get("description") or parameter["schema"].get("description", ""))


def _type_parts(name: str, schema: Mapping[str, Any]) -> list[str]:
    required = schema.get("required", [])
    rows = [
        (f"`{key}`", _schema(value), _required(key in required), str(value.get("description", "")))
        for key, value in schema.get("properties", {}).items()
    ]
    parts = [f"### {name}", inspect.cleandoc(schema.get("description", ""))]
    parts.append(table(("key", "type", "required", "what it is"), rows) if rows else _schema(schema))
    return [part for part in parts if part]


def _schema(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema in a few words, with links to the types that it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_schema(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_schema(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything") + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        return f", {low} or more" if high is None else f", {low} to {high}"
    return f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""


def roles_page() -> str:
    """Who may do what."""
    actions, roles = member_docs(Action), member_docs(Role)
    rows = [
        (f"`{role}`", *("yes" if action in ROLES[role] | EVERY_ACCOUNT else "" for action in Action)) for role in Role
    ]
    return page(
        "Roles",
        "A grant gives an account or a group a role for all projects, for a pattern or for one project. An action that "
        "no role of an account contains is refused. Every account may read; a token only if it has the action. How to "
        "manage accounts, grants and tokens: [Accounts](../accounts.md).",
        table(("role", *(f"`{action}`" for action in Action)), rows),
        table(("role", "what it is for"), [(f"`{name}`", text) for name, text in roles.items()]),
        table(("action", "what it allows"), [(f"`{name}`", text) for name, text in actions.items()]),
        "## Routes",
        "What each route of the index needs. `open` is for every client, `login` for every account, and `owner` for an "
        "account about itself: with its password, or with a token that may `administer`. The views declare this in the "
        "code, the index does not start if one of them does not, and a test calls each route as every kind of client.",
        table(("route", "needs"), _route_rows()),
    )


def _route_rows() -> list[tuple[str, str]]:
    settings = Settings.model_validate({"database_url": "postgresql://localhost/none"})
    found = sorted((rule.rule, method, declared) for rule, method, declared in routes(create_front(settings).quart))
    return [
        (f"`{method} {rule}`", f"`{declared.needs}`{', for all projects' if declared.overview else ''}")
        for rule, method, declared in found
        if declared is not None
    ]


def checks_page() -> str:
    """What each check can find."""
    checks: tuple[Check, ...] = (*BUILT_IN, SCANNER)
    return page(
        "Checks",
        "Each check inspects every held file before time or trust releases it. The table names each code that a check "
        "can find, and what is done about it by default: `note` shows it, `hold` keeps the file for a reviewer, "
        "`block` blocks it. A rule of the kind `check` changes that, for a check or for one code of it.",
        "`scanner` is installed by `koschey[scan]`. How to write a check: [Checks](../checks.md).",
        *(part for check in checks for part in (f"## {check.name}", table(CODES, map(_code, check.codes.items())))),
    )


CODES = ("code", "what it finds", "action", "severity")


def _code(item: tuple[str, Code]) -> tuple[str, ...]:
    name, code = item
    return f"`{name}`", code.what, f"`{code.action}`", str(code.severity)


def upload_rules_page() -> str:
    """What an upload must satisfy."""
    defaults = {None: "always", True: "on", False: "off"}
    rows = [(f"`{rule.name}`", rule.says, defaults[rule.default], rule.why) for rule in RULES]
    return page(
        "Upload rules",
        "Koschey checks an upload against these rules in this order. A rule that is `on` or `off` has a switch: "
        "`koschey upload-rules set NAME on` or `off`, with a reason. A rule that is off warns in the answer that "
        "the client prints.",
        table(("rule", "what it says", "default", "why"), rows),
    )


def rule_kinds_page() -> str:
    """The kinds of rules that make the policy."""
    rows = [(f"`{kind}`", "" if kind in FLAGS else VALUES[kind], member_docs(RuleKind)[kind]) for kind in RuleKind]
    return page(
        "Kinds of rules",
        "A kind without a value is active or not. How scopes and rules combine: [Policy](../policy.md).",
        table(("kind", "value", "what it does to the files in its scope"), rows),
    )


VALUES = {
    RuleKind.EXCEPTION: "a file and its SHA-256",
    RuleKind.CHECK: "`off`, `note`, `hold`, `block`",
    **dict.fromkeys((RuleKind.WINDOW, RuleKind.UNKNOWN_AGE, RuleKind.WITHDRAWN), "days, `never`"),
}


def events_page() -> str:
    """The events of the journal, the kinds of alerts and the causes of states."""
    return page(
        "Events, alerts and causes",
        "The texts are a promise to programs and stay as they are. The sentences beside them, called `reason`, are for "
        "people and may become clearer with each version.",
        "## Events of the journal",
        "`action` in the API's journal and in the panel.",
        _explained("event", Event),
        "## Kinds of alerts",
        "`kind` in the API, in `koschey alerts` and in what the [webhook](../webhook.md) receives.",
        _explained("kind", AlertKind),
        "## Causes of a file's state",
        "The columns `cause`, `cause_subject`, `cause_scope` and `cause_version` of the table `standing`. Scope and "
        "version say what a decision, a rule or a reservation covers.",
        _explained("cause", CauseKind),
        "What an upstream did or said is the subject of the cause `upstream`:",
        _explained("subject", UpstreamCause),
    )


def _explained(heading: str, members: Iterable[Explained]) -> str:
    return table((heading, "meaning"), [(f"`{member}`", member.meaning) for member in members])


def assertions_page() -> str:
    """The assertions about the standards, with their ids."""
    chapters: dict[int, list[tuple[str, str]]] = {}
    for name, text in ASSERTIONS.items():
        chapters.setdefault(int(re.findall(r"\d+", name)[0]), []).append((name, text))
    return page(
        "Assertions",
        "Each assertion has a test of its name: `test_t_4_1_…` in `tests/conformance` or `tests/clients` shows T-4.1. "
        "`koschey conformance` checks the assertions that it can show by reading, of any index. The first number is "
        "that of the section in [Standards](../standards.md).",
        *(table(("id", "assertion"), rows) for rows in chapters.values()),
    )


def decisions_page() -> str:
    """All decisions, the first one first."""
    heads = [(path.name, *DECISION.findall(path.read_text())[0]) for path in sorted(DOCS.glob("adr/[0-9]*.md"))]
    rows = [(f"[{number}]({name})", title, date) for name, number, title, date in heads]
    return page(
        "Decisions",
        "Each page says what was decided and why, what was refused, and what it costs. A decision that no longer holds "
        "is replaced by a new one that names it.",
        table(("number", "decision", "date"), rows),
    )


DECISION = re.compile(r"\A# (\d{4}): (.+)\n\n(?:Date: )?(\d{4}-\d\d-\d\d)\b")

PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/cli.md": cli_page,
    "reference/api.md": api_page,
    "reference/roles.md": roles_page,
    "reference/checks.md": checks_page,
    "reference/upload-rules.md": upload_rules_page,
    "reference/rule-kinds.md": rule_kinds_page,
    "reference/events.md": events_page,
    "reference/assertions.md": assertions_page,
    "adr/index.md": decisions_page,
}
"""Every generated page, by its path in docs."""

if __name__ == "__main__":
    for name, render in PAGES.items():
        (DOCS / name).write_text(render())
