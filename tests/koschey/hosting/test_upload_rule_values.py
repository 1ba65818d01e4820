"""What upload rules make of one value: an address, a platform tag, a description."""

import pytest

from koschey.hosting.upload_rules import description
from koschey.hosting.upload_rules.addresses import Address, kind_of
from koschey.hosting.upload_rules.description import find_fault
from koschey.hosting.upload_rules.form_rules import PORTABLE
from koschey.standards.core_metadata import CoreMetadata, read_core_metadata
from tests.support.upload_rules import metadata


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://x.test/a?b#c", Address.WEB),
        ("HTTP://x.test", Address.WEB),
        ("ssh://git@git.corp:2222/x", Address.REPOSITORY),
        ("git@git.corp:team/x.git", Address.REPOSITORY),
        ("git+https://git.corp/x@main", Address.REPOSITORY),
        ("svn+ssh://svn.corp/x", Address.REPOSITORY),
        ("git://git.corp/x", Address.REPOSITORY),
        ("ftp://x.test/", Address.OTHER),
        ("www.example.org", Address.OTHER),
        ("example.org:8080/path", Address.OTHER),
        ("https://", Address.NONE),
        ("https://x.test/a b", Address.NONE),
        ("https://[x", Address.NONE),
        ("javascript:alert(1)", Address.NONE),
        ("javascript://x.test/%0aalert(1)", Address.NONE),
        ("javascript:x@y:alert(1)", Address.NONE),
        ("data:text/html,x", Address.NONE),
        ("file:///etc/passwd", Address.NONE),
        ("vbscript://x.test/", Address.NONE),
        ("git+file:///x", Address.NONE),
        ("none", Address.OTHER),
        ("see the wiki", Address.OTHER),
        ("//wiki/x", Address.OTHER),
        ("mailto:a@b.test", Address.OTHER),
        ("see javascript:alert(1)", Address.NONE),
        ("C:\\x", Address.NONE),
        ("", Address.NONE),
        ("git@git.corp:x\u202e", Address.NONE),
    ],
)
def test_kind_of_an_address(text: str, kind: Address) -> None:
    """Addresses of repositories and of older days are told apart from what runs something where it is followed."""
    assert kind_of(text) is kind


@pytest.mark.parametrize(
    "tag",
    [
        *("any", "win32", "win_amd64", "win_arm64", "win_ia64", "linux_armv6l", "linux_armv7l"),
        *("manylinux1_x86_64", "manylinux2010_i686", "manylinux2014_ppc64le", "manylinux_2_28_riscv64"),
        *("musllinux_1_2_aarch64", "macosx_10_9_universal2", "macosx_11_0_arm64", "macosx_26_0_arm64"),
        *("ios_13_0_arm64_iphoneos", "ios_13_0_x86_64_iphonesimulator", "android_21_arm64_v8a"),
        *("pyemscripten_2025_0_wasm32",),
    ],
)
def test_tags_of_the_public_index_are_portable(tag: str) -> None:
    """What the public index takes needs no switch here."""
    assert PORTABLE.fullmatch(tag)


@pytest.mark.parametrize(
    "tag",
    [
        *("linux_x86_64", "linux_aarch64", "manylinux1_aarch64", "manylinux2010_ppc64le", "manylinux_2_28"),
        *("musllinux_1_2_ppc64", "macosx_12_1_arm64", "macosx_16_0_arm64", "win_x86", "anything", "ANY", ""),
        *("ios_13_0_x86_64_iphoneos", "android_21_mips", "emscripten_3_1_wasm32"),
    ],
)
def test_other_tags_are_not(tag: str) -> None:
    """What the public index refuses is seen here too."""
    assert not PORTABLE.fullmatch(tag)


def described(text: str, kind: str | None = None) -> CoreMetadata:
    """Metadata with a description."""
    headers = [f"Description-Content-Type: {kind}"] if kind else []
    core = read_core_metadata(metadata("a", "1", headers, text))
    assert core is not None
    return core


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", None),
        ("Title\n=====\n\n* one\n", None),
        ("Title\n=====\n", "text/x-rst"),
        ("# Title\n<b>", "text/markdown"),
        ("# Title", "text/markdown; charset=UTF-8; variant=CommonMark"),
        ("Title\n===", "text/plain"),
    ],
)
async def test_description_that_can_be_shown(text: str, kind: str | None) -> None:
    """Each type has its renderer; without one it is reStructuredText."""
    assert await find_fault(described(text, kind)) is None


async def test_description_that_opens_files_is_refused() -> None:
    """The renderer reads nothing beside the description."""
    fault = await find_fault(described(".. include:: /etc/passwd\n", "text/x-rst"))
    assert fault is not None
    assert fault.startswith("The description failed to render for 'text/x-rst': line 1: ")
    assert "root" not in fault


async def test_description_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renderer that takes too long is ended, and the message says so."""
    monkeypatch.setattr(description, "WALL", 0.01)
    fault = await find_fault(described("Title\n=====\n", "text/x-rst"))
    assert fault == "The description failed to render for 'text/x-rst': it takes more than 0.01 seconds"
