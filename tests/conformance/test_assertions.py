"""Every assertion has its test, and every test its assertion."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.assertions import ASSERTIONS

TESTS = Path(__file__).parents[1]
NAME = re.compile(r"test_t_(\d+)_(\d+)(_[a-z]+)?")


def named_tests() -> Iterator[tuple[str, ast.AST, Path]]:
    """The tests that are named after an assertion, with its id."""
    for path in (*TESTS.glob("conformance/*.py"), *TESTS.glob("clients/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_t_"):
                match = NAME.fullmatch(node.name)
                assert match, node.name
                yield f"T-{match[1]}.{match[2]}", node, path


def test_every_assertion_has_its_test() -> None:
    """No assertion is without a test, and no test is of an assertion that is not in the table."""
    assert {assertion for assertion, _, _ in named_tests()} == set(ASSERTIONS)


def test_tests_say_what_they_assert() -> None:
    """The docstring of a test begins with its assertion."""
    for assertion, node, path in named_tests():
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        said = " ".join((ast.get_docstring(node) or "").split())
        assert said.startswith(ASSERTIONS[assertion].rstrip(".")), f"{node.name} in {path.name}"
