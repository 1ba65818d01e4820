"""A file that is not served is on no surface: every state, every route that reads, every way to ask, everybody.

The routes come from the application itself. A new one fails the first test until `surfaces.TABLE` says how it is asked.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from koschey.app import create_front
from koschey.db.rules import upsert_rule
from koschey.model import SYSTEM
from koschey.policy.rules import RuleKind
from koschey.settings import Settings
from tests.support.app_in_process import NOBODY, Inside, Who
from tests.support.archives import read_core_metadata, wheel
from tests.support.koschey_up import JSON, Answer
from tests.support.surfaces import HTML, PAGE, TABLE, VERSIONS, Ask, Subject, Surface, surfaces, upload_private
from tests.support.upstream.server import UpstreamFile

READING = frozenset({"GET", "HEAD"})
XMLRPC = "xmlrpc.xmlrpc"
UPLOADERS_OWN = "s-of-the-uploader"


def publish(inside: Inside, project: str, *, age: timedelta = timedelta(hours=1), seen: bool = True) -> Subject:
    """Have the upstream publish a release, which is seen here and fetched."""
    file = inside.upstream.add(
        project,
        next(VERSIONS),
        upload_time=inside.now - age,
        requires=[f"secret-of-{project}"],
        provenance=lambda *_: b'{"version": 1, "attestation_bundles": []}',
    )
    inside.look(project)
    if seen:
        inside.store(file.filename)
    return subject_of(file)


def subject_of(file: UpstreamFile) -> Subject:
    """The upstream's file as a subject."""
    metadata = read_core_metadata(file.content) or b""
    return Subject(file.project, file.version, file.filename, file.path, file.sha256, file.content, metadata)


def released(inside: Inside) -> Subject:
    return publish(inside, "s-released", age=timedelta(days=30))


def held(inside: Inside) -> Subject:
    return publish(inside, "s-held")


def held_unfetched(inside: Inside) -> Subject:
    return publish(inside, "s-unfetched", seen=False)


def blocked(inside: Inside) -> Subject:
    subject = publish(inside, "s-blocked", age=timedelta(days=30))
    inside.decide("block", subject.project, subject.version)
    return subject


def blocked_project(inside: Inside) -> Subject:
    subject = publish(inside, "s-banned", age=timedelta(days=30))
    inside.decide("block", subject.project)
    return subject


def blocked_while_held(inside: Inside) -> Subject:
    subject = publish(inside, "s-rejected")
    inside.decide("block", subject.project, subject.version)
    return subject


def unblocked(inside: Inside) -> Subject:
    """What was blocked and is unblocked is held."""
    subject = publish(inside, "s-unblocked", age=timedelta(days=30))
    inside.decide("block", subject.project, subject.version)
    inside.decide("unblock", subject.project, subject.version)
    return subject


def conflict(inside: Inside) -> Subject:
    subject = publish(inside, "s-conflict")
    inside.upstream.replace(subject.filename, wheel("s-conflict", subject.version, modules={"other.py": "0"})[1])
    inside.look(subject.project)
    assert inside.file(subject.filename).standing.state == "conflict"
    return subject


def malformed(inside: Inside) -> Subject:
    """No door makes a fetched file malformed that PostgreSQL could not also be told."""
    subject = publish(inside, "s-malformed")
    inside.execute(
        "UPDATE standing SET state = 'malformed' WHERE file_id = (SELECT id FROM file WHERE filename = $1)",
        subject.filename,
    )
    inside.execute("SELECT pg_notify('koschey_project', $1)", subject.project)
    inside.hear_all()
    return subject


def quarantined(inside: Inside) -> Subject:
    subject = publish(inside, "s-seized", age=timedelta(days=30))
    inside.upstream.set_status(subject.project, "quarantined", "malware")
    inside.look(subject.project)
    return subject


def removed(inside: Inside) -> Subject:
    subject = upload_private(inside, "s-removed")
    answer = inside.ask(
        f"/api/v1/projects/s-removed/files/{subject.filename}?reason=wrong", "DELETE", inside.account("admin")
    )
    assert answer.status == 200, answer
    inside.hear_all()
    return subject


