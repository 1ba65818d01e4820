"""Bodies of uploads over HTTP: what comes before them, what is no form, and how a refusal is said."""

import socket
import time
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from tests.support.archives import wheel
from tests.support.koschey_up import Koschey
from tests.support.uploads import MULTIPART, encoded, form, is_clean, is_known, post, token_of


@pytest.mark.parametrize(
    "credentials", [None, "Basic !", "Basic " + b64encode(b"__token__:kos_no").decode(), "Bearer x"]
)
def test_credentials_come_before_the_body(koschey: Koschey, credentials: str | None) -> None:
    """Without a right token the answer is 403 before a byte of the body is sent."""
    header = f"Authorization: {credentials}\r\n" if credentials else ""
    status, text = raw(koschey, f"{header}Content-Type: {MULTIPART}\r\nContent-Length: 2000000000\r\n")
    assert status == 403
    assert "Invalid or non-existent authentication information." in text


def test_refusal_reaches_a_client_that_sends_all_first(koschey: Koschey) -> None:
    """A client that reads the answer only after its last byte still gets it, and no reset connection."""
    answer = post(koschey, encoded({}, "x", bytes(30_000_000)), token="bad")
    assert answer.status == 403


FILE = wheel("never-taken", "1.0")
GOOD = form(*FILE)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (encoded(GOOD, *FILE), "text/plain", 400, b"multipart/form-data"),
        (encoded(GOOD, *FILE), "multipart/form-data", 400, b"boundary"),
        (encoded(GOOD, *FILE), "multipart/form-data; boundary=other", 400, b"cut off"),
        (b"", MULTIPART, 400, b"cut off"),
        (encoded(GOOD, *FILE)[:-40], MULTIPART, 400, b"cut off"),
        (encoded(GOOD, *FILE).replace(b"Content-Disposition", b"X"), MULTIPART, 400, b"not a multipart form"),
        (encoded(GOOD, None, FILE[1]), MULTIPART, 400, b"exactly one part 'content', and it must be a file"),
        (encoded(GOOD, *FILE, name="name"), MULTIPART, 400, b"Should not be a file"),
        (
            encoded(GOOD | {"description": "x" * (12 * 2**20 + 1)}, *FILE),
            MULTIPART,
            413,
            b"12 MiB together, at the field 'description'. Shorten it, or ask an admin to raise KOSCHEY_MAX_FORM_MIB.",
        ),
        (
            encoded(GOOD | {f"f{number}": "" for number in range(100_000)}, *FILE),
            MULTIPART,
            413,
            (
                b"more than 20,000 fields; 'f19994' is one too many. "
                b"Leave out fields, because Koschey uses the metadata in the file"
            ),
        ),
        (b"x" * 3_000_000, MULTIPART, 413, b"headers that are too long, or no end"),
        (b"--b0undary\r\nX: " + b"x" * 3_000_000, MULTIPART, 413, b"headers that are too long, or no end"),
    ],
)
def test_malformed_body_is_refused(koschey: Koschey, body: bytes, content_type: str, status: int, words: bytes) -> None:
    """What is no form, or a form without measure, is refused in words."""
    answer = post(koschey, body, Content_Type=content_type)
    assert (answer.status, words in answer.body) == (status, True), answer
    assert not is_known(koschey, "never-taken")


def test_file_beyond_the_limit_is_refused_by_its_announcement(koschey: Koschey) -> None:
    """A body that announces more than the index takes is 413 at once."""
    credentials = b64encode(f"__token__:{token_of(koschey)}".encode()).decode()
    size = 11 * 2**30
    status, text = raw(koschey, f"Authorization: Basic {credentials}\r\nContent-Length: {size}\r\n")
    assert status == 413
    assert "10240 MiB" in text


def test_answers_fit_each_client(koschey: Koschey) -> None:
    """Whoever takes JSON gets it under exactly that type; the others get a text; all get the header."""
    body = encoded(form(*FILE, {"sha256_digest": None}), *FILE)
    text = post(koschey, body, Accept="*/*")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["x-error-message"].endswith(text.body.decode())
    answer = post(koschey, body, Accept="text/html;q=0.5, application/json;q=0.9")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"message": text.body.decode(), "code": f"400 {text.body.decode()}", "title": "Bad Request"}


def test_signature_is_dropped_whatever_is_in_it(koschey: Koschey) -> None:
    """twine still sends signatures as a second file, and a binary one is no text."""
    file = wheel("ur-signed", "1.0")
    signature = encoded({}, file[0] + ".asc", b"\xff\x00", name="gpg_signature").rpartition(b"--b0undary--")[0]
    assert post(koschey, signature + encoded(form(*file), *file)).body == b"OK"
    answer = post(koschey, encoded(form(*file), *file).replace(b'"pyversion"\r\n\r\npy3', b'"summary"\r\n\r\n\xff'))
    assert (answer.status, answer.body) == (400, b"'summary' is not UTF-8.")


@pytest.mark.parametrize(("kind", "status"), [("image/png", 400), ("", 400), ("application/zip", 200)])
def test_image_is_no_distribution(koschey: Koschey, kind: str, status: int) -> None:
    """The part with the file has a type that a distribution can have."""
    file = wheel("ur-image", "1.0")
    body = encoded(form(*file), *file)
    named = f'filename="{file[0]}"\r\n'.encode()
    answer = post(koschey, body.replace(named, named + f"Content-Type: {kind}\r\n".encode()))
    assert answer.status == status
    if status == 400:
        assert answer.body.decode() == f"Invalid distribution file. The part 'content' has the type '{kind}'."
        assert is_clean(koschey, *file)


def raw(koschey: Koschey, headers: str) -> tuple[int, str]:
    """Send the head of an upload and nothing else; return status and body of the answer that comes at once."""
    host, port = str(urlsplit(koschey.url).netloc).split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"POST /legacy/ HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode())
        began, answer = time.monotonic(), b""
        while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
            answer += connection.recv(65536)
        assert time.monotonic() - began < 2
    return int(answer.split()[1]), answer.decode().partition("\r\n\r\n")[2]
