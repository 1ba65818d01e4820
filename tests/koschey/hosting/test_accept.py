"""Uploads over HTTP to a real index: what is taken in, what is refused, and that a refusal leaves nothing."""

import asyncio
import concurrent.futures
import hashlib
import json

import asyncpg
import pytest

from koschey.auth.tokens import digest_secret, new_token, parse_token
from koschey.db.accounts import insert_grant
from koschey.model import Sha256
from koschey.storage.s3 import manifest_key
from tests.support.archives import core_metadata, other_bytes, sdist, wheel
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.uploads import BOUNDARY, encoded, form, is_clean, is_known, post, upload
from tests.support.upstream.server import Upstream


def test_wheel_is_served_as_it_was_uploaded(koschey: Koschey) -> None:
    """A wheel is on the page with all its facts, its bytes and METADATA are served, and the journal names who."""
    filename, content = wheel("hosted-wheel", "1.0", requires_python=">=3.8")
    answer = upload(koschey, (filename, content))
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["cache-control"] == "no-store"
    page = wait_until(lambda: koschey.page("hosted-wheel"))
    metadata = core_metadata("hosted-wheel", "1.0", (), ">=3.8")
    blake2 = hashlib.blake2b(content, digest_size=32).hexdigest()
    assert page["files"][0] | {"upload-time": None} == {
        "filename": filename,
        "url": f"/packages/{blake2[:2]}/{blake2[2:4]}/{blake2[4:]}/{filename}",
        "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
        "size": len(content),
        "upload-time": None,
        "yanked": False,
        "requires-python": ">=3.8",
        "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
    }
    path = koschey.url + page["files"][0]["url"]
    assert ask(path).body == content
    assert ask(path + ".metadata").body == metadata
    query = "SELECT actor || ' ' || door || ' ' || action FROM journal WHERE filename = $1"
    assert koschey.fetch_value(query, filename) == "uploader upload add file"
    manifest = koschey.data / "s3" / "koschey" / manifest_key(Sha256(hashlib.sha256(content).hexdigest()))
    assert json.loads(manifest.read_bytes())["origin"] == "hosted"


def test_sdist_is_served_and_the_upstream_is_never_asked(koschey: Koschey, upstream: Upstream) -> None:
    """A hosted name belongs to us: the upstream's project of that name is not seen, and not asked for."""
    upstream.add("hosted-sdist", "99.0")
    filename, content = sdist("hosted-sdist", "1.0")
    assert upload(koschey, (filename, content)).status == 200
    assert koschey.filenames("hosted-sdist") == [filename]
    assert ask(koschey.url + koschey.path_of(filename)).body == content
    assert upstream.count("/simple/hosted-sdist/") == 0


def test_same_bytes_again_change_nothing(koschey: Koschey) -> None:
    """Repeating an upload is 200, with the same serial."""
    file = wheel("same-again", "1.0")
    assert upload(koschey, file).status == 200
    serial = koschey.fetch_value("SELECT serial FROM project WHERE name = 'same-again'")
    assert upload(koschey, file).status == 200
    assert koschey.fetch_value("SELECT serial FROM project WHERE name = 'same-again'") == serial
    assert koschey.fetch_value("SELECT count(*) FROM journal WHERE project = 'same-again'") == 1


def test_other_bytes_under_a_used_name_are_refused(koschey: Koschey) -> None:
    """A filename stands for its first bytes; the message begins as clients expect, and the new bytes are nowhere."""
    first, second = wheel("used-name", "1.0"), other_bytes("used-name", "1.0")
    assert upload(koschey, first).status == 200
    answer = upload(koschey, second)
    digest = hashlib.sha256(first[1]).hexdigest()
    assert answer.status == 400
    assert answer.body.decode() == f"File already exists ('{first[0]}', with sha256 hash '{digest}')."
    assert is_clean(koschey, *second)


def test_one_of_two_uploads_at_once_wins(koschey: Koschey) -> None:
    """Of many uploads at once of one name with different bytes exactly one is taken, and the others leave nothing."""
    for round_ in range(3):
        files = [other_bytes("raced", f"1.{round_}", str(number)) for number in range(6)]
        with concurrent.futures.ThreadPoolExecutor(len(files)) as clients:
            answers = list(clients.map(lambda file: upload(koschey, file), files))
        assert sorted(answer.status for answer in answers) == [200] + [400] * (len(files) - 1)
        assert [is_clean(koschey, *file) for file in files] == [answer.status == 400 for answer in answers]


def test_same_upload_twice_at_once_is_taken_once(koschey: Koschey) -> None:
    """Of identical uploads at once all are 200, and one is in the journal."""
    file = wheel("doubled", "1.0")
    with concurrent.futures.ThreadPoolExecutor(6) as clients:
        assert {answer.status for answer in clients.map(lambda _: upload(koschey, file), range(6))} == {200}
    assert koschey.fetch_value("SELECT count(*) FROM journal WHERE project = 'doubled'") == 1


def test_mirrored_name_cannot_be_taken(koschey: Koschey, upstream: Upstream) -> None:
    """A name that came from the upstream stays the upstream's."""
    upstream.add("public-name", "1.0")
    koschey.page("public-name")
    file = wheel("public-name", "2.0")
    answer = upload(koschey, file)
    assert answer.status == 400
    assert answer.body.startswith(b"the name public-name is mirrored from the upstream")
    assert is_clean(koschey, *file)


