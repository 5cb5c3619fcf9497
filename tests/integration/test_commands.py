"""`leaseway balance`, `jobs` and `demo` against the deployed stack, as a person types them."""

import json
import secrets
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leaseway.jobs.types import catalogue
from leaseway_local import cli
from leaseway_local.commands import api_access
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.demo import pictures
from leaseway_local.demo.page_server import serving
from leaseway_local.demo.samples import samples
from leaseway_local.engine import paths
from leaseway_local.engine.ports import demo_host
from leaseway_local.errors import LocalCloudError
from support.commands import RunCommand
from support.deployed_stacks import AnyEngine, DeployedStack, StackFactory
from support.waiting import wait_until


@pytest.fixture
def leaseway(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Runs a command on the shared stack."""
    return _commands_on(stack, monkeypatch)


@pytest.fixture
def user(stack: DeployedStack) -> str:
    """A user with 100.00."""
    name = f"cli-{secrets.token_hex(6)}"
    stack.api.post("/api/users", {"userId": name, "balance": 100})
    return name


def _commands_on(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    monkeypatch.setattr(api_access, "open_api", lambda target: ApiClient(stack.outputs.api_url, auth=stack.admin))
    return lambda *arguments, **typed: CliRunner().invoke(cli.app, [str(argument) for argument in arguments], **typed)


def test_a_negative_amount_needs_no_quoting(leaseway: RunCommand, user: str) -> None:
    assert leaseway("balance", "update", user, "-30.25", "--reference", "an order").exit_code == 0

    answer = leaseway("balance", "show", user, "--json")
    assert json.loads(answer.stdout)["balance"] == 69.75
    assert "69.75" in leaseway("balance", "show", user).stdout


def test_a_refusal_is_printed_in_one_line_and_exits_1(leaseway: RunCommand, user: str) -> None:
    refused = leaseway("balance", "update", user, "-500")

    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("INSUFFICIENT_FUNDS: ")
    assert "100.00" in refused.stderr


def test_a_refusal_names_the_field_at_fault(leaseway: RunCommand, user: str) -> None:
    refused = leaseway("balance", "update", user, "1.234")

    assert refused.exit_code == 1
    assert "(amount)" in refused.stderr


def test_a_refusal_can_be_had_as_json(leaseway: RunCommand, user: str) -> None:
    refused = leaseway("balance", "update", user, "-500", "--json")

    assert json.loads(refused.stderr)["code"] == "INSUFFICIENT_FUNDS"


@pytest.mark.parametrize(
    "arguments",
    [
        ("balance", "update", "somebody"),
        ("balance", "update", "somebody", "1", "2"),
        ("jobs", "create", "SLEEP", "--payload", "{broken"),
        ("jobs", "create", "SLEEP", "--payload", "[1]"),
        ("jobs", "wait"),
        ("jobs", "list", "--target", "moon"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_asked(leaseway: RunCommand, arguments: tuple[str, ...]) -> None:
    assert leaseway(*arguments).exit_code == 2


def test_a_job_is_created_and_awaited_by_one_command(leaseway: RunCommand) -> None:
    done = leaseway("jobs", "create", "GENERATE_LOGIN", "--payload", '{"length": 12}', "--wait", "--json")

    job = json.loads(done.stdout)
    assert (done.exit_code, job["status"]) == (0, "COMPLETED")
    assert len(job["result"]["login"]) == 12
    assert job["result"]["login"] in leaseway("jobs", "get", job["id"]).stdout


def test_waiting_ends_with_exit_1_when_a_job_was_cancelled(leaseway: RunCommand) -> None:
    good = json.loads(leaseway("jobs", "create", "SLEEP", "--payload", '{"duration_ms": 1}', "--json").stdout)
    late = json.loads(
        leaseway("jobs", "create", "SLEEP", "--payload", '{"duration_ms": 9000}', "--ttl-ms", 300, "--json").stdout
    )

    waited = leaseway("jobs", "wait", good["id"], late["id"], "--timeout", 60, "--json")

    assert waited.exit_code == 1
    assert [job["status"] for job in json.loads(waited.stdout)] == ["COMPLETED", "CANCELLED"]


def test_a_job_is_cancelled_and_tried_again_by_command(leaseway: RunCommand) -> None:
    created = leaseway("jobs", "create", "SLEEP", "--payload", '{"duration_ms": 1}', "--delay", "600", "--json")
    job_id = json.loads(created.stdout)["id"]
    assert json.loads(leaseway("jobs", "cancel", job_id, "--json").stdout)["status"] == "CANCELLED"
    assert leaseway("jobs", "retry", job_id).exit_code == 0
    assert leaseway("jobs", "wait", job_id, "--timeout", "60").exit_code == 0
    again = leaseway("jobs", "retry", job_id)
    assert (again.exit_code, again.stderr.startswith("NOT_RETRYABLE: ")) == (1, True)


def test_many_jobs_are_looked_at_asked_for_cancelled_and_tried_again(leaseway: RunCommand) -> None:
    # Given 3 jobs of a tag that wait
    tag = f"cli-{secrets.token_hex(6)}"
    waiting = ("jobs", "create", "SLEEP", "--payload", '{"duration_ms": 1}', "--delay", "600", "--tag", tag)
    ids = {json.loads(leaseway(*waiting, "--json").stdout)["id"] for _ in range(3)}
    # When they are looked at, and a person says no, nothing is changed
    dry = leaseway("jobs", "cancel", "--tag", tag, "--dry-run")
    assert (dry.exit_code, "3 jobs would be cancelled" in dry.stdout) == (0, True)
    assert all(job_id in dry.stdout for job_id in ids)
    refused = leaseway("jobs", "cancel", "--tag", tag, input="n\n")
    assert (refused.exit_code, "cancel 3 jobs?" in refused.stderr) == (1, True)
    listed = json.loads(leaseway("jobs", "list", "--tag", tag, "--json").stdout)["content"]
    assert {job["status"] for job in listed} == {"CREATED"}
    # When he says yes, they are cancelled; and tried again without a question, two at most
    agreed = leaseway("jobs", "cancel", "--tag", tag, input="y\n")
    assert (agreed.exit_code, "3 jobs cancelled" in agreed.stdout) == (0, True)
    again = json.loads(leaseway("jobs", "retry", "--tag", tag, "--limit", 2, "--yes", "--json").stdout)
    assert (again["changed"], again["refused"], again["cursor"] is not None) == (2, 0, True)
    assert leaseway("jobs", "wait", *(one["id"] for one in again["content"]), "--timeout", 60).exit_code == 0
    # And when nothing is left, nothing is asked
    assert "0 jobs would be cancelled" in leaseway("jobs", "cancel", "--tag", tag, "--status", "CREATED").stdout


def test_what_to_cancel_is_an_id_or_a_filter(leaseway: RunCommand) -> None:
    for wrong in ((), ("0" * 32, "--type", "SLEEP")):
        refused = leaseway("jobs", "cancel", *wrong)
        assert (refused.exit_code, "either a job's id, or a filter" in " ".join(refused.stderr.split())) == (2, True)


def test_waiting_shows_how_far_a_job_is_and_reading_it_what_its_attempts_were(leaseway: RunCommand) -> None:
    payload = '{"below": 1000, "duration_ms": 3000}'
    waited = leaseway("jobs", "create", "PRIME_COUNT", "--payload", payload, "--wait", "--tag", "a", "--tag", "b")
    assert waited.exit_code == 0, waited.output
    assert "segment" in waited.stderr
    assert "% " in waited.stderr
    assert "a, b" in waited.stdout
    failing = '{"source": {"url": "http://no-such-host.invalid/"}, "width": 1, "height": 1}'
    failed = leaseway("jobs", "create", "IMAGE_RESIZE", "--payload", failing, "--max-attempts", 2, "--wait")
    assert failed.exit_code == 1
    assert [line for line in failed.stdout.splitlines() if line.startswith("attempt 2  ERROR")]


def test_waiting_gives_up_after_its_timeout_and_names_the_job(leaseway: RunCommand) -> None:
    job = json.loads(leaseway("jobs", "create", "SLEEP", "--payload", '{"duration_ms": 4000}', "--json").stdout)

    waited = leaseway("jobs", "wait", job["id"], "--timeout", 0.2)

    assert waited.exit_code == 1
    assert job["id"] in waited.stderr


def test_a_list_is_followed_to_its_end(leaseway: RunCommand) -> None:
    created = {json.loads(leaseway("jobs", "create", "GENERATE_NUMBER", "--json").stdout)["id"] for _ in range(5)}

    page = json.loads(leaseway("jobs", "list", "--type", "GENERATE_NUMBER", "--size", 2, "--json").stdout)
    whole = json.loads(leaseway("jobs", "list", "--type", "GENERATE_NUMBER", "--size", 2, "--all", "--json").stdout)

    assert len(page["content"]) == 2
    assert created <= {job["id"] for job in whole["content"]}


@pytest.fixture
def demo_stack(make_stack: StackFactory, engine: AnyEngine) -> DeployedStack:
    """A stack that lets HTTP jobs reach the demo's own server, as `leaseway up` deploys it."""
    return make_stack("demo", HttpAllowedHosts=demo_host(engine.port))


def test_the_demo_shows_money_every_job_type_and_a_resized_picture(
    demo_stack: DeployedStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("leaseway_local.commands.demo.default_home", lambda: paths.Home(tmp_path))
    leaseway = _commands_on(demo_stack, monkeypatch)

    first, second = leaseway("demo"), leaseway("demo")

    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    type_names = [kind.name for kind in catalogue().values() if kind.runs_on == "lambda"]
    assert [name for name in type_names if name not in first.stdout] == []
    # A job of each short type, and a run of each task.
    assert first.stdout.count(" COMPLETED ") == 5 + len(samples(1, ""))
    assert "refused: INSUFFICIENT_FUNDS" in first.stdout
    assert pictures.dimensions((tmp_path / "demo" / "after.png").read_bytes()) == (320, 240)


def test_the_demo_server_is_gone_when_the_demo_is_interrupted(free_host: str) -> None:
    with pytest.raises(KeyboardInterrupt), serving(free_host):
        raise KeyboardInterrupt

    with serving(free_host) as again:
        assert again.startswith(f"http://{free_host}/")


def test_a_taken_demo_port_is_reported_with_what_to_do(free_host: str) -> None:
    with serving(free_host), pytest.raises(LocalCloudError) as refusal, serving(free_host):
        pass

    assert free_host.rpartition(":")[2] in refusal.value.what
    assert "LEASEWAY_PORT" in refusal.value.todo


@pytest.fixture
def free_host() -> str:
    """`host:port` on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_command_on_a_cloud_that_is_down_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.delenv("LEASEWAY_ENGINE", raising=False)
    monkeypatch.setattr("sys.argv", ["leaseway", "balance", "show", "1"])

    with pytest.raises(SystemExit) as left:
        cli.main()

    assert left.value.code == 1
    assert "`leaseway up` starts it" in capsys.readouterr().err


def test_top_shows_counts_by_type_and_what_failed_last(leaseway: RunCommand, stack: DeployedStack) -> None:
    unreachable = {"type": "HTTP_GET", "payload": {"url": "http://nowhere.invalid/"}, "max_attempts": 1}
    job = stack.api.post("/api/v1/jobs", unreachable)
    wait_until(lambda: stack.api.get(f"/api/v1/jobs/{job['id']}")["status"] == "FAILED", seconds=60, what="its failure")

    def run_top() -> str:
        seen = leaseway("top", "--looks", 2, "--seconds", 0.2)
        assert seen.exit_code == 0, seen.output
        return seen.stdout

    def has_both() -> bool:
        screen = run_top()
        has_type = any(line.split()[:1] == ["HTTP_GET"] for line in screen.splitlines())
        return has_type and job["id"][:8] in screen

    wait_until(has_both, seconds=30, what="the failed job to be shown, and its type to be counted")
    assert "everybody's jobs" in (screen := run_top())
    assert "jobs ended a second" in screen
