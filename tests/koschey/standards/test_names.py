"""Names of projects, versions and files, and the public path of a file."""

import re
import string
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName, canonicalize_name

from koschey.errors import UsageError
from koschey.model import Sha256
from koschey.standards import names
from koschey.standards.names import (
    MAX_FILENAME,
    MAX_NAME,
    PUBLIC_INDEX_PATH,
    digest_path,
    is_safe_filename,
    parse_name,
    parse_scope,
    parse_specifier,
    parse_version,
    public_path,
    quote_path,
    version_of,
)
from koschey.standards.versions import normalise_version, parse_version_or_none

DIGEST = Sha256("ab" * 32)
BLAKE = f"/packages/12/34/{'5' * 60}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("spam", "spam"),
        ("Spam_Eggs", "spam-eggs"),
        ("spam.-_.eggs", "spam-eggs"),
        ("S", "s"),
        ("7", "7"),
        ("a" * MAX_NAME, "a" * MAX_NAME),
    ],
)
def test_names_are_normalised(text: str, name: str) -> None:
    """PEP 503: runs of `-`, `_` and `.` are one `-`, and letters are small."""
    assert parse_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "-a", "a-", ".a", "a.", "_", "a b", "a/b", "a\\b", "../a", "a\n", "a\0", "a%2eb", "a+b", "a@b"),
        *("é", "ſ", "\u212a", "а", "a\u200bb", "１", "a" * (MAX_NAME + 1)),  # noqa: RUF001 - look-alikes
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    """Names are ASCII letters, digits, `.`, `_` and `-`, with a letter or digit at both ends; `\\Z`, not `$`."""
    with pytest.raises(UsageError, match="is not a project name"):
        parse_name(text)


def test_a_refusal_is_short() -> None:
    """However long the text, the message is one that can be read."""
    with pytest.raises(UsageError) as refused:
        parse_name("!" * 100_000)
    assert len(str(refused.value)) < 300


@given(st.text(string.ascii_letters + string.digits + ".-_", max_size=30))
def test_a_name_is_taken_or_refused(text: str) -> None:
    """What is taken is normalised as PEP 503 says, stays so, and is a name for the database too."""
    try:
        name = parse_name(text)
    except UsageError:
        assert not text.strip(".-_") or text[0] in ".-_" or text[-1] in ".-_"
    else:
        assert name == canonicalize_name(text) == parse_name(name)
        assert set(name) <= set(string.ascii_lowercase + string.digits + "-")


@pytest.mark.parametrize(
    ("text", "version"), [("1.0", "1.0"), ("v1.0", "1.0"), ("1.0-RC1", "1.0rc1"), ("1.0+LOCAL_1", "1.0+local.1")]
)
def test_versions_are_normalised(text: str, version: str) -> None:
    """PEP 440 has one spelling for each version."""
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("Spam==1.0", ("spam", "1.0")),
        (" Spam == v1.0 ", ("spam", "1.0")),
        ("Spam", ("spam", None)),
    ],
)
def test_scopes(text: str, scope: tuple[str, str | None]) -> None:
    """A scope is a project, or one release of it."""
    assert parse_scope(text) == scope


@pytest.mark.parametrize("text", ["spam", "spam==", "spam= =1", "==1.0", "spam===1.0", "spam=1.0", "spam>=1.0", ""])
def test_what_names_no_release_is_refused(text: str) -> None:
    """A decision about one release names exactly one."""
    with pytest.raises(UsageError):
        parse_specifier(text)


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("spam-1.0-py3-none-any.whl", "spam", "1.0"),
        ("Spam.Eggs-1.0.tar.gz", "spam-eggs", "1.0"),
        ("spam_eggs-1.0.zip", "spam-eggs", "1.0"),
        ("spam-1.0.0-RC1.tar.gz", "spam", "1.0.0rc1"),
        ("spam-1.0-py2.7.egg", "spam", "1.0"),
        ("spam-2004d.tar.gz", "spam", "2004d"),  # no PEP 440, and yet real
        ("spam-1.0-py3-none-any.whl", "eggs", None),
        ("spam-eggs-1.0.tar.gz", "spam-eggs", "1.0"),
        ("spam.whl", "spam", None),
        ("readme.txt", "spam", None),
        ("", "spam", None),
    ],
)
def test_version_of(filename: str, project: str, version: str | None) -> None:
    """A filename states a version of its own project, or it states none."""
    assert version_of(filename, NormalizedName(project)) == version


@pytest.mark.parametrize("filename", ["spam-1.0.tar.gz", "spam-1!2.0+local.1-py3-none-any.whl", "a" * MAX_FILENAME])
def test_safe_filenames(filename: str) -> None:
    """Every filename that the standards allow can be kept."""
    assert is_safe_filename(filename)


