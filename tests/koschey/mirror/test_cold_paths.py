"""URLs out of lock files: files of which there is no row yet are found by their paths, of whatever kind they are."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from packaging.utils import NormalizedName

from koschey.mirror.cold_paths import REFRESH_AGAIN, TRIED
from koschey.standards.names import possible_projects
from tests.support.app_in_process import AppInProcess
from tests.support.postgres import Postgres
from tests.support.upstream.server import Upstream, UpstreamFile

KINDS = [
    *("{0}-1.0-py3-none-any.whl", "{0}-1.0-1-cp312-cp312-manylinux_2_17_x86_64.whl"),
    *("{0}-1.0.tar.gz", "{0}-1.0.tar.bz2", "{0}-1.0.tar.xz", "{0}-1.0.tar.Z", "{0}-1.0.tgz", "{0}-1.0.tbz"),
    *(
        "{0}-1.0.tar",
        "{0}-1.0.zip",
        "{0}-1.0-py2.7.egg",
        "{0}-1.0-py3.7-linux-x86_64.egg",
        "{0}-1.0.linux-x86_64.tar.gz",
    ),
    *("{0}-1.0.win32.exe", "{0}-1.0.win-amd64-py2.7.exe", "{0}-1.0.win32-py2.7.msi", "{0}-1.0-1.noarch.rpm"),
    *("{0}-1.0-beta2.tar.gz", "{0}-dev.zip"),
]
"""Filenames of every kind that a page can list with a version."""


@pytest.fixture(scope="module")
def at_once(postgres: Postgres, s3: Mapping[str, str], shared_upstream: Upstream) -> Iterator[AppInProcess]:
    """An index without a quarantine."""
    with AppInProcess(postgres, s3, shared_upstream, quarantine_days=0) as running:
        yield running


def known_project(app: AppInProcess, upstream: Upstream, project: str) -> None:
    """A project whose page was looked at some time ago."""
    upstream.add(project, "0.1")
    app.page(project)
    app.pass_time(REFRESH_AGAIN + timedelta(seconds=1))
    upstream.forget_requests()


def later(upstream: Upstream, project: str, kind: str = "{0}-2.0.tar.gz") -> UpstreamFile:
    """A file that is listed since then."""
    return upstream.add(project, "2.0", content=f"{project} {kind}".encode(), filename=kind.format(project))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["one", "two-words"])
def test_every_kind_of_file_is_found_by_its_path(app: AppInProcess, upstream: Upstream, kind: str, name: str) -> None:
    """The URL of a file of any kind works before anybody has asked for its project's page."""
    project = f"cold{KINDS.index(kind)}-{name}"
    stem = project.replace("-", "_") if kind.endswith((".whl", ".egg")) else project
    filename = kind.format(stem)
    file = upstream.add(project, "1.0", content=filename.encode(), filename=filename)
    answer = app.ask(file.path)
    assert (answer.status, answer.body) == (200, file.content)
    assert upstream.count(f"/simple/{project}/") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_file_that_is_newer_than_the_last_look_is_found(at_once: AppInProcess, upstream: Upstream, kind: str) -> None:
    """A URL from a lock that was made elsewhere works although the project was looked at before the file was there."""
    project = f"newer{KINDS.index(kind)}"
    known_project(at_once, upstream, project)
    file = later(upstream, project, kind)
    answer = at_once.ask(file.path)
    assert (answer.status, answer.body) == (200, file.content)


def test_newer_file_that_is_held_says_so(app: AppInProcess, upstream: Upstream) -> None:
    """A newer file is judged as any other: its URL leads to the reason and not to a 404."""
    known_project(app, upstream, "newer-held")
    file = later(upstream, "newer-held")
    answer = app.ask(file.path)
    assert answer.status == 403
    assert file.filename in answer.json["detail"]


