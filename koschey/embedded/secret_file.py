"""The passwords and keys of one data folder: random, made at the first start, kept in one file for our eyes only."""

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
    """Return a password that no shell and no mouse takes apart."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(20))


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything that must not be seen in `ps`, in a log or in a traceback."""

    postgres_superuser: str = field(repr=False, default_factory=lambda: secrets.token_hex(24))
    postgres: str = field(repr=False, default_factory=lambda: secrets.token_hex(24))
    """Of the role that Koschey works as, which owns its database and nothing else."""
    s3_access_key: str = field(repr=False, default_factory=lambda: secrets.token_hex(10))
    s3_secret_key: str = field(repr=False, default_factory=lambda: secrets.token_hex(24))
    admin_password: str = field(repr=False, default_factory=_password)
    upload_token: str = field(repr=False, default_factory=new_token)


def load_secrets(folder: Path, *, made_before: bool) -> Secrets:
    """Read the secrets; make what is missing.

    `made_before` says that there is a database, which only opens to the password that it was made with.
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
