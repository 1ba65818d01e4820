"""The admin panel's work on the quarantine: extend, except, recall; the policy; what wants attention."""

import html
import re

import pytest

from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.panel import Page, Person, add_account
from tests.support.releases import hold_new, refusal
from tests.support.upstream.server import Upstream


@pytest.fixture
def admin(koschey: Koschey) -> Person:
    """An admin of everything, logged in."""
    person = Person(koschey.url)
    assert person.log_in(add_account(koschey, "anna", ("admin", "*"))).status == 303
    return person


def send(person: Person, path: str, **form: str) -> Page:
    """Send a form of the panel and return the page that it leads to, which tells what became of it."""
    answer = person.ask(path, {"csrf": person.ask(path).csrf, **form})
    return person.ask(answer.location or path) if answer.status == 303 else answer


def decide(person: Person, project: str, choice: str, **form: str) -> Page:
    """Decide on version 1.0 of a project at its page."""
    form = {"choice": choice, "project": project, "version": "1.0", "reason": "looked", **form}
    page = send(person, f"/admin/projects/{project}", **form)
    if not (again := page.confirmation):
        return page
    answer = person.ask(again.pop("action"), {**again, "again": project})
    return person.ask(answer.location or "") if answer.status == 303 else answer


def path_of(koschey: Koschey, filename: str) -> str:
    """The path of a file."""
    return str(koschey.fetch_value("SELECT path FROM file WHERE filename = $1", filename))


def test_a_quarantine_is_extended(koschey: Koschey, upstream: Upstream, admin: Person) -> None:
    """Held for 20 more days, the release says so on its page and in its refusal; a number is asked for."""
    filename = hold_new(koschey, upstream, "admin-extend")
    page = decide(admin, "admin-extend", "extend")
    assert (page.status, page.told) == (400, "give the number of days, such as 7")
    assert 'value="looked"' in page.text
    page = decide(admin, "admin-extend", "extend", days="20")
    assert page.told.startswith("Held longer: admin-extend 1.0 (serial ")
    assert "in 19 d 23 h" in page.text
    left = """
        SELECT release_at - koschey_now() FROM standing JOIN file ON file.id = standing.file_id WHERE filename = $1
    """
    assert koschey.fetch_value(left, filename).days == 19


def test_an_exception_serves_what_is_held(koschey: Koschey, upstream: Upstream, admin: Person) -> None:
    """Excepted for a day, the file is on the index's page, still held in the panel, and listed with its ticket."""
    filename = hold_new(koschey, upstream, "admin-except")
    page = decide(admin, "admin-except", "except", days="1", ticket="SEC-7")
    assert page.told.startswith("Temporarily allowed admin-except 1.0")
    wait_until(lambda: koschey.filenames("admin-except") == [filename])
    assert koschey.state_of(filename) == "held"
    text = admin.ask("/admin/projects/admin-except").text
    assert "It is served all the same." in text
    assert "SEC-7" in admin.ask("/admin/policy").text


def test_a_recall_tells_who_took_it(koschey: Koschey, upstream: Upstream, admin: Person) -> None:
    """A recalled file is refused, raises an alert, and the page lists the client that took it and no other."""
    file = upstream.add("admin-recall", "1.0")
    assert koschey.filenames("admin-recall") == [file.filename]
    path = path_of(koschey, file.filename)
    assert ask(f"{koschey.url}{path}", User_Agent="a-curious-client/1").status == 200
    assert decide(admin, "admin-recall", "recall").told.startswith("Recalled admin-recall 1.0")
    assert refusal(koschey, path)["state"] == "blocked"
    text = admin.ask("/admin/projects/admin-recall/downloads?version=1.0").text
    assert "1 download." in text
    assert text.count("a-curious-client/1") == 1
    assert re.search(r"<td>recall</td>\s*<td><a [^>]*>admin-recall</a>", admin.ask("/admin/attention").text)


def test_two_people_lift_a_recall(koschey: Koschey, upstream: Upstream, admin: Person) -> None:
    """The first person's unblock waits and is shown to the second, whose unblock lifts it: the file is held."""
    filename = upstream.add("admin-lift", "1.0").filename
    assert koschey.filenames("admin-lift") == [filename]
    decide(admin, "admin-lift", "recall")
    second = Person(koschey.url)
    second.log_in(add_account(koschey, "sven", ("reviewer", "*")))
    assert "second person" in decide(admin, "admin-lift", "unblock").told
    assert koschey.state_of(filename) == "blocked"
    assert "admin-lift" in second.ask("/admin/attention").text
    decide(second, "admin-lift", "unblock")
    assert koschey.state_of(filename) == "held"


def test_the_policy_is_set_and_lifted(koschey: Koschey, admin: Person) -> None:
    """A rule set in the panel is in its table and in force; what is no rule is said; lifted, it is gone."""
    rule = {"choice": "set", "kind": "window", "scope": "admin-slow-*", "reason": "slow <team>"}
    page = send(admin, "/admin/policy", **rule, value="many")
    assert page.status == 400
    assert "'many' is not a value of window" in page.told
    assert 'value="admin-slow-*"' in page.text
    page = send(admin, "/admin/policy", **rule, value="30")
    assert page.told.startswith("The policy has changed")
    assert "slow &lt;team&gt;" in page.text
    assert koschey.fetch_value("SELECT value FROM rule WHERE project = 'admin-slow-*'") == "30"
    page = send(admin, "/admin/policy", **{**rule, "choice": "unset", "reason": "done"}, subject="")
    assert page.told.startswith("The policy has changed")
    assert page.told.endswith("0 held releases re-checked.")
    assert koschey.fetch_value("SELECT count(*)::text FROM rule WHERE project = 'admin-slow-*'") == "0"


def test_a_reviewer_reads_the_policy_and_changes_nothing(koschey: Koschey) -> None:
    """Who decides about releases sees the rules without forms; a form sent all the same is refused."""
    person = Person(koschey.url)
    person.log_in(add_account(koschey, "rudi", ("reviewer", "*")))
    page = person.ask("/admin/policy")
    assert "Add a rule" not in page.text
    form = {"csrf": person.ask("/admin/attention").csrf, "choice": "set", "kind": "observed", "scope": "*"}
    assert person.ask("/admin/policy", {**form, "reason": "x"}).status == 403
    assert koschey.fetch_value("SELECT count(*)::text FROM rule WHERE kind = 'observed'") == "0"


def test_downloads_are_for_those_who_decide(koschey: Koschey) -> None:
    """A reviewer of one project does not see who took another's files."""
    person = Person(koschey.url)
    person.log_in(add_account(koschey, "olga", ("reviewer", "mine")))
    assert person.ask("/admin/projects/admin-recall/downloads").status == 403
    assert person.ask("/admin/projects/mine/downloads").status == 200


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=" + "9" * 30])
def test_strange_places_are_answered(admin: Person, query: str) -> None:
    """What is no number of an alert is an error in words."""
    page = admin.ask(f"/admin/attention?{query}")
    assert page.status == 400
    assert "`before` must be the number of an alert" in html.unescape(page.text)
