"""Koschey's own checks: each finds what it is for in real archives, and nothing in ordinary ones."""

import gzip
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from koschey.inspection.checks.archive import Archive
from koschey.inspection.checks.changes import Changes
from koschey.inspection.checks.check import Family, FileFacts, Skipped
from koschey.inspection.checks.metadata import Metadata
from koschey.inspection.checks.name import Name
from koschey.inspection.checks.provenance import Provenance
from koschey.inspection.checks.registry import BUILT_IN
from koschey.inspection.checks.size import Size
from koschey.policy.findings import FindingAction, Severity
from tests.support.archives import BACKEND, core_metadata, sdist, wheel
from tests.support.corpora_tars import END, member
from tests.support.corpora_zips import FILENAME, REJECTED, wheel_parts, write_zip
from tests.support.facts import facts_of, findings_of, wheel_with
from tests.support.sigstore import GITHUB, GITLAB

HOLD, NOTE, BLOCK = FindingAction.HOLD, FindingAction.NOTE, FindingAction.BLOCK
ELF = "\x7fELF\x02\x01\x01" + "\0" * 57


def wheel_facts(version: str = "1.1", modules: Mapping[str, str] | None = None, **fields: Any) -> FileFacts:
    """A wheel with these modules beside an ordinary one."""
    return facts_of(*wheel("thing", version, modules={"thing.py": "", **(modules or {})}, **fields))


def sdist_facts(version: str = "1.1", **files: str) -> FileFacts:
    """An sdist with these files below its root; `__` in names is a dot."""
    root = f"thing-{version}"
    bodies = {
        "PKG-INFO": core_metadata("thing", version).decode(),
        **{k.replace("__", "."): v for k, v in files.items()},
    }
    members = [member(f"{root}/{name}".encode(), body.encode()) for name, body in bodies.items()]
    return facts_of(f"{root}.tar.gz", gzip.compress(b"".join([*members, END]), mtime=0))


def entry_points(version: str, *lines: str) -> Mapping[str, str]:
    """The file of a wheel."""
    return {f"thing-{version}.dist-info/entry_points.txt": "\n".join(["[console_scripts]", *lines, ""])}


OLD = wheel_facts("1.0")


async def changes(now: FileFacts, before: FileFacts | None) -> list[str]:
    """The codes of what has changed."""
    return sorted(await findings_of(Changes(), now, before))


def test_codes_propose_what_is_meant() -> None:
    """What is held and what is noted is decided here once; a change of it is a change of this table."""
    held = {(check.name, code) for check in BUILT_IN for code, told in check.codes.items() if told.action is HOLD}
    blocked = {(check.name, code) for check in BUILT_IN for code, told in check.codes.items() if told.action is BLOCK}
    assert blocked == {("metadata", "differs")}
    assert held == {
        ("archive", "breaks-a-rule"),
        *(("metadata", code) for code in ("ambiguous", "other-release")),
        *(("provenance", code) for code in ("refuted", "attestation-lost", "publisher-changed")),
        *(("changes", code) for code in ("native-code", "pth", "build-hooks", "build-backend", "not-compared")),
        ("name", "near-another"),
    }


@pytest.mark.parametrize("make", [wheel, sdist])
async def test_ordinary_release_after_another_finds_nothing(make: Any) -> None:
    """A release that is like the one before raises nothing at all, so that what is raised is read."""
    now, before = facts_of(*make("thing", "1.1")), facts_of(*make("thing", "1.0"))
    now = replace(now, family=Family(3, (before.size,) * 3, (4, 4, 4)))
    for check in BUILT_IN:
        assert await findings_of(check, now, before) == {}, check.name


@pytest.mark.parametrize("case", sorted(REJECTED))
async def test_broken_archive_is_held_with_its_rule(case: str) -> None:
    """Whatever rule a mirrored wheel breaks, it is a finding that names the rule, and nobody compares its content."""
    make, rule = REJECTED[case]
    facts = facts_of(FILENAME, make())
    found = await findings_of(Archive(), facts)
    assert found["breaks-a-rule"].evidence == {"rule": str(rule)}
    for check in (Metadata(), Changes(), Size()):
        with pytest.raises(Skipped):
            await findings_of(check, facts, OLD)


