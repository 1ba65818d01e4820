"""Files for upload rules: wheels and sdists with chosen headers in their metadata; and the rules' switches."""

import gzip
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from tests.support import archives
from tests.support.koschey_up import Koschey

type File = tuple[str, bytes]


def metadata(
    name: str, version: str, headers: Sequence[str] = (), body: str = "", *, metadata_version: str = "2.4"
) -> bytes:
    """A METADATA with these further headers."""
    first = (f"Metadata-Version: {metadata_version}", f"Name: {name}", f"Version: {version}")
    return "\n".join([*first, *headers, "", body]).encode()


def wheel(
    name: str,
    *headers: str,
    version: str = "1.0",
    body: str = "",
    tag: str = "py3-none-any",
    as_: str | None = None,
    metadata_version: str = "2.4",
) -> File:
    """A wheel whose METADATA has these headers; `as_` is the name in its filename."""
    stem = f"{as_ or canonicalize_name(name).replace('-', '_')}-{version}"
    members = {
        f"{canonicalize_name(name).replace('-', '_')}.py": b"",
        f"{stem}.dist-info/METADATA": metadata(name, version, headers, body, metadata_version=metadata_version),
        f"{stem}.dist-info/WHEEL": archives.WHEEL.replace("py3-none-any", tag).encode(),
    }
    record = f"{stem}.dist-info/RECORD"
    return f"{stem}-{tag}.whl", archives._zip({**members, record: archives._record(members, record)})


def sdist(name: str, *headers: str, version: str = "1.0", as_: str | None = None) -> File:
    """An sdist whose PKG-INFO has these headers; `as_` is the name in its filename."""
    stem = f"{as_ or canonicalize_name(name).replace('-', '_')}-{version}"
    members = {f"{stem}/PKG-INFO": metadata(name, version, headers), f"{stem}/pyproject.toml": b""}
    return f"{stem}.tar.gz", gzip.compress(archives._tar(members), mtime=0)


def switch(koschey: Koschey, name: str, *, on: bool | None) -> None:
    """Turn a rule on or off, or back to its default, without a word in the journal."""
    koschey.fetch_value("DELETE FROM upload_switch WHERE name = $1", name)
    if on is not None:
        koschey.fetch_value(
            "INSERT INTO upload_switch (index_id, name, enabled, reason, actor) VALUES (1, $1, $2, 'test', 'test')",
            name,
            on,
        )
