"""`leaseway tasks` against the deployed stack, as a person types it."""

import json
import secrets
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from leaseway_local import cli
from leaseway_local.commands import api_access
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.demo.samples import samples
from support.commands import RunCommand
from support.deployed_stacks import DeployedStack
from support.waiting import wait_until


@pytest.fixture
def leaseway(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    monkeypatch.setattr(api_access, "open_api", lambda target: ApiClient(stack.outputs.api_url, auth=stack.admin))
    return lambda *arguments: CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture
def name() -> str:
    return f"cli-{secrets.token_hex(6)}"


def read_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_task_is_created_paused_resumed_and_run(leaseway: RunCommand, name: str) -> None:
    payload = json.dumps({"duration_ms": 10})
    task = read_json(leaseway("tasks", "create", name, "SLEEP", "--payload", payload, "--every", "1h", "--json"))
    assert (task["name"], task["every"], task["state"]) == (name, "1h", "WAITING")
    assert read_json(leaseway("tasks", "pause", name, "--json"))["state"] == "PAUSED"
    assert read_json(leaseway("tasks", "resume", task["id"], "--json"))["next_run"]

    job_id = read_json(leaseway("tasks", "run", name, "--json"))["job_id"]

    def list_completed() -> list[dict[str, Any]]:
        entries = read_json(leaseway("tasks", "history", name, "--json"))["content"]
        return [entry for entry in entries if entry["status"] == "COMPLETED"]

    assert wait_until(list_completed, seconds=30, what="the run", every=0.5)[0]["run"]["job_id"] == job_id
    assert name in leaseway("tasks", "list").stdout
    assert "COMPLETED" in leaseway("tasks", "history", name).stdout
    watched = leaseway("tasks", "watch", "--looks", 1)
    assert watched.exit_code == 0
    assert name in watched.stdout


def test_a_refusal_is_printed_with_its_field(leaseway: RunCommand, name: str) -> None:
    payload = json.dumps({"duration_ms": 10})
    refused = leaseway("tasks", "create", name, "SLEEP", "--payload", payload, "--every", "1s")

    assert refused.exit_code == 1
    assert refused.stderr.startswith("INVALID_SCHEDULE: ")
    assert "(every)" in refused.stderr


def test_seeding_installs_six_samples_once(
    leaseway: RunCommand, stack: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEASEWAY_SAMPLE_SECONDS", "2")
    first, second = leaseway("tasks", "seed"), leaseway("tasks", "seed")
    assert (first.exit_code, first.stdout.count("defined")) == (0, 6)
    assert second.stdout.count("there already") == 6
    for task in read_json(leaseway("tasks", "list", "--json")):
        if task["name"] in {sample["name"] for sample in samples(2, "https://example.com/")}:
            assert 2_000 <= task["payload"]["duration_ms"] <= 2_500


def test_samples_are_two_minutes_long_unless_shortened() -> None:
    sample_tasks = samples(120, "https://example.com/")
    assert len(sample_tasks) >= 5
    assert len({sample["type"] for sample in sample_tasks} - {"SLEEP"}) >= 3
    assert all(sample["payload"]["duration_ms"] >= 120_000 for sample in sample_tasks)
    assert all(sample["payload"]["duration_ms"] < sample["ttl_ms"] <= 840_000 for sample in sample_tasks)
