"""Names that could be taken for one another (case Q10)."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from koschey.inspection.checks.lookalikes import nearest, slips

USED = (
    *("requests", "numpy", "pandas", "django", "flask", "cryptography", "setuptools", "python-dateutil", "pyyaml"),
    *("urllib3", "boto3", "sqlalchemy", "beautifulsoup4", "scikit-learn", "matplotlib", "tensorflow", "pillow"),
    *("jinja2", "typing-extensions", "google-api-core", "acme-billing", "acme-internal-auth", "fastapi", "pydantic"),
    *("certifi", "charset-normalizer", "idna", "packaging", "attrs", "pytest"),
)
ALIKE = {"o": "0", "l": "1", "i": "l", "m": "rn", "s": "5", "w": "vv", "d": "cl"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def repeated(name: str, at: int) -> str:
    """A letter twice."""
    return name[:at] + name[at] + name[at:]


def omitted(name: str, at: int) -> str:
    """A letter left out."""
    return name[:at] + name[at + 1 :]


def swapped(name: str, at: int) -> str:
    """Two letters in the wrong order."""
    return name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :]


def replaced(name: str, at: int) -> str:
    """A wrong letter."""
    return name[:at] + LETTERS[(LETTERS.find(name[at]) + 5) % 26] + name[at + 1 :]


def separated(name: str, at: int) -> str:
    """A separator where there is none, or none where there is one."""
    return name.replace("-", "") if "-" in name else f"{name[:at]}-{name[at:]}"


def alike(name: str, at: int) -> str:
    """A letter that looks like the right one."""
    letter = next((one for one in name[at:] + name if one in ALIKE), None)
    return name.replace(letter, ALIKE[letter], 1) if letter else repeated(name, at)


KINDS = (repeated, omitted, swapped, replaced, separated, alike)


def typos(count: int) -> list[tuple[str, str]]:
    """That many different wrong names, each with the one that was meant; the same ones in each run."""
    chance, found = random.Random(20261125), dict[str, str]()
    while len(found) < count:
        name, kind = chance.choice(USED), KINDS[len(found) % len(KINDS)]
        wrong = canonicalize_name(kind(name, chance.randrange(1, len(name) - 1)))
        if wrong not in USED and wrong.strip("-") == wrong:
            found.setdefault(wrong, name)
    return list(found.items())


def test_typos_are_found() -> None:
    """Case Q10: of 200 names with a slip in them, at least 90 % show the name that was meant, and show it first."""
    wrong = typos(200)
    missed = [(typo, name) for typo, name in wrong if name not in nearest(typo, USED)]
    not_first = [(typo, name) for typo, name in wrong if nearest(typo, USED)[:1] != (name,)]
    assert len(missed) <= 20, f"{len(missed)} of 200: {missed}"
    assert len(not_first) <= 20, f"{len(not_first)} of 200: {not_first}"


@pytest.mark.parametrize(
    "name",
    ["httpx", "rich", "click", "toml", "acme-crm", "polars", "scipy", "black", "mypy", "requests-oauthlib", "tox"],
)
def test_other_names_are_near_none(name: str) -> None:
    """Names that are simply others are near nothing, or reviewers would be asked about each new project."""
    assert nearest(name, USED) == ()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("dateutil-python", "python-dateutil"),
        ("py-dateutil", "python-dateutil"),
        ("scikitlearn", "scikit-learn"),
        ("acme-bi11ing", "acme-billing"),
    ],
)
def test_words_and_lookalikes_are_near(name: str, other: str) -> None:
    """Words in another order, a separator more or less, and letters that look alike are the same to the eye."""
    assert nearest(name, USED)[0] == other


def test_numbered_families_are_not_near_each_other() -> None:
    """Names that differ in their numbers alone are a family."""
    assert nearest("acme-shard-2", ["acme-shard-1"]) == ()
    assert nearest("boto2", USED) == ()
    assert nearest("requests2", USED) == ("requests",)


@given(st.text(LETTERS, max_size=8), st.text(LETTERS, max_size=8))
def test_slips_are_a_distance(one: str, other: str) -> None:
    """Nothing leads from a name to itself, one slip is one, and both ways are equally long."""
    assert slips(one, one) == 0
    assert slips(one, other) == slips(other, one)
    assert (slips(one, other) == 0) is (one == other)
    assert slips(one, other) <= max(len(one), len(other))


@pytest.mark.parametrize("kind", KINDS[:4])
def test_each_slip_is_one(kind: Callable[[str, int], str]) -> None:
    """A letter repeated, left out, swapped with the next or replaced is one slip."""
    assert slips("cryptography", kind("cryptography", 3)) == 1
