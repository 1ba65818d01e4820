"""Real twine and `uv publish` against a real index, and what pip and uv make of the result."""

import subprocess
from pathlib import Path

import pytest

from tests.support import archives
from tests.support.commands import pip, twine, uv, uv_publish
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.upstream.server import Upstream


def build(folder: Path, name: str, version: str = "1.0") -> list[Path]:
    """Make a wheel and an sdist."""
    made = []
    for filename, content in (archives.wheel(name, version), archives.sdist(name, version)):
        (folder / filename).write_bytes(content)
        made.append(folder / filename)
    return made


def publish_with_twine(koschey: Koschey, *files: Path, token: str | None = None) -> str:
    """Upload as the banner says."""
    return twine(
        *("upload", "--non-interactive", "--disable-progress-bar", "--verbose"),
        *("--repository-url", f"{koschey.url}/legacy/", "-u", "__token__"),
        *("-p", token or koschey.ready["upload_token"], *(str(file) for file in files)),
    )


def publish_with_uv(koschey: Koschey, *files: Path, token: str | None = None) -> str:
    """Upload as the banner says."""
    token = token or koschey.ready["upload_token"]
    return uv_publish("--publish-url", f"{koschey.url}/legacy/", "--token", token, *(str(file) for file in files))


PUBLISHERS = pytest.mark.parametrize(
    ("publish", "name"), [(publish_with_twine, "p-by-twine"), (publish_with_uv, "p-by-uv")], ids=["twine", "uv"]
)


@PUBLISHERS
def test_published_project_installs_at_once(
    koschey: Koschey, upstream: Upstream, tmp_path: Path, publish: object, name: str
) -> None:
    """A wheel and an sdist are uploaded and installed at once; the upstream never hears the name."""
    upstream.add(name, "9.9")
    files = build(tmp_path, name)
    publish(koschey, *files)  # type: ignore[operator]
    assert sorted(koschey.filenames(name)) == sorted(file.name for file in files)
    pip("install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url, name)
    uv("pip", "install", "--target", str(tmp_path / "b"), "--index-url", koschey.index_url, name)
    for target in ("a", "b"):
        installed = [path.name for path in (tmp_path / target).glob("*.dist-info")]
        assert installed == [f"{name.replace('-', '_')}-1.0.dist-info"]
    assert upstream.count(f"/simple/{name}/") == 0
    for listed in koschey.page(name)["files"]:
        body = ask(koschey.url + listed["url"]).body
        assert body == (tmp_path / listed["filename"]).read_bytes()


@PUBLISHERS
def test_same_bytes_again_are_no_error_and_no_change(
    koschey: Koschey, tmp_path: Path, publish: object, name: str
) -> None:
    """Uploading the same files again succeeds and takes no serial."""
    files = build(tmp_path, f"{name}-again")
    publish(koschey, *files)  # type: ignore[operator]
    serial = koschey.fetch_value("SELECT serial FROM project WHERE name = $1", f"{name}-again")
    publish(koschey, *files)  # type: ignore[operator]
    assert koschey.fetch_value("SELECT serial FROM project WHERE name = $1", f"{name}-again") == serial


@PUBLISHERS
def test_other_bytes_under_a_used_name_are_refused(
    koschey: Koschey, tmp_path: Path, publish: object, name: str
) -> None:
    """Other bytes under a used filename are refused with a text that the client shows; the old bytes stay."""
    project = f"{name}-other"
    wheel = build(tmp_path, project)[0]
    publish(koschey, wheel)  # type: ignore[operator]
    before = wheel.read_bytes()
    changed = archives.wheel(project, "1.0", modules={"changed.py": "CHANGED = True\n"})[1]
    wheel.write_bytes(changed)
    with pytest.raises(subprocess.CalledProcessError) as failure:
        publish(koschey, wheel)  # type: ignore[operator]
    shown = " ".join((failure.value.stdout + failure.value.stderr).split())  # uv breaks lines where it likes
    assert "File already exists" in shown
    assert ask(koschey.url + koschey.path_of(wheel.name)).body == before


@PUBLISHERS
def test_bad_token_is_refused(koschey: Koschey, tmp_path: Path, publish: object, name: str) -> None:
    """A token that is not known is refused with 403 and nothing is kept."""
    wheel = build(tmp_path, f"{name}-token")[0]
    with pytest.raises(subprocess.CalledProcessError) as failure:
        publish(koschey, wheel, token="kos_" + "a" * 12 + "_" + "b" * 43)  # type: ignore[operator]
    assert "403" in failure.value.stdout + failure.value.stderr
    assert koschey.fetch_value("SELECT count(*) FROM project WHERE name = $1", f"{name}-token") == 0


def test_private_name_is_never_asked_of_the_upstream(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """Once a name is private, no spelling of it and no version of it comes from the upstream."""
    publish_with_twine(koschey, build(tmp_path, "p-private")[0])
    upstream.add("p-private", "99.0")
    upstream.forget_requests()
    for spelling in ("p-private", "P_Private", "p.private"):
        answer = ask(f"{koschey.index_url}{spelling}/", Accept="application/vnd.pypi.simple.v1+json")
        assert answer.json["versions"] == ["1.0"]
    for client in (pip, lambda *words: uv("pip", *words)):
        with pytest.raises(subprocess.CalledProcessError):
            client("install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url, "p-private>1")
    assert upstream.about("p-private") == []


def test_mirrored_name_cannot_be_taken_over(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """An upload under a name that is mirrored is refused, and the mirrored files stay as they are."""
    file = upstream.add("p-mirrored", "1.0")
    koschey.page("p-mirrored")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        publish_with_twine(koschey, build(tmp_path, "p-mirrored", "2.0")[0])
    assert "mirrored" in failure.value.stdout + failure.value.stderr
    assert koschey.filenames("p-mirrored") == [file.filename]


def test_private_release_can_be_blocked(koschey: Koschey, tmp_path: Path) -> None:
    """A block covers hosted files as well."""
    wheel = build(tmp_path, "p-blocked")[0]
    publish_with_uv(koschey, wheel)
    koschey.run("block", "p-blocked==1.0", "--reason", "leaked a key")
    wait_until(lambda: koschey.filenames("p-blocked") == [])
    assert ask(koschey.url + koschey.path_of(wheel.name)).status == 403
