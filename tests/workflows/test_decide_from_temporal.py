"""The lines of docs/temporal.md, run as they stand there against a real server.

No wheel has tctl. Its lines are read as tctl reads them, and sent as the gRPC calls that it makes of them.
"""

import asyncio
import getpass
import json
import re
import shlex
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from temporalio.api.batch.v1 import BatchOperationSignal
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest, StartBatchOperationRequest
from temporalio.client import Client

from tests.support.koschey_up import Koschey, wait_until
from tests.support.releases import hold_settled
from tests.support.temporal_cli import review, temporal
from tests.support.upstream.server import Upstream, UpstreamFile

PAGE = (Path(__file__).parents[2] / "docs" / "temporal.md").read_text()


def documented(tool: str, project: str, code: str = "") -> list[list[str]]:
    """The page's lines for a tool about a project, as words, with a code in the place of the page's."""
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
    lines = [line.removeprefix(f"$ {tool} ") for line in blocks.splitlines() if line.startswith(f"$ {tool} ")]
    coded = [re.sub(r'"code": "[^"]+"', f'"code": "{code}"', line) for line in lines if project in line]
    return [shlex.split(line, comments=True) for line in coded]


def tctl(koschey: Koschey, *words: str) -> None:
    """Send what tctl would send: `SignalWorkflowExecution`, or `StartBatchOperation` with a signal."""
    options = {words[n]: words[n + 1] for n in range(2, len(words) - 1) if words[n].startswith("--")}
    given = Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=options["--input"].encode())])
    asyncio.run(_send(koschey.settings["KOSCHEY_TEMPORAL_ADDRESS"], words[:2], options, given))


async def _send(address: str, command: Sequence[str], options: dict[str, str], given: Payloads) -> None:
    service = (await Client.connect(address)).workflow_service
    if tuple(command) == ("workflow", "signal"):
        await service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace="default",
                workflow_execution=WorkflowExecution(workflow_id=options["--workflow_id"]),
                signal_name=options["--name"],
                input=given,
                identity="tctl",
            )
        )
        return
    assert tuple(command) == ("batch", "start")
    assert options["--batch_type"] == "signal"
    await service.start_batch_operation(
        StartBatchOperationRequest(
            namespace="default",
            visibility_query=options["--query"],
            job_id=str(uuid.uuid4()),
            reason=options["--reason"],
            signal_operation=BatchOperationSignal(signal=options["--signal_name"], input=given, identity="tctl"),
        )
    )


def send(koschey: Koschey, tool: str, words: Sequence[str]) -> None:
    """Run one line."""
    (temporal if tool == "temporal" else tctl)(koschey, *words)


def test_one_release(koschey: Koschey, upstream: Upstream) -> None:
    """Each documented line about one release does what it says."""
    [file] = hold_settled(koschey, upstream, "six", "1.17.0")
    code = review(koschey, "extend", ("six", "1.17.0"), days=14)["code"]
    query, extend, _ = documented("temporal", "quarantine/six/", code)
    assert "QueryResult" in temporal(koschey, *query)
    temporal(koschey, *extend)
    held_until = "SELECT held_until FROM standing JOIN file ON file.id = file_id WHERE filename = $1"
    assert wait_until(lambda: koschey.fetch_value(held_until, file.filename)) > datetime.now(UTC) + timedelta(days=13)
    code = review(koschey, "approve", ("six", "1.17.0"))["code"]
    _, _, approve = documented("temporal", "quarantine/six/", code)
    assert "serial" in temporal(koschey, *approve)
    assert koschey.state_of(file.filename) == "released"
    door = "SELECT actor || ' ' || door FROM decision WHERE project = 'six' AND action = 'approve'"
    assert koschey.fetch_value(door) == "admin code"


