"""poetry and PDM of any version: a project is locked against the index and installed from its lock."""

from pathlib import Path

from tests.clients.install import Client
from tests.clients.venvs import call, python_of

POETRY = """\
[tool.poetry]
name = "app"
version = "1.0"
description = ""
authors = []
package-mode = false

[tool.poetry.dependencies]
python = ">=3.10"
{lines}

[[tool.poetry.source]]
name = "here"
url = "{index}"
priority = "primary"
"""
POETRY_SECOND = """
[[tool.poetry.source]]
name = "there"
url = "{index}"
priority = "{priority}"
"""
PDM = """\
[project]
name = "app"
version = "1.0"
requires-python = ">=3.10"
dependencies = [{quoted}]

[tool.pdm]
distribution = false

[[tool.pdm.source]]
name = "pypi"
url = "{index}"
verify_ssl = false
include_packages = {bound}
"""
PDM_SECOND = """
[[tool.pdm.source]]
name = "there"
url = "{index}"
verify_ssl = false
"""


def sync(
    client: Client,
    folder: Path,
    index: str,
    requirements: dict[str, str],
    *,
    second_index: str | None = None,
    bound: bool = False,
) -> str:
    """Lock and install a project that needs `{name: version}`, and return its lock.

    `bound` says, in the client's own way, that what is not in the first index shall not come from the second.
    Raises `CalledProcessError` where the client fails.
    """
    folder.mkdir(exist_ok=True)
    project = _poetry if client.name == "poetry" else _pdm
    (folder / "pyproject.toml").write_text(project(index, requirements, second_index, bound=bound))
    if client.name == "poetry":
        environment = {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "POETRY_INSTALLER_MAX_WORKERS": "2"}
        call(client, "poetry", "lock", "-n", cwd=folder, environment=environment)
        call(client, "poetry", "install", "-n", cwd=folder, environment=environment)
        return (folder / "poetry.lock").read_text()
    environment = {"PDM_CHECK_UPDATE": "0", "PDM_PYTHON": python_of(client), "PDM_USE_VENV": "1"}
    call(client, "pdm", "venv", "create", "--force", python_of(client), cwd=folder, environment=environment)
    environment["PDM_PYTHON"] = str(folder / ".venv" / "bin" / "python")
    call(client, "pdm", "lock", cwd=folder, environment=environment)
    call(client, "pdm", "sync", cwd=folder, environment=environment)
    return (folder / "pdm.lock").read_text()


def _poetry(index: str, requirements: dict[str, str], second_index: str | None, *, bound: bool) -> str:
    lines = "\n".join(f'{name} = "{version}"' for name, version in requirements.items())
    text = POETRY.format(lines=lines, index=index)
    if second_index:
        text += POETRY_SECOND.format(index=second_index, priority="explicit" if bound else "supplemental")
    return text


def _pdm(index: str, requirements: dict[str, str], second_index: str | None, *, bound: bool) -> str:
    quoted = ", ".join(f'"{name}{"" if version == "*" else version}"' for name, version in requirements.items())
    text = PDM.format(quoted=quoted, index=index, bound='["*"]' if bound else "[]")
    return text + PDM_SECOND.format(index=second_index) if second_index else text


def installed(folder: Path) -> set[str]:
    """The distributions in the project's environment, but for installers."""
    found = {
        path.name.removesuffix(".dist-info") for path in folder.glob(".venv/lib/python*/site-packages/*.dist-info")
    }
    return {name for name in found if name.partition("-")[0] not in ("pip", "setuptools", "wheel")}
