"""The rules for entry_points.txt: a UTF-8 INI file, and scripts with names that are not paths."""

import re
from configparser import ConfigParser, Error

from koschey.inspection.archives.faults import STRICT, Faults, Tolerated
from koschey.inspection.archives.rules import ArchiveRule, refusal, shown

SCRIPTS = ("console_scripts", "gui_scripts")
SCRIPT_NAME = re.compile(r"[\w.-]+")
"""Names of scripts that the specification recommends."""
SCRIPT_FILE = re.compile(r"[^/\\:*?\"<>|]+")
"""Names that are those of a file, and not of a path, on every system."""
MAX_LINE = 4_096
"""Maximum number of characters of a line. The standard library's parser needs quadratic time for a long one."""
SCRIPT_TARGET = re.compile(r"[\w.]+\s*:\s*[\w.]+\s*(\[.*\])?")
"""The entry points specification: `importable.module:object.attr`, and deprecated extras."""


def check_entry_points(body: bytes, place: str, faults: Faults = STRICT) -> None:
    """Refuse a file that installers read differently, or that makes them write a script elsewhere.

    Names of scripts that the specification only advises against, such as `g++`, are added to `faults`.
    """
    if max(map(len, body.splitlines()), default=0) > MAX_LINE:
        raise refusal(ArchiveRule.ENTRY_POINTS, place, f"has a line of more than {MAX_LINE:,} characters")
    parser = ConfigParser(delimiters=("=",), interpolation=None, default_section="", empty_lines_in_values=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    try:
        parser.read_string(body.decode())
    except (UnicodeDecodeError, Error) as error:
        raise refusal(ArchiveRule.ENTRY_POINTS, place, f"is not an INI file in UTF-8 ({shown(str(error))})") from None
    for group in parser.sections():
        for name, target in parser.items(group):
            if "\n" in target:
                fault = f"has a value of several lines for {shown(name)}, which some tools read as several entries"
                raise refusal(ArchiveRule.ENTRY_POINTS, place, fault)
            if group in SCRIPTS:
                _check_script(name, target, place, faults)


def _check_script(name: str, target: str, place: str, faults: Faults) -> None:
    if not SCRIPT_NAME.fullmatch(name) or not name.strip("."):
        fault = f"has a script {shown(name)}; names of scripts consist of letters, digits, '_', '-' and '.'"
        refused = refusal(ArchiveRule.ENTRY_POINTS, place, fault, "Rename the script, and build again.")
        if not SCRIPT_FILE.fullmatch(name) or not name.strip(". ") or not name.isprintable():
            raise refused
        faults.note(Tolerated.SCRIPT_NAME, refused)
    if not SCRIPT_TARGET.fullmatch(target):
        fault = f"has a script {shown(name)} that leads to {shown(target)}, not to 'module:function'"
        raise refusal(ArchiveRule.ENTRY_POINTS, place, fault, "Correct the script, and build again.")