def quarantined_here(inside: Inside) -> Subject:
    subject = upload_private(inside, "s-closed")
    body = b'{"status": "quarantined", "reason": "stolen token"}'
    admin = inside.account("admin")
    answer = inside.ask("/api/v1/projects/s-closed/status", "PUT", admin, body, Content_Type="application/json")
    assert answer.status == 200, answer
    inside.hear_all()
    return subject


def reserve(inside: Inside, pattern: str) -> None:
    """Keep names for private packages."""

    async def write() -> None:
        async with inside.resources.pool.acquire() as connection, connection.transaction():
            await upsert_rule(connection, RuleKind.RESERVED, pattern, None, "ours", SYSTEM)
            await connection.execute("SELECT pg_notify('koschey_project', $1)", pattern)

    inside.run(write())
    inside.hear_all()


def reserved(inside: Inside) -> Subject:
    """What came from the upstream under a name that was reserved later."""
    subject = publish(inside, "s-reserved", age=timedelta(days=30))
    reserve(inside, "s-reserved-*")
    return subject


def metadata_lies(inside: Inside) -> Subject:
    """Core metadata beside the wheel that is not what the wheel holds."""
    version = next(VERSIONS)
    # A project of its own: a late file of a known one would be held whatever its age.
    project = f"s-liar-{version.replace('.', '-')}"
    told = inside.upstream.add(project, version, upload_time=inside.now - timedelta(days=30), requires=["x"])
    assert told.metadata
    file = inside.upstream.promise(told.filename, told.metadata.replace(b"Requires-Dist: x\n", b""))
    inside.look(project)
    answer = inside.ask(file.path)
    assert answer.status != 200 or answer.body != file.content
    inside.hear_all()
    return subject_of(file)


