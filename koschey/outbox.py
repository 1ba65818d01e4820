"""The messages that leave for Temporal, as data: what they ask for and the key under which asking twice is once."""

from dataclasses import asdict, dataclass

from packaging.utils import NormalizedName

from koschey.model import FileId


@dataclass(frozen=True, slots=True)
class ReleaseHeld:
    """A release has held files, or something about them changed: start its workflow, or wake it.

    Without `wake`, one that runs already is left alone.
    """

    project: NormalizedName
    version: str
    wake: bool = True


@dataclass(frozen=True, slots=True)
class FileWanted:
    """A download began; if the process that fetches the file dies, the worker finishes it."""

    file: FileId


@dataclass(frozen=True, slots=True)
class ProvenanceWanted:
    """Files of a release were stored, or the upstream lists other provenance objects: fetch and verify them.

    With `again`, also those that are here already.
    """

    project: NormalizedName
    version: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class MetadataWanted:
    """A project has wheels for which the upstream gives no core metadata."""

    project: NormalizedName


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """Something happened that somebody should know: tell the webhook, where there is one."""

    alert: int


type Message = ReleaseHeld | FileWanted | ProvenanceWanted | MetadataWanted | AlertRaised

KINDS: dict[str, type[ReleaseHeld | FileWanted | ProvenanceWanted | MetadataWanted | AlertRaised]] = {
    "release_held": ReleaseHeld,
    "file_wanted": FileWanted,
    "provenance_wanted": ProvenanceWanted,
    "metadata_wanted": MetadataWanted,
    "alert_raised": AlertRaised,
}


def render_message(message: Message) -> tuple[str, str, dict[str, object]]:
    """Return the kind, the key and the payload of a message."""
    match message:
        case ReleaseHeld(project, version, wake):
            key = f"release_held/{project}/{version}{'' if wake else '/quietly'}"
            return "release_held", key, asdict(message)
        case FileWanted(file):
            return "file_wanted", f"file_wanted/{file}", asdict(message)
        case ProvenanceWanted(project, version, again):
            key = f"provenance_wanted/{project}/{version}{'/again' if again else ''}"
            return "provenance_wanted", key, asdict(message)
        case MetadataWanted(project):
            return "metadata_wanted", f"metadata_wanted/{project}", asdict(message)
        case AlertRaised(alert):
            return "alert_raised", f"alert_raised/{alert}", asdict(message)


def parse_message(kind: str, payload: dict[str, object]) -> Message:
    """Undo `render_message`. Raises `KeyError` for a kind that this version does not know."""
    return KINDS[kind](**payload)  # type: ignore[arg-type]
