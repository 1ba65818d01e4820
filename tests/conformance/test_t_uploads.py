"""Sections 14 and 21: uploads, as they are sent and as they are judged."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.clients.install import Client
from tests.clients.publishers import make, publish
from tests.clients.venvs import name_of, versions
from tests.support import archives, corpora_tars, corpora_zips
from tests.support.commands import twine, uv_publish
from tests.support.koschey_up import Koschey
from tests.support.uploads import encoded, form, is_clean, is_known, post, upload

NEWEST = [versions(name)[-1] for name in ("twine", "uv", "poetry", "flit", "hatch", "pdm")]


def serial_of(koschey: Koschey, project: str) -> int:
    """The serial of a project's last change."""
    return int(koschey.page(project)["meta"]["_last-serial"])


def test_t_14_1(koschey: Koschey) -> None:
    """The same bytes uploaded again are a success that changes nothing."""
    file = archives.wheel("t-same", "1.0")
    assert upload(koschey, file).status == 200
    before = serial_of(koschey, "t-same")
    assert upload(koschey, file).status == 200
    assert serial_of(koschey, "t-same") == before


def test_t_14_2(koschey: Koschey) -> None:
    """Other bytes under a used filename give 400 with a text that begins with "File already exists"."""
    assert upload(koschey, archives.wheel("t-other", "1.0")).status == 200
    answer = upload(koschey, archives.wheel("t-other", "1.0", modules={"other.py": ""}))
    assert answer.status == 400
    assert answer.body.startswith(b"File already exists")
    assert len(koschey.page("t-other")["files"]) == 1


@pytest.mark.parametrize("field", ["sha256_digest", "blake2_256_digest", "md5_digest"])
def test_t_14_3(koschey: Koschey, field: str) -> None:
    """An upload with a wrong digest gives 400, and nothing is stored."""
    file = archives.wheel("t-digest", "1.0")
    length = 32 if field == "md5_digest" else 64
    assert upload(koschey, file, {field: "0" * length}).status == 400
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "t-digest")


def test_t_14_4(koschey: Koschey) -> None:
    """Uploads are also accepted at the URL without its final slash, without a redirect."""
    file = archives.wheel("t-slash", "1.0")
    assert post(koschey, encoded(form(*file), *file), path="/legacy").status == 200
    assert koschey.filenames("t-slash") == [file[0]]


@pytest.mark.matrix
@pytest.mark.parametrize("client", NEWEST, ids=name_of)
def test_t_14_5(koschey: Koschey, tmp_path: Path, client: Client) -> None:
    """twine, uv, poetry, flit, hatch and PDM publish."""
    name = f"t-published-{client.name}"
    make(tmp_path, client, name)
    publish(client, tmp_path, koschey)
    assert len(koschey.filenames(name)) == 2


def test_t_14_6(koschey: Koschey) -> None:
    """A refusal in JSON has a type without a charset."""
    file = archives.wheel("t-json", "1.0")
    body = encoded(form(*file, {"sha256_digest": "0" * 64}), *file)
    answer = post(koschey, body, Accept="application/json")
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.json["code"] == f"400 {answer.json['message']}"


@pytest.mark.parametrize("client", ["twine", "uv"])
def test_t_14_7(koschey: Koschey, tmp_path: Path, client: str) -> None:
    """uv and twine show the text of a refusal."""
    name = f"t-shown-{client}"
    assert upload(koschey, archives.wheel(name, "1.0")).status == 200
    filename, content = archives.wheel(name, "1.0", modules={"other.py": ""})
    (tmp_path / filename).write_bytes(content)
    url, token, path = f"{koschey.url}/legacy/", str(koschey.ready["upload_token"]), str(tmp_path / filename)
    send = {
        "uv": lambda: uv_publish("--publish-url", url, "--token", token, path),
        "twine": lambda: twine("upload", "--verbose", "--repository-url", url, "-u", "__token__", "-p", token, path),
    }
    with pytest.raises(subprocess.CalledProcessError) as failure:
        send[client]()
    assert "File already exists" in " ".join((failure.value.stdout + failure.value.stderr).split())


@pytest.mark.parametrize(
    "attestations", ["", "no JSON", "[]", "{}", json.dumps([{"version": 1}]), json.dumps([None]), "[" * 9999]
)
def test_t_10_3(koschey: Koschey, attestations: str) -> None:
    """An upload with attestations is accepted or refused with a reason; it never breaks the index."""
    file = archives.wheel("t-attested", "1.0")
    answer = upload(koschey, file, {"attestations": attestations})
    assert answer.status in (200, 400)
    assert answer.body
    assert answer.status == 200 or is_clean(koschey, *file) or not attestations


RULES: dict[str, tuple[dict[str, str | None], int, str]] = {
    "version of the protocol": ({"protocol_version": "2"}, 400, "Unknown protocol version"),
    "filetype": ({"filetype": "bdist_egg"}, 400, ""),
    "name": ({"name": "-no-"}, 400, ""),
    "name of another project": ({"name": "t-elsewhere"}, 400, ""),
    "version": ({"version": "2.0"}, 400, ""),
    "summary": ({"summary": "x" * 513}, 400, ""),
    "no digest": ({"sha256_digest": None}, 400, ""),
}
"""What is changed in an honest form, the status, and how the text begins where the public index has one."""


@pytest.mark.parametrize("rule", RULES)
def test_t_21_1(koschey: Koschey, rule: str) -> None:
    """Every rule for uploads refuses with its own status and text."""
    changes, status, prefix = RULES[rule]
    file = archives.wheel("t-rule", "1.0")
    answer = upload(koschey, file, changes)
    assert answer.status == status
    assert answer.body.decode().startswith(prefix)
    assert len(answer.body) > 20
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "t-rule")
    assert not is_known(koschey, "t-elsewhere")


HOSTILE = {
    **{f"zip: {case}": (corpora_zips.FILENAME, corpora_zips.REJECTED[case]) for case in corpora_zips.REJECTED},
    **{f"tar: {case}": (corpora_tars.FILENAME, corpora_tars.REJECTED[case]) for case in corpora_tars.REJECTED},
}
CASES = (
    *("zip: bomb", "zip: duplicate", "zip: data descriptor", "zip: suffix", "zip: bomb that promises little"),
    *("tar: trailing bytes", "tar: pax path out of the root", "tar: bomb of a gibibyte", "tar: members after the end"),
    *(case for case in HOSTILE if "sparse" in case or "parent" in case or "absolute" in case),
)
"""Of the corpora, those that the standards name."""


@pytest.mark.parametrize("case", CASES)
def test_t_21_2(koschey: Koschey, case: str) -> None:
    """A bomb, a double entry, a data descriptor, data after the end, a sparse member and a path that climbs are refused
    before anything is stored.
    """
    filename, (build, rule) = HOSTILE[case]
    file = (filename, build())
    answer = upload(koschey, file)
    assert answer.status == 400
    assert str(rule).split()[0].encode() in answer.body
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "thing")
