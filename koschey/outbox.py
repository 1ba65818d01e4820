"""The messages to Temporal as data: the work that each requests, and the key that makes repeated requests one."""

from dataclasses import asdict, dataclass

from packaging.utils import NormalizedName

from koschey.model import FileId


@dataclass(frozen=True, slots=True)
class ReleaseHeld:
    """A release has held files, or something about them changed: start its workflow, or wake it.

    Without `wake`, a running workflow is not woken.
    """

    project: NormalizedName
    version: str
    wake: bool = True


@dataclass(frozen=True, slots=True)
class FileWanted:
    """The download of a file began. If the process that downloads it dies, the worker completes the download."""

    file: FileId


@dataclass(frozen=True, slots=True)
class ProvenanceWanted:
    """Files of a release were stored, or the upstream lists other provenance objects: download and verify them.

    With `again`, also those that are already stored.
    """

    project: NormalizedName
    version: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class MetadataWanted:
    """A project has wheels for which the upstream gives no core metadata: read it from the wheels."""

    project: NormalizedName


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """An alert was raised: send it to the webhook, if one is configured."""

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
