"""The rules for names of members in ZIP and TAR files: each leads to one place, below the folder of extraction."""

import re

from koschey.inspection.archives.faults import STRICT, Faults, Tolerated
from koschey.inspection.archives.rules import ArchiveRule, member_in, refusal, shown

MAX_MEMBERS = 250_000
MAX_PATH, MAX_PART = 4_096, 255
"""Maximum number of characters of a name, and of a part between slashes. No file system in use allows more."""
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""General categories of Unicode: controls, formats, surrogates, line and paragraph separators."""
JOINING = re.compile("[\u200c\u200d\U000e0020-\U000e007f]")
"""Format characters that make one character of several: the joiners, and the tags of flags."""
DRIVE = re.compile(r"[A-Za-z]:")
RENAME = "Rename it, and build again."


def check_name(name: str, filename: str) -> None:
    """Refuse a name that leads elsewhere, or that systems read in different ways. A folder's name has no last slash."""
    place = member_in(name, filename)
    if not name:
        raise refusal(ArchiveRule.NAME, place, "is empty", RENAME)
    if not name.isprintable() and (hidden := find_hidden(name)):
        raise refusal(ArchiveRule.NAME, place, f"has the character {hidden}, which hides in the name", RENAME)
    if "\\" in name:
        raise refusal(ArchiveRule.NAME, place, "has a backslash, which only some systems read as a separator", RENAME)
    if name.startswith("/") or DRIVE.match(name):
        raise refusal(ArchiveRule.NAME, place, "is absolute", RENAME)
    parts = name.split("/")
    if len(name) > MAX_PATH or max(map(len, parts)) > MAX_PART:
        fault = f"has more than {MAX_PATH:,} characters, or a part of more than {MAX_PART}"
        raise refusal(ArchiveRule.NAME, place, fault, "Shorten it, and build again.")
    if ".." in parts:
        raise refusal(ArchiveRule.NAME, place, "leads out of its folder by '..'", RENAME)
    if "." in parts or "" in parts:
        raise refusal(ArchiveRule.NAME, place, "has an empty part or '.', so that one place has several names", RENAME)


def find_hidden(name: str) -> str | None:
    """Return a forbidden character of a name, by number and name, as U+202E (RIGHT-TO-LEFT OVERRIDE), or None.

    Control characters, line separators, and characters that are invisible or change the direction of a text are
    forbidden. Spaces of any kind, joiners (as in emoji of several parts, and in scripts that need them) and characters
    that are newer than this Python are allowed.
    """
    # Only few archives need its tables.
    import unicodedata  # noqa: PLC0415

    for character in name:
        if unicodedata.category(character) in HIDDEN and not JOINING.match(character):
            called = unicodedata.name(character, "a control character")
            return f"U+{ord(character):04X} ({called})"
    return None


class Names:
    """The names read so far in one archive. It refuses two names for one place."""

    def __init__(self, filename: str, *, twins: bool, faults: Faults = STRICT) -> None:
        """`twins` allows names that differ only in case or in Unicode form; otherwise they are added to `faults`."""
        self._filename = filename
        self._faults = faults
        self._twins = twins
        self._met: dict[str, bool] = {}
        self._folders: set[str] = set()
        self._folded: dict[str, str] = {}

    def __contains__(self, name: object) -> bool:
        """Return whether there is a file or link of that name."""
        return isinstance(name, str) and not self._met.get(name, True)

    def add(self, name: str, *, is_folder: bool) -> None:
        """Add a name, without a slash at its end. Raises `Refused` if it breaks a rule."""
        check_name(name, self._filename)
        place = member_in(name, self._filename)
        if name in self._met:
            raise refusal(ArchiveRule.DUPLICATE, place, "is in it twice, and tools differ in which one they use")
        if len(self._met) >= MAX_MEMBERS:
            raise refusal(
                ArchiveRule.TOO_MANY, self._filename, f"has more than {MAX_MEMBERS} members", "Split the project."
            )
        self._met[name] = is_folder
        if not self._twins:
            self._check_twin(name)
        self._check_parents(name, is_folder=is_folder)

    def _check_twin(self, name: str) -> None:
        other = self._folded.setdefault(_folded(name), name)
        if other != name:
            fault = f"and {shown(other)} differ only in case or in Unicode form"
            twins = refusal(ArchiveRule.TWINS, member_in(name, self._filename), fault, "Rename one, and build again.")
            self._faults.note(Tolerated.CASE_TWINS, twins)

    def _check_parents(self, name: str, *, is_folder: bool) -> None:
        if not is_folder and name in self._folders:
            fault = "is a file or link, and other members lie below it"
            raise refusal(ArchiveRule.FILE_AS_FOLDER, member_in(name, self._filename), fault)
        parent = name.rpartition("/")[0]
        while parent and parent not in self._folders:
            if not self._met.get(parent, True):
                fault = f"lies below {shown(parent)}, which is a file or link"
                raise refusal(ArchiveRule.FILE_AS_FOLDER, member_in(name, self._filename), fault)
            self._folders.add(parent)
            parent = parent.rpartition("/")[0]


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    # Only few archives need its tables.
    import unicodedata  # noqa: PLC0415

    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