def test_blocked_release_is_refused(koschey: Koschey) -> None:
    """A block of a project, or of a version to come, holds for uploads too."""
    assert upload(koschey, wheel("to-be-blocked", "1.0")).status == 200
    koschey.run("block", "to-be-blocked==2.0", "--reason", "recalled")
    file = wheel("to-be-blocked", "2.0")
    answer = upload(koschey, file)
    assert answer.status == 403
    assert b"recalled" in answer.body
    assert is_clean(koschey, *file)
    assert upload(koschey, wheel("to-be-blocked", "3.0")).status == 200


def test_name_of_a_removed_file_stays_used(koschey: Koschey) -> None:
    """Neither the old nor new bytes come back under the name of a removed file."""
    file = wheel("was-removed", "1.0")
    assert upload(koschey, file).status == 200
    koschey.fetch_value(
        "UPDATE standing SET state = 'removed' WHERE file_id = (SELECT id FROM file WHERE filename = $1)", file[0]
    )
    for again in (file, other_bytes("was-removed", "1.0")):
        answer = upload(koschey, again)
        assert answer.status == 400
        assert answer.body.startswith(b"This filename was previously used by a file that has since been deleted.")


def test_uploader_is_bound_to_the_project_of_the_grant(koschey: Koschey) -> None:
    """A token may upload what its account's grants name, and nothing else."""
    token = grant_upload(koschey, "builder", "granted")
    assert upload(koschey, wheel("granted", "1.0"), token=token).status == 200
    file = wheel("not-granted", "1.0")
    answer = upload(koschey, file, token=token)
    assert answer.status == 403
    assert answer.body == b"builder may not upload not-granted; an admin can grant it"
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "not-granted")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256_digest": "0" * 64}, b"does not match"),
        ({"md5_digest": "0" * 32}, b"does not match"),
        ({"blake2_256_digest": "0" * 64}, b"does not match"),
        ({"sha256_digest": None}, b"at least one digest"),
        ({"version": "2.0"}, b"version 1.0"),
        ({"name": "other"}, b"of the project"),
        ({"name": "a b"}, b"is not a project name"),
        ({":action": None}, b":action"),
    ],
)
def test_wrong_form_leaves_nothing(koschey: Koschey, changes: dict[str, str | None], words: bytes) -> None:
    """A form that does not fit its file is 400, and neither row nor object is left."""
    file = wheel("wrong-form", "1.0")
    answer = upload(koschey, file, changes)
    assert (answer.status, words in answer.body) == (400, True), answer
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "wrong-form")


def test_action_in_the_query_counts_too(koschey: Koschey) -> None:
    """As on the public index, `:action` may stand in the URL; an action that is gone is 410."""
    file = wheel("query-action", "1.0")
    body = encoded(form(*file, {":action": None}), *file)
    assert post(koschey, body, path="/legacy/?:action=doc_upload").status == 410
    assert post(koschey, body, path="/legacy/?:action=file_upload").status == 200


@pytest.mark.parametrize("content", [b"", b"no zip", wheel("another", "1.0")[1], wheel("bad-archive", "2.0")[1]])
def test_wrong_archive_leaves_nothing(koschey: Koschey, content: bytes) -> None:
    """A file that is no wheel, or the wheel of something else, is 400, and neither row nor object is left."""
    file = ("bad_archive-1.0-py3-none-any.whl", content)
    assert upload(koschey, file).status == 400
    assert is_clean(koschey, *file)
    assert not is_known(koschey, "bad-archive")


def test_wheel_of_many_extras_is_taken(koschey: Koschey) -> None:
    """What boto3-stubs and apache-airflow are made of: thousands of extras, each in the form and in METADATA."""
    extras = [f"svc{number}" for number in range(4_000)]
    requires = [f"acme-{extra}; extra == '{extra}'" for extra in extras]
    filename, content = wheel("many-extras", "1.0", requires=requires, extras=extras)
    fields = [*form(filename, content).items()]
    fields += [("requires_dist", text) for text in requires] + [("provides_extra", extra) for extra in extras]
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    answer = post(koschey, "".join(parts).encode() + encoded({}, filename, content))
    assert (answer.status, answer.body) == (200, b"OK")
    assert koschey.filenames("many-extras") == [filename]


def test_upload_url_works_without_its_slash(koschey: Koschey) -> None:
    """`/legacy` takes uploads itself: clients do not follow a redirect with a body."""
    file = wheel("no-slash", "1.0")
    assert post(koschey, encoded(form(*file), *file), path="/legacy").status == 200
    for path in ("/legacy", "/legacy/"):
        assert ask(koschey.url + path).status == 405
        assert ask(koschey.url + path, method="PUT").status == 405


def grant_upload(koschey: Koschey, name: str, scope: str) -> str:
    """Make an account that may upload to one project, and return its token."""
    token = new_token()
    parts = parse_token(token)
    assert parts is not None

    async def write() -> None:
        connection = await asyncpg.connect(koschey.settings["KOSCHEY_DATABASE_URL"])
        try:
            account = await connection.fetchval("INSERT INTO account (name) VALUES ($1) RETURNING id", name)
            await insert_grant(connection, account, "uploader", scope)
            await connection.execute(
                "INSERT INTO token (id, account_id, secret_sha256, description) VALUES ($1, $2, $3, '')",
                parts.id,
                account,
                digest_secret(parts.secret),
            )
        finally:
            await connection.close()

    with asyncio.Runner() as runner:
        runner.run(write())
    return token
