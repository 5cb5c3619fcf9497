"""Dead letters on the deployed stack: given up by the dead-letter function, listed, replayed at a pace, and run."""

import json
import secrets
from typing import Any

import pytest
from typer.testing import CliRunner

from leaseway_local import cli
from leaseway_local.commands import api_access
from leaseway_local.connection.api_client import ApiClient
from support.as_function import act_as_function
from support.commands import RunCommand
from support.dead_letters import compute_distant_look, make_dead_letters
from support.deployed_stacks import DeployedStack
from support.seed_jobs import make_job_item, put_jobs
from support.waiting import wait_until


@pytest.fixture
def leaseway(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Runs a command on the shared stack."""
    monkeypatch.setattr(api_access, "open_api", lambda target: ApiClient(stack.outputs.api_url, auth=stack.admin))
    return lambda *arguments: CliRunner().invoke(cli.app, list(arguments))


def list_ids(stack: DeployedStack) -> list[str]:
    return [job["id"] for job in stack.api.get("/api/v1/dead-letters", size=100)["content"]]


def completes(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    path = f"/api/v1/jobs/{job_id}"
    return wait_until(lambda: (job := stack.api.get(path))["status"] == "COMPLETED" and job, seconds=60, what="its end")


def test_what_was_given_up_is_listed_and_one_is_replayed(stack: DeployedStack) -> None:
    one, other = make_dead_letters(stack, 2)
    assert {one, other} <= set(list_ids(stack))
    assert "no worker claimed" in stack.api.get(f"/api/v1/jobs/{one}")["error_message"]

    again = stack.api.post(f"/api/v1/dead-letters/{one}/replay")

    assert (again["id"], again["status"], again["dead_lettered_at"]) == (one, "CREATED", None)
    assert completes(stack, one)["attempts"] == 1
    assert one not in list_ids(stack)
    assert stack.api.request("POST", f"/api/v1/dead-letters/{one}/replay").status_code == 404


def test_a_replay_of_all_is_counted_paced_and_runs_to_its_end(stack: DeployedStack) -> None:
    # Given dead letters, counted by the tally
    ids = make_dead_letters(stack, 12)
    wait_until(lambda: stack.api.get("/api/v1/dead-letters")["totalElements"] >= 12, seconds=30, what="their count")
    # When all are replayed in two calls, one after the other
    first = stack.api.post("/api/v1/dead-letters/replay", {"limit": 8})
    assert (first["replayed"], first["left"] >= 4) == (8, True)
    second = stack.api.post("/api/v1/dead-letters/replay")
    # Then all complete, at ten a second at the most
    assert (second["replayed"] >= 4, second["left"]) == (True, 0)
    assert second["last_starts_at"] > first["last_starts_at"]
    started = sorted(completes(stack, job_id)["started_at"] for job_id in ids)
    assert started[-1] > started[0]
    assert list_ids(stack) == []
    wait_until(lambda: stack.api.get("/api/v1/dead-letters")["totalElements"] == 0, seconds=30, what="none counted")


def test_dead_letters_are_listed_and_replayed_by_command(stack: DeployedStack, leaseway: RunCommand) -> None:
    one, *others = make_dead_letters(stack, 3)

    answer = leaseway("dead-letters", "list", "--size", "100", "--json")
    assert {one, *others} <= {job["id"] for job in json.loads(answer.stdout)["content"]}
    assert json.loads(leaseway("dead-letters", "replay", one, "--json").stdout)["status"] == "CREATED"
    twice = leaseway("dead-letters", "replay", one)
    assert (twice.exit_code, twice.stderr.startswith("DEAD_LETTER_NOT_FOUND: ")) == (1, True)

    assert leaseway("dead-letters", "replay", "--all").exit_code == 1  # the question has no answer
    assert set(others) <= set(list_ids(stack))
    report = json.loads(leaseway("dead-letters", "replay", "--all", "--yes", "--json").stdout)
    assert (report["replayed"] >= 2, report["left"]) == (True, 0)
    assert leaseway("dead-letters", "replay", "--all", "--yes").stdout.startswith("0 replayed, 0 left")
    for job_id in (one, *others):
        completes(stack, job_id)


def message_of(job_id: str, version: int) -> str:
    return json.dumps({"job_id": job_id, "ttl_ms": 60_000, "version": version})


def messages(stack: DeployedStack, queue: str) -> int:
    """Messages of a queue, hidden and delayed ones included."""
    counts = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[queue], AttributeNames=["All"])[
        "Attributes"
    ]
    return sum(int(number) for name, number in counts.items() if name.startswith("ApproximateNumberOf"))


def test_duplicates_of_a_held_job_are_deleted_and_its_own_message_stays(stack: DeployedStack) -> None:
    # Given a job that a worker holds
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["JobsQueueUrl"])  # of what killed workers left hidden
    wait_until(lambda: messages(stack, "JobsQueueUrl") == 0, seconds=60, what="an empty queue")
    job = stack.api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 20_000}})
    path = f"/api/v1/jobs/{job['id']}"
    wait_until(lambda: stack.api.get(path)["status"] == "RUNNING", seconds=60, what="its claim")
    # When the queue has five more messages of it
    sqs = stack.client("sqs")
    for _ in range(5):
        sqs.send_message(QueueUrl=stack.outputs["JobsQueueUrl"], MessageBody=message_of(job["id"], version=1))
    # Then only the one that its worker keeps hidden is left while the job runs
    wait_until(lambda: messages(stack, "JobsQueueUrl") == 1, seconds=15, what="one message", every=0.2)
    assert stack.api.get(path)["status"] == "RUNNING"
    assert completes(stack, job["id"])["attempts"] == 1
    wait_until(lambda: messages(stack, "JobsQueueUrl") == 0, seconds=30, what="no message")


def test_a_dead_letter_of_a_job_that_moved_since_fails_nothing(stack: DeployedStack) -> None:
    # Given a job whose first attempt was made, and which has waited long for the next
    (item,) = [
        make_job_item(1, owner=f"moved-{secrets.token_hex(4)}", status="CREATED", look_at=compute_distant_look())
    ]
    with act_as_function(stack):
        put_jobs([item])
    job_id, version = item["id"]["S"], int(item["version"]["N"])
    # When a message that was sent before that attempt is a dead letter
    sqs = stack.client("sqs")
    sqs.send_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=message_of(job_id, version - 2))
    # Then the job gets a new message and completes
    job = completes(stack, job_id)
    assert (job["attempts"], job["dead_lettered_at"]) == (2, None)


@pytest.mark.parametrize("arguments", [(), ("0" * 32, "--all")])
def test_a_replay_needs_either_an_id_or_all(leaseway: RunCommand, arguments: tuple[str, ...]) -> None:
    assert leaseway("dead-letters", "replay", *arguments).exit_code == 2
