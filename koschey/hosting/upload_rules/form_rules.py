"""Rules about the form alone: the filename with its version and its tags."""

import re
from collections.abc import Iterator

from packaging.utils import parse_wheel_filename

from koschey.hosting.upload_rules.rule import UploadRule
from koschey.standards.sdist_filename import OLD_SUFFIXES, SUFFIX, sdist_suffix
from koschey.standards.upload_form import Filetype, UploadForm

WINDOWS = r"win32|win_(amd64|arm64|ia64)"
MANYLINUX = (
    r"manylinux(1|2010)_(x86_64|i686)"
    r"|manylinux2014_(x86_64|i686|aarch64|armv7l|ppc64|ppc64le|s390x)"
    r"|manylinux_\d+_\d+_(x86_64|i686|aarch64|armv7l|ppc64|ppc64le|s390x|riscv64)"
)
MUSLLINUX = r"musllinux_\d+_\d+_(x86_64|i686|aarch64|armv7l|ppc64le|s390x|riscv64)"
LINUX = r"linux_armv[67]l"
"""No manylinux policy existed for these tags, so the public index accepts them."""
MACOS = (
    r"macosx_(10_\d+|(1[1-5]|2[6-9])_0)"
    r"_(ppc|ppc64|i386|x86_64|arm64|intel|fat|fat3|fat32|fat64|universal|universal2)"
)
MOBILE = (
    r"ios_\d+_\d+_(arm64_iphoneos|(arm64|x86_64)_iphonesimulator)"
    r"|android_\d+_(armeabi_v7a|arm64_v8a|x86|x86_64)"
)
PORTABLE = re.compile(rf"any|{WINDOWS}|{MANYLINUX}|{MUSLLINUX}|{LINUX}|{MACOS}|{MOBILE}|pyemscripten_\w+_wasm32")
"""Platform tags by which an installer on any machine can decide (PEP 600, 656, 730, 738, 783)."""


def _stem(form: UploadForm) -> str:
    return str(form.project).replace("-", "_") + "-"


def _sdist_format(form: UploadForm) -> Iterator[str]:
    if form.filetype is Filetype.SDIST and not form.filename.endswith(SUFFIX):
        yield f"The sdist {form.filename!r} is not a '{SUFFIX}', and every sdist must be one (PEP 625)."


def _sdist_filename(form: UploadForm) -> Iterator[str]:
    expected = f"{_stem(form)}{form.version}{sdist_suffix(form.filename) or SUFFIX}"
    if form.filetype is Filetype.SDIST and form.filename != expected:
        yield f"The filename of this sdist should be {expected!r}, not {form.filename!r} (PEP 625)."


def _wheel_filename(form: UploadForm) -> Iterator[str]:
    if form.filetype is Filetype.WHEEL and not form.filename.startswith(_stem(form)):
        yield f"The filename of this wheel should start with {_stem(form)!r}: {form.filename!r}."


def _local_version(form: UploadForm) -> Iterator[str]:
    if form.version.local is not None:
        yield f"The use of local versions such as '{form.version}' is not allowed (PEP 440)."


def _platforms(form: UploadForm) -> list[str]:
    if form.filetype is Filetype.SDIST:
        return []
    tags = {tag.platform for tag in parse_wheel_filename(form.filename)[3]}
    return sorted(tag for tag in tags if not PORTABLE.fullmatch(tag))


def _linux_tag(form: UploadForm) -> Iterator[str]:
    for tag in _platforms(form):
        if tag.startswith("linux_"):
            yield f"Binary wheel {form.filename!r} has the platform tag {tag!r}, which no manylinux policy covers."


def _platform_tag(form: UploadForm) -> Iterator[str]:
    for tag in _platforms(form):
        if not tag.startswith("linux_"):
            yield f"Binary wheel {form.filename!r} has an unsupported platform tag {tag!r}."


RULES: tuple[UploadRule[UploadForm], ...] = (
    UploadRule(
        "sdist-format",
        f"An sdist is a {SUFFIX} (PEP 625).",
        _sdist_format,
        default=True,
        why=f"not all installers read others; switch off to import sdists from before 2017: {', '.join(OLD_SUFFIXES)}",
    ),
    UploadRule(
        "sdist-filename",
        "The filename of an sdist is exactly name-version, both normalised (PEP 625).",
        _sdist_filename,
        default=True,
        why="with other spellings one release has two sdists; switch off for build tools from before 2024",
    ),
    UploadRule(
        "wheel-filename",
        "The filename of a wheel starts with the normalised name.",
        _wheel_filename,
        default=True,
        why="clients expect this spelling; switch off for build tools from before 2024",
    ),
    UploadRule(
        "local-version",
        "No local versions, such as 1.0+cu121.",
        _local_version,
        default=False,
        why="their purpose is exactly this: a company's own builds",
    ),
    UploadRule(
        "linux-tag",
        "No wheels for plain linux_x86_64 and similar tags.",
        _linux_tag,
        default=False,
        why="a company knows on which machines its wheels run",
    ),
    UploadRule(
        "platform-tag",
        "Only platform tags that the public index accepts.",
        _platform_tag,
        default=True,
        why="any other tag is nearly always misspelt, and no installer accepts its wheel",
    ),
)
"""In the order in which they are tried; add one here."""
