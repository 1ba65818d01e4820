"""METADATA that only an upstream vouches for: what it costs to read is bounded, and other requests go on meanwhile."""

import threading

import pytest

from koschey.serving import project_json
from koschey.standards.core_metadata import MAX_FIELDS, CoreMetadata, read_core_metadata
from tests.support.app_in_process import AppInProcess


@pytest.mark.parametrize(("count", "is_read"), [(200_000, False), (MAX_FIELDS - 10, True)])
@pytest.mark.parametrize("promised", [True, False])
def test_many_requirements_of_a_mirrored_wheel(
    app: AppInProcess, monkeypatch: pytest.MonkeyPatch, count: int, promised: bool, is_read: bool
) -> None:
    """B14: METADATA of 200,000 requirements is served as it is and not parsed; less is parsed beside the event loop."""
    name = f"mu-{count}-{promised}".lower()
    requirements = [f"a{number}" for number in range(count)]
    file = app.upstream.add(name, "1.0", requires=requirements, core_metadata=promised)
    read: list[tuple[threading.Thread, CoreMetadata | None]] = []

    def watched(body: bytes) -> CoreMetadata | None:
        core = read_core_metadata(body)
        read.append((threading.current_thread(), core))
        return core

    monkeypatch.setattr(project_json, "read_core_metadata", watched)
    assert [each["filename"] for each in app.page(name)["files"]] == [file.filename]
    if not promised:
        app.store(file.filename)
    answer = app.ask(f"/pypi/{name}/json")
    assert answer.status == 200
    assert len(answer.json["info"]["requires_dist"] or []) == (count if is_read else 0)
    assert [(core is not None) for _, core in read] == [is_read]
    assert threading.main_thread() not in [thread for thread, _ in read]
    body = app.ask(f"{file.path}.metadata").body
    assert body.count(b"Requires-Dist: ") == count
