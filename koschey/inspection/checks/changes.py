"""What a file can do that the release before could not: machine code, start-up files, hooks, commands, needs.

The check compares names and digests, and never runs anything. A reviewer decides about code that runs without being
imported, once: the next release is compared with this one. More of what a project has always had is only noted;
otherwise every release of every large project would be held for a person.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from koschey.inspection.checks.check import (
    Code,
    Content,
    FileFacts,
    Finding,
    FindingAction,
    Previous,
    Severity,
    content_of,
)
from koschey.standards.versions import parse_requirement_or_none

FIRST, NATIVE, NATIVE_FILES, PTH, HOOKS = "first-release", "native-code", "native-files", "pth", "build-hooks"
BACKEND, SCRIPTS, DEPENDENCIES = "build-backend", "scripts", "dependencies"
OTHER_KIND, NOT_COMPARED = "other-kind", "not-compared"
SHOWN = 20
"""Maximum number of names in the evidence of one finding."""
LIBRARY_HASH = re.compile(r"-[0-9a-f]{6,}$")
"""The digest in a library's name. Tools that copy libraries into wheels add it, so that each build has new names."""


class Changes:
    """Compares the content of a file with that of the release before."""

    name = "changes"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        NATIVE: Code("It has machine code, and the previous release had none.", FindingAction.HOLD, Severity.SERIOUS),
        PTH: Code(
            "It has a new or changed .pth file; Python runs lines of it whenever it starts.",
            FindingAction.HOLD,
            Severity.SERIOUS,
        ),
        HOOKS: Code("It has new code that runs when the sdist is built.", FindingAction.HOLD, Severity.SERIOUS),
        BACKEND: Code("It has another build backend.", FindingAction.HOLD, Severity.WARNING),
        NATIVE_FILES: Code("It has more files of machine code than before.", FindingAction.NOTE, Severity.INFO),
        SCRIPTS: Code("It has new commands, or commands with another target.", FindingAction.NOTE, Severity.WARNING),
        DEPENDENCIES: Code("It has new dependencies.", FindingAction.NOTE, Severity.WARNING),
        FIRST: Code(
            "It is the first release. The finding lists what it can do without an import.",
            FindingAction.NOTE,
            Severity.INFO,
        ),
        OTHER_KIND: Code(
            "The previous release has no file of this kind; only the dependencies are compared.",
            FindingAction.NOTE,
            Severity.INFO,
        ),
        # Rare, and what an attacker would cause to avoid the comparison.
        NOT_COMPARED: Code(
            "It cannot be compared with the previous release, whose archive breaks a rule or is no longer available.",
            FindingAction.HOLD,
            Severity.WARNING,
        ),
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Compare the contents of the two files."""
        del path
        content = content_of(facts)
        if previous is None:
            return list(_first(content))
        before = previous.content
        if before is None or before.refused is not None:
            summary = f"{previous.filename} breaks a rule or is gone; {facts.filename} was not compared"
            return [*_first(content), Finding(NOT_COMPARED, Severity.WARNING, summary)]
        if previous.is_wheel is not facts.is_wheel:
            summary = f"the previous release has no such file; only dependencies are compared with {previous.filename}"
            return [Finding(OTHER_KIND, Severity.INFO, summary), *_dependencies(content, before)]
        return [*_running(content, before), *_building(content, before), *_needing(content, before)]


def _first(content: Content) -> Iterator[Finding]:
    able = {
        "native": list(content.native[:SHOWN]),
        "pth": list(content.pth[:SHOWN]),
        "hooks": list(content.hooks),
        "scripts": sorted(content.scripts)[:SHOWN],
    }
    if has := [name for name, items in able.items() if items]:
        yield Finding(FIRST, Severity.INFO, f"the first release has {', '.join(has)}", able)


def _running(content: Content, before: Content) -> Iterator[Finding]:
    """Yield findings about what runs, or is loaded, besides the Python source that people read."""
    if content.native and not before.native:
        yield _finding(NATIVE, Severity.SERIOUS, "machine code, which it never had", list(content.native))
    elif new := sorted({_library(name) for name in content.native} - {_library(name) for name in before.native}):
        yield _finding(NATIVE_FILES, Severity.INFO, "more machine code", new)
    if new := [name for name in content.pth if content.digests.get(name) != before.digests.get(name, "none")]:
        yield _finding(PTH, Severity.SERIOUS, "start-up files", new)


def _building(content: Content, before: Content) -> Iterator[Finding]:
    if new := [hook for hook in content.hooks if hook not in before.hooks]:
        yield _finding(HOOKS, Severity.SERIOUS, "code that runs in the build", new)
    if content.build_backend != before.build_backend:
        evidence = {"before": before.build_backend, "now": content.build_backend}
        was, now = before.build_backend or "none named", content.build_backend or "none named"
        yield Finding(BACKEND, Severity.WARNING, f"the build backend is {now}; it was {was}", evidence)


def _needing(content: Content, before: Content) -> Iterator[Finding]:
    if new := sorted(name for name, target in content.scripts.items() if before.scripts.get(name) != target):
        yield _finding(SCRIPTS, Severity.WARNING, "commands", new)
    yield from _dependencies(content, before)


def _dependencies(content: Content, before: Content) -> Iterator[Finding]:
    if new := sorted(_needed(content) - _needed(before)):
        yield _finding(DEPENDENCIES, Severity.WARNING, "dependencies", new)


def _needed(content: Content) -> set[str]:
    texts = content.metadata.requires_dist if content.metadata else ()
    return {_project(text) for text in texts}


def _project(requirement: str) -> str:
    found = parse_requirement_or_none(requirement)
    return canonicalize_name(found.name) if found else requirement


def _library(name: str) -> str:
    """Return the part of a machine code file's name that is the same for all versions and platforms."""
    return LIBRARY_HASH.sub("", name.partition(".")[0] if "/" not in name else _in_folder(name))


def _in_folder(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/{LIBRARY_HASH.sub('', file.partition('.')[0])}"


def _finding(code: str, severity: Severity, what: str, names: Sequence[str]) -> Finding:
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Finding(code, severity, f"new: {what}: {listed}", {"names": list(names[:SHOWN]), "count": len(names)})
