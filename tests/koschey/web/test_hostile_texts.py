"""Texts of strangers in terminals, logs, pages and lines to copy: nothing of them acts there."""

import ast
import html
import json
import re
import shlex
import unicodedata
from contextlib import suppress
from dataclasses import replace
from http.client import IncompleteRead
from io import StringIO
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from rich.table import Table

import koschey.cli
from koschey.model import ProjectStatus, Serial
from koschey.standards import simple_html, simple_json
from koschey.standards.project_page import ProjectPage
from koschey.terminal.lines import say, say_json
from koschey.terminal.tables import Terminal, emphasised
from koschey.texts import on_lines, on_one_line, on_page, shell_line
from tests.support.app_in_process import AppInProcess
from tests.support.commands import run_koschey
from tests.support.examples import WHEEL
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.releases import hold
from tests.support.upstream.server import Upstream
from tests.support.web_processes import SERVERS, web_process

HOSTILE = (
    "\x1b[8mhidden\x1b[0m \x1b]0;title\x07 \u202egnp.exe \x9b31m a\rb\nkoschey: approved [bold]x[/bold] :smile: \u2066"
)
"""Hides itself, sets the title of a window, reorders what is read, and pretends to be another line."""
STEERS = ("Cc", "Cf", "Cs", "Zl", "Zp")


def steers(text: str) -> list[str]:
    """The characters of a text that steer what shows it; line breaks stand between lines."""
    return [c for c in text if unicodedata.category(c) in STEERS and c not in "\n\u200c\u200d"]


# The functions


