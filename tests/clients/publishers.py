"""Publishers of any version behind one interface: a folder with `dist/` goes to the index."""

from collections.abc import Callable
from pathlib import Path

from tests.clients.install import Client
from tests.clients.venvs import call, python_of
from tests.support import archives
from tests.support.koschey_up import Koschey

PROJECT = '[project]\nname = "{name}"\nversion = "1.0"\ndescription = "{name} for tests"\nrequires-python = ">=3.8"\n'
POETRY_1 = '[tool.poetry]\nname = "{name}"\nversion = "1.0"\ndescription = ""\nauthors = []\n'
BACKENDS = {
    "flit": '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n',
    "poetry": '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n',
}
"""Those that build themselves what they publish."""
REPRODUCIBLE = {"SOURCE_DATE_EPOCH": "1600000000"}
"""Otherwise the time of the build is in the archives, and no two of them are alike."""


def make(folder: Path, client: Client, name: str, *, changed: bool = False) -> list[str]:
    """Write a project with a finished wheel and sdist, and return their names; some clients build their own."""
    folder.mkdir(exist_ok=True)
    text = POETRY_1 if client.name == "poetry" and client.version.startswith("1.") else PROJECT
    (folder / "pyproject.toml").write_text(text.format(name=name) + BACKENDS.get(client.name, ""))
    module = name.replace("-", "_")
    source = f'"""{name} for tests."""\n\nCHANGED = {changed}\n'
    (folder / f"{module}.py").write_text(source)
    dist = folder / "dist"
    dist.mkdir(exist_ok=True)
    filenames = []
    for build in (archives.wheel, archives.sdist):
        filename, content = build(name, "1.0", modules={f"{module}.py": source})
        filenames.append(filename)
        if client.name not in BACKENDS:
            (dist / filename).write_bytes(content)
    return filenames


def publish(client: Client, folder: Path, koschey: Koschey, *, token: str | None = None) -> str:
    """Publish what `make` wrote, and return what was said; raises `CalledProcessError` where the client fails."""
    secret = token or str(koschey.ready["upload_token"])
    return PUBLISH[client.name](client, folder, f"{koschey.url}/legacy/", secret)


def _twine(client: Client, folder: Path, url: str, token: str) -> str:
    options = ("--non-interactive", "--disable-progress-bar", "--verbose", "--repository-url", url)
    return call(client, "twine", "upload", *options, "-u", "__token__", "-p", token, *_files(folder))


def _uv(client: Client, folder: Path, url: str, token: str) -> str:
    options = ("--no-cache", "--no-config", "--trusted-publishing", "never")
    return call(client, "uv", "publish", *options, "--publish-url", url, "--token", token, *_files(folder))


def _poetry(client: Client, folder: Path, url: str, token: str) -> str:
    environment = {
        "POETRY_REPOSITORIES_HERE_URL": url,
        "POETRY_HTTP_BASIC_HERE_USERNAME": "__token__",
        "POETRY_HTTP_BASIC_HERE_PASSWORD": token,
        **REPRODUCIBLE,
    }
    build = () if _files(folder) else ("--build",)
    return call(client, "poetry", "publish", *build, "-n", "-v", "-r", "here", cwd=folder, environment=environment)


def _pdm(client: Client, folder: Path, url: str, token: str) -> str:
    options = ("--no-build", "--repository", url, "--username", "__token__", "--password", token)
    environment = {"PDM_CHECK_UPDATE": "0", "PDM_USE_VENV": "0", "PDM_PYTHON": python_of(client)}
    return call(client, "pdm", "publish", "-v", *options, cwd=folder, environment=environment)


def _hatch(client: Client, folder: Path, url: str, token: str) -> str:
    options = ("--no-prompt", "-r", url, "-u", "__token__", "-a", token)
    return call(client, "hatch", "publish", *options, cwd=folder)


def _flit(client: Client, folder: Path, url: str, token: str) -> str:
    environment = {"FLIT_INDEX_URL": url, "FLIT_USERNAME": "__token__", "FLIT_PASSWORD": token, **REPRODUCIBLE}
    return call(client, "flit", "publish", cwd=folder, environment=environment)


def _files(folder: Path) -> list[str]:
    return [str(path) for path in sorted((folder / "dist").iterdir())]


PUBLISH: dict[str, Callable[[Client, Path, str, str], str]] = {
    "twine": _twine,
    "uv": _uv,
    "poetry": _poetry,
    "pdm": _pdm,
    "hatch": _hatch,
    "flit": _flit,
}
