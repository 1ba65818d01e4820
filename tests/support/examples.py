"""Values that need no server: the URL of a database that no test connects to, and a mirrored wheel."""

from datetime import UTC, datetime, timedelta

from packaging.utils import NormalizedName

from koschey.model import (
    File,
    FileId,
    Sha256,
)
from koschey.standards.names import digest_path

DATABASE = "postgresql://koschey:hunter2@db.example.org:5432/koschey"


SPAM = NormalizedName("spam")
DIGEST, METADATA = Sha256("ab" * 32), Sha256("cd" * 32)
SEEN = datetime(2026, 11, 22, 7, 3, 28, 866000, tzinfo=UTC)
WHEEL = File(
    id=FileId(1),
    project=SPAM,
    version="1.0",
    filename="spam-1.0-py3-none-any.whl",
    sha256=DIGEST,
    size=1337,
    upload_time=SEEN - timedelta(days=3),
    first_seen_at=SEEN,
    stored_at=None,
    requires_python=">=3.9",
    yanked=None,
    core_metadata=METADATA,
    metadata_stored=False,
    upstream_url=None,
    path=digest_path(DIGEST, "spam-1.0-py3-none-any.whl"),
    absent_since=None,
)
