"""Section 8: core metadata beside wheels (PEP 658, 714)."""

import hashlib
import io
import zipfile

from koschey.conformance.checks import check, require, skip
from koschey.conformance.subject import FileEntry, Subject
from koschey.errors import UpstreamMalformed


def _advertised(file: FileEntry) -> object:
    return file.keys.get("core-metadata", file.keys.get("dist-info-metadata")) and file.filename.endswith(".whl")


@check("T-8.1", "The `.metadata` of a wheel has the advertised digest and is the METADATA inside the wheel.")
async def metadata_is_that_of_the_wheel(subject: Subject) -> str | None:
    """Installers refuse a wheel whose advertised metadata differ from its own or are missing."""
    wheels = subject.find(_advertised)[:3]
    if not wheels:
        skip("no wheel is listed with core metadata")
    for wheel in wheels:
        answer = await subject.client.fetch(f"{wheel.url}.metadata")
        require(answer.status == 200, f"{answer.url} answered {answer.status}")
        advertised = wheel.keys.get("core-metadata", wheel.keys.get("dist-info-metadata"))
        if isinstance(advertised, dict) and "sha256" in advertised:
            digest = hashlib.sha256(answer.body).hexdigest()
            require(digest == advertised["sha256"], f"{answer.url} has the sha256 {digest}, not the advertised one")
        inside = _read_metadata(wheel, (await subject.download(wheel)).body)
        require(answer.body == inside, f"{answer.url} is not the METADATA inside the wheel")
    return ", ".join(wheel.filename for wheel in wheels)


def _read_metadata(wheel: FileEntry, content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [
                name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1
            ]
            return archive.read(names[0])
    except (zipfile.BadZipFile, IndexError, NotImplementedError, RuntimeError) as error:
        raise UpstreamMalformed(f"{wheel.url} is not a wheel with METADATA: {error}") from None