async def test_report_that_is_cut_is_no_clean_one() -> None:
    """A report that does not list everything is a skip, and so a fault."""
    assert OLD.content
    cut = replace(OLD, content=replace(OLD.content, truncated=("members",)))
    with pytest.raises(Skipped, match="members"):
        await findings_of(Archive(), cut)
    with pytest.raises(Skipped):
        await findings_of(Archive(), replace(OLD, content=None))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"core_metadata": "0" * 64}, "differs"),
        ({"version": "1.2"}, "other-release"),
        ({"project": "thong"}, "other-release"),
        ({"requires_python": ">=3.99"}, "other-python"),
    ],
)
async def test_page_that_says_something_else_is_found(change: dict[str, Any], code: str) -> None:
    """Name, version, Requires-Python and the digest of METADATA are compared with the page."""
    facts = wheel_facts(requires_python=">=3.9, <4")
    assert await findings_of(Metadata(), replace(facts, requires_python="<4,>=3.9", version="1.1.0")) == {}
    assert list(await findings_of(Metadata(), replace(facts, **change))) == [code]


@pytest.mark.parametrize(
    ("line", "code", "action"),
    [
        ("Metadata-Version: 2.0", "unusual", NOTE),
        ("Description-Content-Type: text/html", "unusual", NOTE),
        ("Version: 1.1", "ambiguous", HOLD),
        ("Requires-Python: >=3\nRequires-Python: >=4", "ambiguous", HOLD),
    ],
)
async def test_old_metadata_is_noted_and_ambiguous_one_is_held(line: str, code: str, action: FindingAction) -> None:
    """What old build tools wrote is noted where an upload would be refused; what can be read in two ways is held."""
    body = f"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n{line}\n\n".encode()
    if line.startswith("Metadata-Version"):
        body = body.replace(b"Metadata-Version: 2.1\n", b"", 1)
    facts = facts_of(FILENAME, write_zip(wheel_parts(METADATA=body)))
    found = await findings_of(Metadata(), replace(facts, requires_python=None))
    assert code in found
    assert Metadata.codes[code].action is action
    assert (code == "ambiguous") is ("ambiguous" in found)


async def test_unknown_says_nothing_and_is_not_noted() -> None:
    """What old build tools wrote where there was nothing is read as nothing, of uploads and of mirrored files."""
    body = b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\nDescription-Content-Type: UNKNOWN\nSummary: UNKNOWN\n\n"
    facts = facts_of(FILENAME, write_zip(wheel_parts(METADATA=body)))
    assert await findings_of(Metadata(), replace(facts, requires_python=None)) == {}


async def test_first_machine_code_is_held_and_more_of_it_is_noted() -> None:
    """A project that never had machine code and has some now is held; by suffix and by the first bytes."""
    by_name, by_magic = wheel_facts(modules={"thing/_speed.so": ""}), wheel_facts(modules={"thing/data.bin": ELF})
    assert await changes(by_name, OLD) == ["native-code"]
    assert await changes(by_magic, OLD) == ["native-code"]
    more = wheel_facts("1.2", {"thing/_speed.so": "", "thing/_more.so": ""})
    assert await changes(more, by_name) == ["native-files"]
    assert await changes(by_name, more) == []
    renamed = {"thing/_speed.cpython-313-x86_64-linux-gnu.so": "", "thing.libs/libz-0123abcd.so.1": ""}
    again = {"thing/_speed.cpython-312-x86_64-linux-gnu.so": "", "thing.libs/libz-ffffabcd.so.1": ""}
    assert await changes(wheel_facts("1.2", renamed), wheel_facts("1.1", again)) == []


