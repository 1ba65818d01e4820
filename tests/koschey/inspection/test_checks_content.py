"""The report on what an archive contains: it lists exactly what is there, and is bounded."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.errors import Refused, StoreUnavailable
from koschey.inspection.archives import collector
from koschey.inspection.archives.content import Content
from koschey.inspection.archives.limits import Limits
from koschey.inspection.sandbox import launcher
from koschey.inspection.sandbox.inspector import Inspector
from tests.support.archives import sdist, wheel
from tests.support.facts import content_of_bytes
from tests.support.inspection import by_tarfile, by_zipfile, working

NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,3}\.(py|txt|so|pth|json)", fullmatch=True)
MODULES = st.dictionaries(NAMES, st.text(max_size=50), max_size=12)


async def by_child(filename: str, content: bytes, limits: Limits | None = None) -> Content:
    """The report as the real child makes it."""
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return await Inspector(limits).read_content(file.fileno(), filename)


@given(MODULES)
def test_report_of_a_wheel_lists_exactly_its_members(modules: dict[str, str]) -> None:
    """Names and sizes are those that the standard library reads; so are their number and their sum."""
    filename, content = wheel("thing", "1.0", modules=modules)
    report, real = content_of_bytes(filename, content), by_zipfile(content)
    assert {member.name: member.size for member in report.members} == {name: len(body) for name, body in real.items()}
    assert report.files == len(report.members) == len(real)
    assert report.inflated == sum(map(len, real.values()))
    assert set(report.native) == {name for name in real if name.endswith(".so")}
    assert set(report.pth) == set(report.digests) == {name for name in real if name.endswith(".pth")}
    assert report.truncated == ()


@given(st.integers(0, 3000))
def test_report_of_an_sdist_lists_exactly_its_members(padding: int) -> None:
    """Of an sdist the names are those of the standard library too."""
    filename, content = sdist("thing", "1.0", padding=padding)
    report = content_of_bytes(filename, content)
    assert [(member.name, member.size) for member in report.members] == [
        (name, size) for name, _, size, _, _ in by_tarfile(content)
    ]


async def test_child_makes_the_same_report() -> None:
    """What comes out of the child is what was read in it."""
    for filename, content in (wheel("thing", "1.0"), sdist("thing", "1.0")):
        report = await by_child(filename, content)
        assert report == content_of_bytes(filename, content)
        assert report.metadata
        assert (report.metadata.project, report.metadata.version) == ("thing", "1.0")


async def test_broken_archive_is_a_report_and_an_endless_one_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken rule is what is to be said of an archive; a child that was ended, or cannot work, says nothing of it."""
    filename, content = wheel("thing", "1.0")
    assert (await by_child(filename, content[:-1])).refused
    with pytest.raises(Refused, match="within 0 seconds"):
        await by_child(filename, content, Limits(wall=0.0))
    monkeypatch.setattr(launcher, "BOOT", "raise SystemExit(3)")
    with pytest.raises(StoreUnavailable):
        await by_child(filename, content)


@pytest.mark.parametrize("printed", ["{}x", '{"files": "many"}', '{"members": [[1]]}', "[]"])
async def test_child_that_was_taken_over_is_not_believed(monkeypatch: pytest.MonkeyPatch, printed: str) -> None:
    """What has another form than a report is none."""
    monkeypatch.setattr(launcher, "BOOT", working(f"def work(): print({printed!r})"))
    with pytest.raises(StoreUnavailable):
        await by_child(*wheel("thing", "1.0"))


def test_report_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that would be too long are cut, and the report says which; numbers stay those of the whole."""
    monkeypatch.setattr(collector, "MAX_LISTED", 5)
    monkeypatch.setattr(collector, "MAX_ITEMS", 3)
    modules = {f"m{number}.so": "" for number in range(9)}
    entry_points = "[console_scripts]\n" + "".join(f"run{number} = m:main\n" for number in range(9))
    modules["thing-1.0.dist-info/entry_points.txt"] = entry_points
    requires = [f"need{number}" for number in range(9)]
    report = content_of_bytes(*wheel("thing", "1.0", modules=modules, requires=requires))
    assert set(report.truncated) == {"members", "native", "entry_points", "requires_dist", "top_level"}
    assert (len(report.members), len(report.native), len(report.scripts), report.files) == (5, 3, 3, 13)


def test_names_of_scripts_are_read_as_they_are_installed() -> None:
    """Commands keep their case; other groups are kept apart from them."""
    text = "[console_scripts]\nThing = thing:main [x]\n[gui_scripts]\nwin = thing:win\n[acme]\nx = thing\n"
    report = content_of_bytes(*wheel("thing", "1.0", modules={"thing-1.0.dist-info/entry_points.txt": text}))
    assert report.scripts == {"Thing": "thing:main [x]", "win": "thing:win"}
    assert report.entry_points["acme"] == {"x": "thing"}


def test_top_level_names_are_what_can_be_imported() -> None:
    """Folders, modules and what is installed from `.data` count; the folder of the metadata does not."""
    modules = {"a/b.py": "", "c.cpython-312-x86_64-linux-gnu.so": "", "thing-1.0.data/purelib/d.py": ""}
    modules["thing-1.0.data/scripts/run"] = "#!python"
    assert content_of_bytes(*wheel("thing", "1.0", modules=modules)).top_level == ("a", "c", "d")


def test_folders_of_wheels_are_members_and_no_files() -> None:
    """A folder is listed and not counted."""
    filename, content = wheel("thing", "1.0")
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zipfile.ZipInfo("pkg/"), b"")
    report = content_of_bytes(filename, buffer.getvalue())
    assert report.members[-1] == ("pkg", 0, "folder")
    assert report.files == len(report.members) - 1