@pytest.mark.parametrize(("tool", "project"), [("temporal", "acme-tools"), ("tctl", "acme-train")])
def test_many_releases_by_a_search(koschey: Koschey, upstream: Upstream, tool: str, project: str) -> None:
    """One documented line releases everything that a search finds and the code covers, and nothing else."""
    waiting = hold_settled(koschey, upstream, project, "2.0", "2.1", "2.2", "2.3")
    [other] = hold_settled(koschey, upstream, f"{project}-other", "1.0")
    code = review(koschey, "approve", *((project, version) for version in ("2.0", "2.1", "2.2")))["code"]
    [batch] = documented(tool, "acme-tools", code)
    batch = [word.replace("acme-tools", project) for word in batch]
    wait_until(lambda: len(listed(koschey, project)) == 4, timeout=30)
    send(koschey, tool, batch)
    wait_until(lambda: {koschey.state_of(file.filename) for file in waiting[:3]} == {"released"}, timeout=60)
    wait_until(lambda: "refused: there is no such code" in answers(koschey, f"quarantine/{project}/2.3"), timeout=60)
    decided = "SELECT count(DISTINCT version) FROM decision WHERE project = $1 AND action = 'approve'"
    assert koschey.fetch_value(decided, project) == 3
    assert {koschey.state_of(file.filename) for file in (waiting[3], other)} == {"held"}


def answers(koschey: Koschey, workflow: str) -> str:
    """What became of signals to a workflow."""
    return temporal(koschey, "workflow", "query", "--workflow-id", workflow, "--type", "answers")


def listed(koschey: Koschey, project: str) -> list[str]:
    """The ids of the held releases of a project that the documented search finds."""
    [search] = documented("temporal", "WorkflowType")
    words = [word + f' AND KoscheyProject="{project}"' if word.startswith("WorkflowType") else word for word in search]
    found = json.loads(temporal(koschey, *words, "--output", "json"))
    return [one["execution"]["workflowId"] for one in found]


@pytest.mark.parametrize(("tool", "project"), [("temporal", "typosix"), ("tctl", "typoseven")])
def test_reject(koschey: Koschey, upstream: Upstream, tool: str, project: str) -> None:
    """The documented rejection blocks."""
    [file] = hold_settled(koschey, upstream, project, "1.0")
    [reject] = documented(tool, "typosix", review(koschey, "block", (project, "1.0"))["code"])
    send(koschey, tool, [word.replace("typosix", project) for word in reject])
    wait_until(lambda: koschey.state_of(file.filename) == "blocked")


def test_every_documented_line_is_one_of_these() -> None:
    """No line for a tool stands on the page that no test runs."""
    lines = re.findall(r"^\$ (?:temporal|tctl) .*", PAGE, re.MULTILINE)
    about = ("WorkflowType", "quarantine/six/", "acme-tools", "typosix")
    found = [line for tool in ("temporal", "tctl") for project in about for line in documented(tool, project)]
    assert len(lines) == len(found) == 8


@pytest.mark.parametrize("tool", ["temporal", "tctl"])
def test_ready_lines_of_the_command(koschey: Koschey, upstream: Upstream, tool: str) -> None:
    """What `koschey code` prints decides when it is run, for one release and for all of a project."""
    project = f"ready-{tool}"
    files = hold_settled(koschey, upstream, project, "1.0", "2.0", "3.0")
    for scope, number in ((f"{project}==1.0", 1), (project, 3)):
        shown = koschey.run("code", "approve", scope, "--reason", "it's fine").stdout
        assert all(file.sha256 in shown for file in files[number - 1 : number])
        [line] = [line for line in shown.splitlines() if line.startswith(f"{tool} ")]
        send(koschey, tool, shlex.split(line)[1:])
        wait_until(partial(are_released, koschey, files[:number]), timeout=60)
    who = "SELECT DISTINCT actor || ' ' || door || ' ' || reason FROM decision WHERE project = $1"
    assert koschey.fetch_value(who, project) == f"{getpass.getuser()} cli it's fine"


def are_released(koschey: Koschey, files: Sequence[UpstreamFile]) -> bool:
    """Whether all of them are."""
    return {koschey.state_of(file.filename) for file in files} == {"released"}


def test_the_page_in_temporals_ui_says_how_to_get_a_code(koschey: Koschey, upstream: Upstream) -> None:
    """What a workflow shows of itself names the command, and lines with a place for the code."""
    hold_settled(koschey, upstream, "paged", "1.0")
    shown = temporal(koschey, "workflow", "metadata", "--workflow-id", "quarantine/paged/1.0", "--output", "json")
    assert "koschey code approve paged==1.0" in shown
    assert '\\"code\\": \\"CODE\\"' in shown or '\\\\"code\\\\": \\\\"CODE\\\\"' in shown