@pytest.mark.parametrize("magic", ["feedfacf", "cffaedfe", "cafebabe00000002", "4d5a9000"])
async def test_machine_code_is_known_by_its_first_bytes(magic: str) -> None:
    """Mach-O and PE are machine code under any name; a Java class and a text are none."""
    body = bytes.fromhex(magic).ljust(64, b"\0")
    for content, native in (
        (body, True),
        (bytes.fromhex("cafebabe00000034") + bytes(56), False),
        (b"MZ is text", False),
    ):
        facts = facts_of(FILENAME, wheel_with(b"thing/x.bin", content))
        assert facts.content
        assert bool(facts.content.native) is native


async def test_start_up_files_are_held_when_new_or_other() -> None:
    """A `.pth` that is new, or has other lines than before, is held; the same one again is not."""
    hook = wheel_facts(modules={"thing.pth": "import thing"})
    assert await changes(hook, OLD) == ["pth"]
    assert await changes(wheel_facts("1.2", {"thing.pth": "import thing"}), hook) == []
    assert await changes(wheel_facts("1.2", {"thing.pth": "import thing, os"}), hook) == ["pth"]
    in_data = wheel_facts(modules={"thing-1.1.data/purelib/thing.pth": "import thing"})
    assert await changes(in_data, OLD) == ["pth"]
    assert await changes(wheel_facts("1.2", {"thing-1.2.data/purelib/thing.pth": "import thing"}), in_data) == []


async def test_build_hooks_of_sdists_are_held() -> None:
    """A setup.py, a cmdclass or a backend of its own that the sdist before had not is held; so is another backend."""
    plain = sdist_facts(
        "1.0", pyproject__toml='[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"'
    )
    same = sdist_facts(
        "1.1", pyproject__toml='[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"'
    )
    other = sdist_facts("1.1", pyproject__toml='[build-system]\nrequires = ["acme"]\nbuild-backend = "acme.build"')
    own = sdist_facts(
        "1.1",
        pyproject__toml='[build-system]\nrequires = []\nbuild-backend = "flit_core.buildapi"\nbackend-path = ["."]',
        backend__py=BACKEND,
    )
    with_setup = sdist_facts("1.1", setup__py="from setuptools import setup\nsetup()")
    with_class = sdist_facts("1.2", setup__py="from setuptools import setup\nsetup(cmdclass={'install': Evil})")
    assert await changes(same, plain) == []
    assert await changes(other, plain) == ["build-backend"]
    assert await changes(own, plain) == ["build-hooks"]
    assert await changes(with_setup, plain) == ["build-backend", "build-hooks"]
    assert await changes(with_class, with_setup) == ["build-hooks"]
    assert await changes(with_class, sdist_facts("1.1", setup__py="setup(cmdclass={'install': Evil})")) == []


async def test_commands_and_dependencies_are_noted() -> None:
    """A new command, one that leads elsewhere, and a new dependency are noted; another version of one is not."""
    first = wheel_facts("1.0", entry_points("1.0", "thing = thing:main"), requires=["six>=1"])
    assert (
        await changes(wheel_facts("1.1", entry_points("1.1", "thing = thing:main"), requires=["six>=2"]), first) == []
    )
    assert await changes(wheel_facts("1.1", entry_points("1.1", "thing = thing:evil"), requires=["Six"]), first) == [
        "scripts"
    ]
    more = wheel_facts(
        "1.1", entry_points("1.1", "thing = thing:main"), requires=["six", "acme-telemetry; extra == 'x'"]
    )
    found = await findings_of(Changes(), more, first)
    assert found["dependencies"].evidence == {"names": ["acme-telemetry"], "count": 1}


async def test_first_release_is_only_noted() -> None:
    """Where nothing was released before, what it can do is noted; a plain one says nothing."""
    assert await changes(OLD, None) == []
    assert await changes(wheel_facts(modules={"thing.pth": "import thing"}), None) == ["first-release"]


