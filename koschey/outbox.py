"""The messages that leave for Temporal, as data: what they ask for and the key under which asking twice is once."""

from dataclasses import asdict, dataclass

from packaging.utils import NormalizedName

from koschey.model import FileId


@dataclass(frozen=True, slots=True)
class ReleaseHeld:
    """A release has held files, or something about them changed: start its workflow, or wake it."""

    project: NormalizedName
    version: str


@dataclass(frozen=True, slots=True)
class FileWanted:
    """A download began; if the process that fetches the file dies, the worker finishes it."""

    file: FileId


type Message = ReleaseHeld | FileWanted

KINDS: dict[str, type[ReleaseHeld | FileWanted]] = {"release_held": ReleaseHeld, "file_wanted": FileWanted}


def render_message(message: Message) -> tuple[str, str, dict[str, object]]:
    """Return the kind, the key and the payload of a message."""
    match message:
        case ReleaseHeld(project, version):
            return "release_held", f"release_held/{project}/{version}", asdict(message)
        case FileWanted(file):
            return "file_wanted", f"file_wanted/{file}", asdict(message)


def parse_message(kind: str, payload: dict[str, object]) -> Message:
    """Undo `render_message`. Raises `KeyError` for a kind that this version does not know."""
    return KINDS[kind](**payload)  # type: ignore[arg-type]