REFUSED: dict[str, Callable[[Inside], Subject]] = {
    function.__name__: function
    for function in (
        held, held_unfetched, blocked, blocked_project, blocked_while_held, unblocked, conflict, malformed, quarantined,
        removed, quarantined_here, reserved, metadata_lies,
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def everybody(inside: Inside) -> dict[str, Who]:
    """Who asks: nobody known, an account without rights, an uploader of another project; with a token or a session."""
    return {
        "nobody": NOBODY,
        "an account without rights": inside.account(None),
        "an uploader of another project": inside.account("uploader", UPLOADERS_OWN),
        "a session without rights": inside.person(None),
        "an uploader's session": inside.person("uploader", UPLOADERS_OWN),
    }


def found_in(answers: list[Answer], subject: Subject, *, lists: bool) -> list[str]:
    """What of a refused file the answers tell."""
    said = b"".join(answer.body + repr(answer.headers).encode() for answer in answers)
    secrets = dict(subject.secrets)
    if lists:
        secrets |= {"its name": subject.filename.encode(), "its version": subject.version.encode()}
    return [what for what, secret in secrets.items() if secret in said]


def asked_as(inside: Inside, ask: Ask, who: Who, method: str = "") -> list[Answer]:
    """Send one request, with another method where one is named."""
    return inside.ask_all(ask.path, method or ask.method, who, ask.body, **ask.headers)


def told(inside: Inside, surface: Surface, subject: Subject, who: Who) -> dict[tuple[str, Ask], bool]:
    """Ask a surface in every way; fails where a refused file shows."""
    verdicts = {}
    for ask in surface.asks(subject):
        for method in ("GET", "HEAD") if ask.method == "GET" else (ask.method,):
            answers = asked_as(inside, ask, who, method)
            verdicts[method, ask] = surface.tells(answers[-1], subject)
            assert answers[-1].status < 500, (ask, answers[-1])
            if method == "HEAD":
                assert not any(answer.body for answer in answers), (ask, answers)
    return verdicts


def test_every_route_is_in_the_table() -> None:
    """No route can be added without somebody saying how it is asked about a file, or why it cannot tell of one."""
    settings = Settings.model_validate({"database_url": "postgresql://localhost/none"})
    reading = {
        (rule.rule, rule.endpoint)
        for rule in create_front(settings).quart.url_map.iter_rules()
        if (rule.methods or set()) & READING or rule.endpoint == XMLRPC or rule.rule.startswith("/legacy")
    }
    assert reading - set(TABLE) == set(), "say in surfaces.TABLE what these tell of a file"
    assert set(TABLE) - reading == set(), "these routes are gone"


def test_every_surface_tells_of_a_served_file(inside: Inside, everybody: dict[str, Who]) -> None:
    """What is released is on every public surface, in every form: so the silence of the others means something."""
    subject = released(inside)
    for rule, surface in surfaces():
        if surface.private or surface.explains:
            continue
        verdicts = told(inside, surface, subject, NOBODY)
        silent = [ask for (method, ask), tells in verdicts.items() if method != "HEAD" and not tells]
        assert not silent, (rule, silent)


SHOWN = ("/api/v1/projects/<project>", "/api/v1/quarantine", "/admin/", "/admin/projects/<project>", "/admin/journal")
"""What shows to those who decide that a release is held."""


def test_panel_and_api_tell_those_who_decide(inside: Inside) -> None:
    """A reviewer sees a held file in the panel and in the API: so the silence for others means something."""
    subject = publish(inside, "s-shown")
    reviewers = [inside.account("reviewer"), inside.person("reviewer")]
    for rule, surface in surfaces():
        if surface.private and rule in SHOWN:
            who = reviewers[rule.startswith("/admin")]
            said = [inside.ask(ask.path, "GET", who).body for ask in surface.asks(subject)]
            assert any(subject.project.encode() in body for body in said), rule


@pytest.mark.parametrize("state", REFUSED)
def test_refused_file_is_on_no_surface(inside: Inside, everybody: dict[str, Who], state: str) -> None:
    """No bytes, no digest, no metadata, no name in a list, for anybody, in any way of asking; one verdict for all."""
    subject = REFUSED[state](inside)
    leaks, verdicts = [], {}
    for rule, surface in surfaces():
        for name, who in everybody.items():
            for ask in surface.asks(subject):
                for method in ("GET", "HEAD") if ask.method == "GET" else (ask.method,):
                    answers = asked_as(inside, ask, who, method)
                    assert answers[-1].status < 500, (rule, ask, answers[-1])
                    verdicts[rule, name, method, ask] = surface.tells(answers[-1], subject)
                    leaks += [
                        (what, rule, name, method, ask)
                        for what in found_in(answers, subject, lists=surface.lists or surface.private)
                    ]
    assert not leaks, leaks[:5]
    assert not any(verdicts.values()), [asked for asked, tells in verdicts.items() if tells][:5]
    assert len(verdicts) > 300


@pytest.mark.parametrize("state", ["released", "held", "blocked"])
def test_private_index_tells_strangers_nothing(private: Inside, state: str) -> None:
    """Where reading asks for a login nobody learns what is released, and what is held looks the same: 401."""
    subject = {"released": released, **REFUSED}[state](private)
    statuses = set()
    for rule, surface in surfaces():
        for ask in surface.asks(subject):
            for method in ("GET", "HEAD") if ask.method == "GET" else (ask.method,):
                answers = asked_as(private, ask, NOBODY, method)
                assert not surface.tells(answers[-1], subject) or surface.private, (rule, ask)
                assert not found_in(answers, subject, lists=True), (rule, ask)
                statuses |= set() if surface.private else {answers[-1].status}
    assert statuses == {401}
    reader = private.account(None)
    assert private.ask(subject.path, who=reader).status == (200 if state == "released" else 403)


def test_reserved_name_that_nobody_knows_is_never_asked_for(inside: Inside) -> None:
    """No way of asking any surface for a reserved name makes the upstream hear of it (I6), and its page is no 404."""
    file = subject_of(inside.upstream.add("s-ours-tools", next(VERSIONS)))
    reserve(inside, "s-ours-*")
    inside.upstream.forget_requests()
    for rule, surface in surfaces():
        for spelling in ("s-ours-tools", "S_Ours.Tools", "s--ours-tools"):
            asked = replace(file, project=spelling)
            for ask in surface.asks(asked):
                answers = asked_as(inside, ask, NOBODY)
                assert not found_in(answers, file, lists=False), (rule, ask)
    assert [request.path for request in inside.upstream.requests if "tools" in request.path] == []
    assert inside.ask("/simple/s-ours-tools/").status in (200, 403)


ACCEPTS = tuple(
    f"{first}{weight}{rest}"
    for first in (
        JSON,
        HTML,
        "text/html",
        "*/*",
        "application/json",
        "application/*",
        "text/*;level=1",
        "image/png",
        "x",
    )
    for weight in (";q=0", ";q=0.5", "", ";Q=1.0")
    for rest in ("", f", {HTML};q=0.3")
)[:60]


def test_no_negotiation_shows_a_held_file(inside: Inside) -> None:
    """60 values of Accept, for every spelling of the name and of the path: no page names a held file (Q2)."""
    subject = publish(inside, "s-many-words")
    assert len(set(ACCEPTS)) == 60
    statuses = set()
    for accept in ACCEPTS:
        for path in (
            *(f"/simple/{name}/" for name in ("s-many-words", "S-Many-Words", "s_many.words", "s--many--words")),
            *("/simple/s-many-words", "/simple//s-many-words/", "//simple/s-many-words/", "/simple/s-many-words//"),
            *("/simple/s-many-words/?format=application/vnd.pypi.simple.v1+json", "/simple/s-many-words/index.html"),
        ):
            for method in READING:
                answers = inside.ask_all(path, method, Accept=accept)
                statuses.add(answers[-1].status)
                assert not found_in(answers, subject, lists=True), (path, accept)
    assert statuses <= {200, 404, 406}
    assert {200, 406} <= statuses


@pytest.mark.parametrize("choice", ["block", "block-project", "quarantine"])
def test_no_copy_of_a_page_is_said_to_be_right_after_a_change(inside: Inside, choice: str) -> None:
    """A client's copy of a page and of a file is confirmed before a block, and never after it (Q2)."""
    subject = publish(inside, f"s-copied-{choice}", age=timedelta(days=30))
    paths = [*(ask for ask in PAGE.asks(subject)), Ask(f"/pypi/{subject.project}/json"), Ask(subject.path)]
    tags = [asked_as(inside, ask, NOBODY)[-1].headers["etag"] for ask in paths]

    def confirmed() -> list[int]:
        asked = [ask._replace(if_none_match=tag) for ask, tag in zip(paths, tags, strict=True)]
        return [asked_as(inside, ask, NOBODY)[-1].status for ask in asked]

    assert set(confirmed()) == {304}
    if choice == "quarantine":
        inside.upstream.set_status(subject.project, "quarantined", "malware")
        inside.look(subject.project)
    else:
        inside.decide("block", subject.project, subject.version if choice == "block" else None)
    assert 304 not in confirmed()
    assert inside.page(subject.project)["files"] == []


def test_core_metadata_that_lies_blocks_the_wheel(inside: Inside) -> None:
    """Metadata that is not the wheel's is never served, nor is the wheel, and the journal says why (Q3)."""
    subject = metadata_lies(inside)
    for path in (subject.path, f"{subject.path}.metadata"):
        assert inside.ask(path).status == 403
    assert inside.page(subject.project)["files"] == []
    query = "SELECT detail->>'reason' AS reason FROM journal WHERE filename = $1 AND action = 'blocked'"
    (row,) = inside.fetch(query, subject.filename)
    assert "promised" in row["reason"]


def test_core_metadata_of_a_held_wheel_is_held(inside: Inside) -> None:
    """The metadata beside a wheel is refused like the wheel, fetched or not, and given once it is released (Q3)."""
    subject = publish(inside, "s-beside")
    fetched, asked = f"{subject.path}.metadata", inside.upstream.count("*.metadata")
    assert inside.ask(fetched).status == 403
    assert inside.upstream.count("*.metadata") == asked
    inside.decide("approve", subject.project, subject.version)
    assert inside.ask(fetched).body == subject.metadata
