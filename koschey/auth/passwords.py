"""Passwords of local accounts: argon2id in a small pool of threads, so that logins cannot eat the machine."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHER = PasswordHasher()
# One hash costs 64 MiB and a quarter of a second of a core.
POOL = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
NOBODY = HASHER.hash("no account has this password")
"""Checked where the account is unknown, so that the time of an answer tells nothing."""


async def hash_password(password: str) -> str:
    """Return what is stored of a password."""
    return await asyncio.get_running_loop().run_in_executor(POOL, HASHER.hash, password)


async def check_password(password: str, stored: str | None) -> bool:
    """Compare a password with what is stored; takes as long where nothing is."""
    right = await asyncio.get_running_loop().run_in_executor(POOL, _verify, stored or NOBODY, password)
    return right and bool(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