@pytest.mark.parametrize(
    "filename",
    [
        *("", ".", "..", ".pypirc", "a/b", "a\\b", "../../etc/passwd", "a\nb", "a\r\nX: y", "a\0b", "a\x7fb", "a b"),
        *('a"b', "a'b", "a<b", "a>b", "a`b", "a?b", "a#b", "a%2fb", "é", "a\u202eb", "a" * (MAX_FILENAME + 1)),
    ],
)
def test_unsafe_filenames(filename: str) -> None:
    """What could leave its header, its URL, its page or its folder is refused."""
    assert not is_safe_filename(filename)


@pytest.mark.parametrize(
    ("url", "filename", "path"),
    [
        (f"https://files.example.org{BLAKE}/spam-1.0.tar.gz", "spam-1.0.tar.gz", f"{BLAKE}/spam-1.0.tar.gz"),
        (f"https://x.example.org{BLAKE}/spam-1%2B1.zip?token=1", "spam-1+1.zip", f"{BLAKE}/spam-1+1.zip"),
        # Without that form the path is made of our own digest.
        ("https://files.example.org/spam-1.0.zip", "spam-1.0.zip", digest_path(DIGEST, "spam-1.0.zip")),
        (f"https://x.example.org{BLAKE}/eggs.zip", "spam-1.0.zip", digest_path(DIGEST, "spam-1.0.zip")),
        (f"https://x.example.org{BLAKE.upper()}/a.zip", "a.zip", digest_path(DIGEST, "a.zip")),
        (f"https://x.example.org/p{BLAKE}/a.zip", "a.zip", digest_path(DIGEST, "a.zip")),
        (f"https://x.example.org{BLAKE}/x/../a.zip", "a.zip", digest_path(DIGEST, "a.zip")),
    ],
)
def test_public_path(url: str, filename: str, path: str) -> None:
    """Lock files stay portable: a path of the public index's form is kept, any other is built in that form."""
    assert public_path(url, filename, DIGEST) == path
    assert PUBLIC_INDEX_PATH.fullmatch(path)


def test_no_public_path_without_a_digest() -> None:
    """Where nothing is known of the bytes there is no path yet."""
    assert public_path("https://files.example.org/spam-1.0.zip", "spam-1.0.zip", None) is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).filter(is_safe_filename))
def test_paths_survive_quoting(filename: str) -> None:
    """The last segment of a quoted path is, once unquoted, exactly the filename, and nothing else in it is special."""
    quoted = quote_path(digest_path(DIGEST, filename))
    assert unquote(quoted.rpartition("/")[2]) == filename
    assert not set(quoted) & set("+!?#\"'<>& ")


STEMS = st.text(alphabet="aB1.-_", min_size=1, max_size=8)
NUMBERS = st.text(alphabet="019.-abrcpost", min_size=1, max_size=8)
SDIST_TAILS = (".tar.gz", ".zip", ".tgz", ".linux-x86_64.tar.gz", ".win32.zip", ".TAR.GZ", "-py3.13.egg", "")
WHEEL_TAILS = ("-py3-none-any.whl", "-1-py3-none-any.whl", "-1-none-any.whl", ".py3-none-any.whl", "-py3-none-any.WHL")
TAILS = st.sampled_from(SDIST_TAILS + WHEEL_TAILS)


@given(stem=STEMS, version=NUMBERS, tail=TAILS, other=STEMS)
def test_usual_filenames_are_read_as_all_are(stem: str, version: str, tail: str, other: str) -> None:
    """The short way finds the same version as the long one, for the project itself and for any other."""
    filename = f"{stem}-{version}{tail}"
    for project in map(canonicalize_name, (stem, other, f"{stem}-{version}", filename)):
        short = version_of(filename, project)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(names, "USUAL_FILENAME", re.compile("(?!)"))
            assert version_of(filename, project) == short, (filename, project)


@given(st.text(max_size=20) | st.text(alphabet=string.printable, max_size=300))
def test_safe_filenames_are_printable_ascii_without_delimiters(filename: str) -> None:
    """The expression says the same as the words."""
    printable = filename.isascii() and filename.isprintable() and not set(filename) & set("/\\\"'<>`?#% ")
    assert is_safe_filename(filename) == (0 < len(filename) <= MAX_FILENAME and printable and filename[0] != ".")


@given(st.text(alphabet="019.ab", min_size=1, max_size=8))
def test_plain_versions_are_normal(text: str) -> None:
    """A version that is not parsed is as the parser would write it."""
    version = parse_version_or_none(text)
    assert normalise_version(text) == (text if version is None else str(version))


@given(st.text(alphabet="aZ0_.~/-+!% é?#", max_size=20))
def test_plain_paths_need_no_quoting(path: str) -> None:
    """A path is quoted as the library does it, whether it needs that or not."""
    assert quote_path(path) == quote(path, safe="/")
