"""`POST /api/v1/preflight`: every pin of a lock is answered, and what was never seen is looked up, a few at a time."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api import NOBODY, Api, is_problem
from running import Koschey, wait_until
from upstream import Upstream

from koschey.index.preflight import AT_ONCE, MAX_PINS


def preflight(koschey: Koschey, *pins: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers for pins, without credentials."""
    answer = Api(koschey).call("POST", "preflight", {"pins": list(pins)}, token=NOBODY)
    assert answer.status == 200, answer
    return list(answer.json["pins"])


def test_every_state_is_told(koschey: Koschey, upstream: Upstream) -> None:
    """Served, held, blocked, missing and other bytes, in the order of the pins, for a project never seen before."""
    upstream.add("pf-all", "1.0")
    upstream.add("pf-all", "1.1")
    held = upstream.add("pf-all", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    served, blocked, fresh, gone, other, nobody = preflight(
        koschey,
        {"name": "Pf.All", "version": "1.0.0"},
        {"name": "pf-never-blocked", "version": "1.0"},
        {"name": "pf-all", "version": "2.0", "hashes": [f"sha256:{held.sha256}"]},
        {"name": "pf-all", "version": "9.9"},
        {"name": "pf-all", "version": "1.0", "hashes": [f"sha256:{'0' * 64}"]},
        {"name": "pf-nobody-has-this", "version": "1.0"},
    )
    assert (served["project"], served["state"], served["request"]) == ("pf-all", "served", None)
    assert blocked["state"] == "missing"
    assert (fresh["state"], fresh["free"]) == ("held", "1.1")
    assert fresh["request"] == "koschey request pf-all==2.0"
    assert fresh["release_at"].startswith(f"{held.upload_time.astimezone(UTC) + timedelta(days=7):%Y-%m-%d}")
    assert (gone["state"], gone["free"]) == ("missing", "1.1")
    assert (other["state"], nobody["state"]) == ("other bytes", "missing")
    koschey.run("block", "pf-never-blocked", "--reason", "not for us")
    [blocked] = preflight(koschey, {"name": "pf-never-blocked", "version": "1.0"})
    assert (blocked["state"], "not for us" in blocked["reason"]) == ("blocked", True)


def test_a_release_that_an_old_page_lacks_is_looked_up(koschey: Koschey, upstream: Upstream) -> None:
    """Where the last look is old, a pin that is not known is looked for once more before it is called missing."""
    upstream.add("pf-late", "1.0")
    koschey.page("pf-late")
    upstream.add("pf-late", "1.1", upload_time=datetime.now(UTC) - timedelta(hours=1))
    time.sleep(0.6)  # longer than a page of the shared index is fresh
    [late] = preflight(koschey, {"name": "pf-late", "version": "1.1"})
    assert late["state"] == "held"


def test_unknown_names_are_looked_up_a_few_at_a_time(koschey: Koschey, upstream: Upstream) -> None:
    """A lock of names that were never seen asks the upstream for no more than four pages at once."""
    names = [f"pf-many-{number}" for number in range(12)]
    for name in names:
        upstream.add(name, "1.0")
    hold = upstream.hold("pf-many-*")
    api = Api(koschey)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    body = {"pins": [{"name": name, "version": "1.0"} for name in names]}
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(api.call, "POST", "preflight", body, token=NOBODY)
        try:
            wait_until(lambda: upstream.count("pf-many-*") == AT_ONCE)
            time.sleep(0.5)
            assert upstream.count("pf-many-*") == AT_ONCE
        finally:
            hold.release()
        answer = running.result()
    assert {pin["state"] for pin in answer.json["pins"]} == {"served"}
    assert upstream.count("pf-many-*") == len(names)


def test_an_upstream_that_is_away_is_told_as_such(koschey: Koschey, upstream: Upstream) -> None:
    """What cannot be looked up is unknown, never missing; what is known is told all the same."""
    upstream.add("pf-here", "1.0")
    koschey.page("pf-here")
    upstream.fault("pf-away", status=503)
    here, away = preflight(koschey, {"name": "pf-here", "version": "1.0"}, {"name": "pf-away", "version": "1.0"})
    assert (here["state"], away["state"]) == ("served", "unknown")
    assert away["reason"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"pins": [{"name": "a", "version": "1"}] * (MAX_PINS + 1)}, 400),
        ({"pins": [{"name": "../x", "version": "1"}]}, 400),
        ({"pins": [{"name": "a", "version": "1\0"}]}, 400),
        ({"pins": [{"name": "a", "version": "1", "hashes": ["sha256:zz"]}]}, 400),
        ({"pins": [{"name": "a", "version": "1", "extra": 1}]}, 400),
        ({}, 400),
        ({"pins": [{"name": "a", "version": "1", "hashes": [f"sha256:{'0' * 64}"] * 20_000}]}, 413),
    ],
    ids=range(7),
)
def test_bad_lists(koschey: Koschey, body: object, status: int) -> None:
    """A list that is too long, or not as documented, is refused as a problem."""
    assert is_problem(Api(koschey).call("POST", "preflight", body, token=NOBODY), status)


def test_a_long_lock_is_answered(koschey: Koschey, upstream: Upstream) -> None:
    """Five thousand pins of known projects are answered in one request, and no pins are no error."""
    upstream.add("pf-long", "1.0")
    koschey.page("pf-long")
    pins = [{"name": "pf-long", "version": f"1.{number}"} for number in range(MAX_PINS)]
    answers = preflight(koschey, *pins)
    assert [answer["state"] for answer in answers[:2]] == ["served", "missing"]
    assert len(answers) == MAX_PINS
    assert preflight(koschey) == []


def test_wrong_credentials_are_not_anonymous(koschey: Koschey) -> None:
    """Where everybody may read, a login is not needed, but a wrong one is told."""
    answer = Api(koschey).call("POST", "preflight", {"pins": []}, token="kos_wrong")
    assert is_problem(answer, 401)
    assert json.loads(answer.body)["detail"]