async def test_what_cannot_be_compared_is_held() -> None:
    """A predecessor that breaks a rule or is gone is held for; one of another kind is noted, its needs compared."""
    assert OLD.content
    broken = replace(OLD, content=replace(OLD.content, refused="RECORD: x"))
    assert await changes(wheel_facts(), broken) == ["not-compared"]
    assert await changes(wheel_facts(), replace(OLD, content=None)) == ["not-compared"]
    before = facts_of(*sdist("thing", "1.0"))
    assert await changes(wheel_facts(modules={"x.so": ""}, requires=["acme"]), before) == ["dependencies", "other-kind"]


def attested(facts: FileFacts, *publishers: dict[str, str], verdict: str | None = "verified") -> FileFacts:
    """The file with a verified provenance object."""
    return replace(facts, attestation=verdict, publishers=publishers)


@pytest.mark.parametrize(
    ("now", "before", "codes"),
    [
        (attested(OLD, GITHUB), attested(OLD, GITHUB), []),
        (attested(OLD, GITHUB | {"environment": "x"}), attested(OLD, GITHUB), []),
        (attested(OLD, GITHUB), OLD, []),
        (attested(OLD, GITHUB), None, []),
        (OLD, None, []),
        (OLD, OLD, []),
        (OLD, attested(OLD, GITHUB), ["attestation-lost"]),
        (attested(OLD, GITLAB), attested(OLD, GITHUB), ["publisher-changed"]),
        (attested(OLD, GITHUB | {"workflow": "other.yml"}), attested(OLD, GITHUB), ["publisher-changed"]),
        (attested(OLD, GITHUB | {"repository": "evil/spam"}), attested(OLD, GITHUB), ["publisher-changed"]),
        (attested(OLD, GITHUB, GITLAB), attested(OLD, GITHUB), ["publisher-changed"]),
        (attested(OLD, GITHUB, verdict="refuted"), None, ["refuted"]),
        (attested(OLD, GITHUB, verdict="refuted"), attested(OLD, GITHUB), ["attestation-lost", "refuted"]),
        (attested(OLD, GITHUB, verdict="unverifiable"), OLD, ["unverifiable"]),
        (attested(OLD, GITHUB, verdict="unverifiable"), attested(OLD, GITHUB), ["attestation-lost", "unverifiable"]),
        (OLD, attested(OLD, GITHUB, verdict="unverifiable"), []),
    ],
)
async def test_publishers_are_compared(now: FileFacts, before: FileFacts | None, codes: list[str]) -> None:
    """Case Q8: an attestation that is lost or refuted, and another publisher than before, are found and held."""
    found = await findings_of(Provenance(), now, before)
    assert sorted(found) == codes
    assert all(Provenance.codes[code].action is HOLD or code == "unverifiable" for code in codes)


async def test_promised_object_that_is_not_here_is_waited_for() -> None:
    """An object that the page lists and nobody could fetch is no missing object: the check waits."""
    for now, before in ((replace(OLD, promised=True), None), (OLD, replace(OLD, promised=True))):
        with pytest.raises(Skipped, match="lists"):
            await findings_of(Provenance(), now, before)


@pytest.mark.parametrize(
    ("sizes", "counts", "codes"),
    [
        ((1000, 1000, 1000), (4, 4, 4), []),
        ((100, 100, 9000), (4, 4, 4), ["size"]),
        ((90_000,) * 3, (), ["size"]),
        ((1000,) * 3, (100, 100, 100), ["files"]),
        ((1, 1), (1, 1), []),
    ],
)
async def test_unusual_size_is_noted(sizes: tuple[int, ...], counts: tuple[int, ...], codes: list[str]) -> None:
    """Far more or less than the median is noted; two files are no family."""
    found = await findings_of(Size(), replace(OLD, size=1000, family=Family(3, sizes, counts)))
    assert sorted(found) == codes


async def test_near_name_is_held_with_the_names() -> None:
    """A new project whose name is near others is held, and the finding shows them."""
    found = await findings_of(Name(), replace(OLD, family=Family(near=("requests",))))
    assert found["near-another"].evidence == {"near": ["requests"]}
    assert found["near-another"].severity is Severity.WARNING
    assert await findings_of(Name(), OLD) == {}