@given(st.text())
def test_nothing_steers(text: str) -> None:
    """Whatever a text is, one line stays one line, and lines stay lines; nothing in them steers a terminal."""
    assert steers(on_one_line(text)) == []
    assert "\n" not in on_one_line(text)
    assert steers(on_lines(text)) == []
    assert on_one_line(on_one_line(text)) == on_one_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [text] <b> \\x", "plain [text] <b> \\x"),
        ("Grüße, 日本語 👩\u200d💻 نام\u200cک", "Grüße, 日本語 👩\u200d💻 نام\u200cک"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\u202e\u2066\u200b\ufeff", "\\u202e\\u2066\\u200b\\ufeff"),
        ("\ud800 \U000e0041", "\\ud800 \\U000e0041"),
        ("\x9b1m \xa0", "\\x9b1m \\xa0"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    """Letters of every script stay, what acts is spelt out."""
    assert on_one_line(text) == shown


@given(st.lists(st.text(), min_size=1))
def test_a_line_to_copy_is_these_words(words: list[str]) -> None:
    """A shell reads a command as the words that it was made of, cleaned, and as one line."""
    line = shell_line(*words)
    assert shlex.split(line) == [on_one_line(word) for word in words]
    assert "\n" not in line


def test_markup_of_our_own_stays() -> None:
    """A template's macros are put out as they are, and other values too."""
    assert on_page(Markup("<b>\u202e</b>")) == "<b>\u202e</b>"
    assert (on_page(7), on_page(None), on_page("a\n\x1b")) == (7, None, "a\n\\x1b")


# The terminal


def test_tables_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Cells, titles and lines are plain text: no escape, no markup, no emoji, and one row stays one row."""
    printed = StringIO()
    out = Terminal(file=printed, width=1000, force_terminal=True, color_system=None)
    table = Table("who", HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE, emphasised(HOSTILE, "bold"))
    out.print(table)
    out.print(HOSTILE)
    shown = printed.getvalue().replace("\x1b[1m", "").replace("\x1b[3m", "").replace("\x1b[0m", "")
    assert steers(shown) == []
    assert shown.count("[bold]x[/bold] :smile:") == 5
    say(HOSTILE)
    say_json({"why": HOSTILE})
    line, document, _ = capsys.readouterr().out.split("\n")
    assert steers(line) == []
    assert document.isascii()
    assert json.loads(document) == {"why": HOSTILE}


PRINTING = {"click.echo", "click.secho", "print", "Console", "rich.print", "sys.stdout.write", "sys.stderr.write"}
"""Ways to print that clean nothing."""


def test_all_commands_print_by_the_terminal() -> None:
    """No module of the commands prints in another way, so that a new one cannot forget."""
    root = Path(koschey.cli.__file__).parents[1]
    found = {}
    for folder in ("cli", "client", "embedded"):
        for path in (root / folder).rglob("*.py"):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            used = {ast.unparse(call.func) for call in calls} & PRINTING
            imports = {"rich.text", "rich.markup"} & {
                node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
            }
            if used | imports and path.name != "leash.py":
                found[path.name] = used | imports
    assert found == {}


def test_request_of_a_stranger(koschey: Koschey, upstream: Upstream) -> None:
    """The reason of an anonymous request reaches a reviewer's terminal as text, in every form of the list."""
    file = hold(koschey, upstream, "ht-asked")
    body = {"project": "ht-asked", "version": "2.0", "reason": HOSTILE}
    answer = post(f"{koschey.url}/api/v1/requests", body)
    assert answer == 200
    for command in ("requests", "requests --json", "quarantine", "explain ht-asked==2.0"):
        printed = koschey.run(*command.split())
        assert steers(printed.stdout + printed.stderr) == [], command
    assert "\\x1b[8mhidden" in "".join(koschey.run("requests").stdout.split("\n"))
    for command in ("approve", "block"):
        koschey.run(command, "ht-asked==2.0", "--reason", HOSTILE)
    for command in ("policy show", "policy explain ht-asked==2.0", "explain ht-asked==2.0"):
        assert steers(koschey.run(*command.split()).stdout) == [], command
    index = ("--index", koschey.index_url)
    told = run_koschey("explain", "ht-asked==2.0", *index)
    assert steers(told.stdout + told.stderr) == []
    assert "hidden" in told.stdout + told.stderr
    problem = ask(koschey.url + file.path)
    assert steers(problem.json["detail"]) == []
    assert "hidden" in problem.json["detail"]


def test_lock_of_a_stranger(koschey: Koschey, tmp_path: Path) -> None:
    """What a lock holds reaches the terminal as text, though it is not understood."""
    lock = tmp_path / "requirements.txt"
    lock.write_text("old==1.0\x1b]0;title\x07\n\u202eold==1\n")
    printed = run_koschey("check", str(lock), "--index", koschey.index_url)
    assert steers(printed.stdout + printed.stderr) == []


def post(url: str, body: object) -> int:
    """Send JSON as nobody in particular."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as response:
        return int(response.status)


# Pages


def test_pages_show_what_strangers_wrote_as_text(app: AppInProcess) -> None:
    """Reasons, user agents and versions on pages of the panel and of the index: no markup, and nothing reorders it."""
    app.upstream.add("ht-page", "1.0", upload_time=app.now)
    app.refresh("ht-page")
    app.store("ht_page-1.0-py3-none-any.whl")
    sent = json.dumps({"project": "ht-page", "version": "1.0", "reason": f"<b>{HOSTILE}"}).encode()
    assert app.ask("/api/v1/requests", "POST", body=sent, Content_Type="application/json").status == 200
    admin = app.account("admin")
    sent = json.dumps({"choice": "block", "project": "ht-page", "reason": f"<b>{HOSTILE}"}).encode()
    assert app.ask("/api/v1/decisions", "POST", admin, sent, Content_Type="application/json").status == 200
    app.hear_all()
    person = app.person("admin")
    pages = [
        *(app.ask(path, who=person) for path in ("/admin/", "/admin/attention", "/admin/projects/ht-page")),
        *(app.ask(path, who=person) for path in ("/admin/journal", "/admin/policy")),
        *(app.ask(path, Accept="text/html") for path in ("/held/ht-page/", "/simple/ht-page/")),
    ]
    for page in pages:
        assert page.status == 200
        assert steers(page.body.decode()) == []
        assert b"<b>\\x1b" not in page.body
    assert sum(b"hidden" in page.body for page in pages) >= 5
    told = app.page("ht-page")["project-status"]["reason"]
    assert "hidden" in told
    assert steers(told) == []


def test_command_to_copy_on_a_page(app: AppInProcess) -> None:
    """A version in the address of a page becomes one word of the command that the page shows."""
    app.upstream.add("ht-copy", "1.0")
    app.refresh("ht-copy")
    page = app.ask("/admin/projects/ht-copy/downloads?version=1';reboot;'", who=app.person("admin"))
    assert page.status == 200
    shown = html.unescape(page.body.decode())
    [command] = re.findall("<code>(koschey downloads .*?)</code>", shown)
    assert shlex.split(command) == ["koschey", "downloads", "ht-copy==1';reboot;'", "--csv"]


def test_reason_of_a_yank(page: ProjectPage) -> None:
    """Installers print why a release is yanked."""
    for text in (simple_json.render_project(page), simple_html.render_project(page)):
        assert steers(text.decode()) == []
        assert b"hidden" in text


@pytest.fixture
def page() -> ProjectPage:
    """A page with a yanked file of a hosted project, and with a status."""
    file = replace(WHEEL, yanked=HOSTILE)
    return ProjectPage(file.project, Serial(1), (file,), ProjectStatus.DEPRECATED, HOSTILE)


# Logs


@pytest.mark.parametrize("server", SERVERS)
def test_logs_are_json_in_ascii(koschey: Koschey, upstream: Upstream, tmp_path: Path, server: str) -> None:
    """Each line of the log is JSON in ASCII, also where a server reports that an answer broke off."""
    file = upstream.add(f"ht-log-{server}", "1.0", size=300_000)
    koschey.page(f"ht-log-{server}")
    upstream.fault(file.filename, body=b"x" * file.size)
    log = tmp_path / "log"
    with web_process(koschey, server, None, log) as web:
        for path in (file.path, f"{file.path}?x=%1b%5b8m%e2%80%ae", "/admin/%e2%80%ae%c2%9b", "/held/x%e2%80%ae/y"):
            with suppress(IncompleteRead, ConnectionError):
                ask(f"http://127.0.0.1:{web.port}{path}", User_Agent="\x9b8m")
        upstream.clear_faults()
        wait_until(lambda: "broke off" in log.read_text())
    lines = [line for line in log.read_text().splitlines() if line]
    assert all(line.isascii() and json.loads(line) for line in lines)
