"""The passwords and keys of one data folder: random, created at the first start, in one file that only we can read."""

import secrets
import string
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from koschey.auth.tokens import new_token
from koschey.embedded.data_folder import write_private
from koschey.errors import StartError

NAME = "secrets.json"


def _password() -> str:
    """Return a password that needs no quoting in a shell, and that a double click selects whole."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(20))


@dataclass(frozen=True, slots=True)
class Secrets:
    """All values that must not appear in `ps`, in a log or in a traceback."""

    postgres_superuser: str = field(repr=False, default_factory=lambda: secrets.token_hex(24))
    postgres: str = field(repr=False, default_factory=lambda: secrets.token_hex(24))
    """The password of Koschey's role, which owns its database and nothing else."""
    s3_access_key: str = field(repr=False, default_factory=lambda: secrets.token_hex(10))
    s3_secret_key: str = field(repr=False, default_factory=lambda: secrets.token_hex(24))
    admin_password: str = field(repr=False, default_factory=_password)
    upload_token: str = field(repr=False, default_factory=new_token)


def load_secrets(folder: Path, *, made_before: bool) -> Secrets:
    """Read the secrets; create those that are missing.

    `made_before` says that a database exists, which opens only with the password that it was created with.
    """
    path = folder / NAME
    if not path.exists() and made_before:
        raise StartError(f"{path} is missing and {folder} holds a database that needs it; restore it from a backup")
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}
        complete = msgspec.convert(stored, Secrets)
    except (OSError, msgspec.MsgspecError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None
    if asdict(complete) != stored:
        write_private(path, msgspec.json.format(msgspec.json.encode(complete)).decode() + "\n")
    return complete