def test_unknown_paths_of_a_project_cost_one_look(app: AppInProcess, upstream: Upstream) -> None:
    """However many unknown paths clients ask for, a project's page is looked at once in ten seconds."""
    known_project(app, upstream, "often-asked")
    paths = [f"/packages/ab/cd/{number:060x}/often_asked-9.{number}-py3-none-any.whl" for number in range(30)]

    async def ask_all() -> set[int]:
        found = await asyncio.gather(*(app._follow("GET", path, {}, b"") for path in paths))
        return {answers[-1].status for answers in found}

    assert app.run(ask_all()) == {404}
    assert {app.ask(path).status for path in paths[:5]} == {404}
    assert upstream.count("/simple/often-asked/") == 1
    app.pass_time(REFRESH_AGAIN + timedelta(seconds=1))
    assert app.ask(paths[0]).status == 404
    assert upstream.count("/simple/often-asked/") == 2


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"body": b"no page"}])
def test_path_whose_page_cannot_be_looked_at_is_no_404(
    app: AppInProcess, upstream: Upstream, fault: dict[str, object]
) -> None:
    """While a page cannot be read, all of it is an error of the upstream; one that fails is spared for a while."""
    project = f"failing-{len(str(fault))}-{fault.get('status', 0)}"
    known_project(app, upstream, project)
    file = later(upstream, project)
    upstream.fault(f"/simple/{project}/", **fault)  # type: ignore[arg-type]
    assert {app.ask(file.path).status for _ in range(5)} <= {424, 502, 503}
    assert upstream.count(f"/simple/{project}/") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/packages/ab/cd/{0:060}/none.whl",
        "/packages/ab/cd/{0:060}/none-1.0.txt",
        "/packages/ab/cd/{0:060}/..-1.0.zip",
        "/packages/ab/cd/{0:060}/-1.0.zip",
        "/packages/ab/none-1.0.zip",
        "/packages/source/n/none/none-1.0.zip",
        "/packages/ab/cd/{0:060}/x/none-1.0.zip",
    ],
)
def test_path_that_no_page_can_list_costs_nothing(app: AppInProcess, upstream: Upstream, path: str) -> None:
    """A path that is no public path, or a name that no page lists with a version, is 404 at once."""
    assert app.ask(path.format(0)).status == 404
    assert upstream.about("none", "/simple/-", "/simple/.") == []


def test_private_names_are_asked_of_nobody(app: AppInProcess, upstream: Upstream) -> None:
    """A path of a hosted or a reserved name is never looked for upstream."""
    insert = "INSERT INTO project (name, display_name, origin) VALUES ('at-home', 'at-home', 'hosted')"
    app.execute(insert)
    app.execute(
        "INSERT INTO rule (index_id, kind, project, reason, actor) "
        "SELECT id, 'reserved', 'acme-cold-*', 'ours', 'a test' FROM index"
    )
    for filename in ("at_home-1.0-py3-none-any.whl", "at-home-1.0.zip", "acme_cold_tools-1.0-py3-none-any.whl"):
        assert app.ask(f"/packages/ab/cd/{1:060}/{filename}").status in (403, 404)
    assert upstream.about("at-home", "at_home", "acme") == []


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a_b-1.0-py3-none-any.whl", ["a-b"]),
        ("a-b-1.0.tar.gz", ["a-b", "a"]),
        ("mysql-connector-python-2.0.4.zip", ["mysql-connector-python", "mysql-connector", "mysql"]),
        ("a-1.0-beta.zip", ["a", "a-1-0"]),
        ("a.zip", []),
        ("a-1.0.exe.txt", []),
        ("-".join(["a"] * 120) + "-1.zip", None),
    ],
)
def test_projects_that_may_list_a_filename(filename: str, expected: list[NormalizedName] | None) -> None:
    """The name before a version of PEP 440 comes first; hostile names are cut short."""
    found = possible_projects(filename)
    assert found == expected if expected is not None else TRIED <= len(found) <= 12
