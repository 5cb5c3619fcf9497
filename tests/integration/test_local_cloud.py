"""The command `leaseway` on a cloud of its own: what a person types, what is left afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import pytest

from leaseway_local.commands import cloud
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.deployment.deployer import Deployer
from leaseway_local.engine import processes
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import Home
from leaseway_local.engine.processes import free_port, wait_until
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring.monitor import Monitor
from leaseway_local.terminal.console import Steps

pytestmark = pytest.mark.only_on("ministack", because="no other engine is started, watched and stopped by `leaseway`")

LEASEWAY = Path(sys.executable).with_name("leaseway")


class Terminal:
    """A person at a terminal: a home and a port of their own, and settings that must not matter."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.engine = Engine(self.home)
        self.port = free_port()

    @property
    def environment(self) -> dict[str, str]:
        misleading = {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_PROFILE": "nobody",
            "AWS_ACCESS_KEY_ID": "AKIAUSER",
            "LOCALSTACK_HOST": "127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        }
        return {**os.environ, **misleading, "LEASEWAY_HOME": str(self.home.path), "LEASEWAY_PORT": str(self.port)}

    def runs(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LEASEWAY, *command], env=self.environment, capture_output=True, text=True, check=False, timeout=180
        )

    def api(self) -> ApiClient:
        """The API, as the first Admin."""
        token = self.runs("token").stdout.split()[-1]
        url = json.loads(self.runs("outputs", "--json").stdout)["api_url"]
        return ApiClient(url, headers={"authorization": f"Bearer {token}"})

    def stops(self) -> None:
        Monitor(self.home).stop()
        self.engine.stop()

    def nothing_runs(self) -> bool:
        return not processes.running_with(str(self.home.path)) and processes.port_is_free(self.port)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    person = Terminal(tmp_path_factory.mktemp("person"))
    first = person.runs("up")
    assert first.returncode == 0, first.stderr
    yield person
    person.stops()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Terminal]:
    person = Terminal(tmp_path / "cloud")
    yield person
    person.stops()


def completes(api: ApiClient, job_id: str) -> bool:
    return wait_until(lambda: api.get(f"/api/v1/jobs/{job_id}")["status"] == "COMPLETED", 60, every=0.2)


def test_up_makes_the_first_account_and_says_where_everything_is(terminal: Terminal) -> None:
    outputs = json.loads(terminal.runs("outputs", "--json").stdout)

    assert outputs["endpoint_url"] == f"http://127.0.0.1:{terminal.port}"
    assert {"jobs_table", "accounts_table", "totals_table", "jobs_queue_url", "dead_letter_queue_url", "bucket"} <= set(
        outputs
    )
    with terminal.api() as api:
        assert float(api.get("/api/users/1/balance")["balance"]) == 10_000
    written = terminal.home.outputs("local", "leaseway")
    assert json.loads(written.read_text()) == outputs
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_second_up_builds_and_deploys_nothing(terminal: Terminal) -> None:
    before = json.loads(terminal.runs("outputs", "--json").stdout)
    pid = terminal.engine.record().pid

    again = terminal.runs("up")

    assert again.returncode == 0
    assert "nothing to build; the stack is up to date" in again.stderr
    assert f"export LOCALSTACK_HOST=127.0.0.1:{terminal.port}" in again.stdout
    assert terminal.engine.record().pid == pid
    assert json.loads(terminal.runs("outputs", "--json").stdout) == before


def test_the_engine_listens_on_the_loopback_address_only(terminal: Terminal) -> None:
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {
        row[1].partition(":")[0] for row in table if row[1].endswith(f":{terminal.port:04X}") and row[3] == "0A"
    }

    assert addresses == {"0100007F"}


def test_functions_see_nothing_of_the_users_aws_settings(terminal: Terminal) -> None:
    with terminal.api() as api:
        api.get("/health")
    environments = [
        dict(entry.split("=", 1) for entry in raw.split("\0") if "=" in entry)
        for pid in terminal.engine.functions()
        if (raw := Path(f"/proc/{pid}/environ").read_text())
    ]

    assert environments
    for environment in environments:
        assert "AWS_PROFILE" not in environment
        assert environment["AWS_ACCESS_KEY_ID"] == "000000000000"
        assert environment["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{terminal.port}"
        assert environment["HOME"] == str(terminal.home.path)


def test_down_leaves_nothing_running_and_data_survives_it(terminal: Terminal) -> None:
    with terminal.api() as api:
        api.post("/api/users", {"userId": "kept", "balance": "12.34"})
        job = api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})["id"]
        assert completes(api, job)

    assert terminal.runs("down").returncode == 0
    assert terminal.nothing_runs()
    assert not terminal.home.scratch.exists()

    assert terminal.runs("up").returncode == 0
    with terminal.api() as api:
        assert float(api.get("/api/users/kept/balance")["balance"]) == 12.34
        assert api.get(f"/api/v1/jobs/{job}")["status"] == "COMPLETED"
        assert completes(api, api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})["id"])


def test_a_killed_engine_is_reported_and_up_revives_it(terminal: Terminal) -> None:
    assert terminal.runs("status").returncode == 0
    killed = terminal.engine.record()
    os.kill(killed.pid, signal.SIGKILL)
    assert wait_until(lambda: not killed.is_alive(), 10)

    report = terminal.runs("status", "--json")
    assert report.returncode == 1
    assert json.loads(report.stdout)["parts"][0]["state"] == "died"

    revived = terminal.runs("up")
    assert revived.returncode == 0
    assert "had died" in revived.stderr
    after = terminal.runs("status", "--json")
    assert after.returncode == 0
    assert json.loads(after.stdout)["well"] is True


def test_status_names_a_part_that_does_not_do_its_work(terminal: Terminal) -> None:
    mappings = cloud.Clients(cloud.Target.LOCAL, terminal.engine.record().host).get("lambda")
    worker = mappings.list_event_source_mappings(FunctionName="leaseway-worker")["EventSourceMappings"][0]
    mappings.update_event_source_mapping(UUID=worker["UUID"], Enabled=False)
    try:
        report = json.loads(terminal.runs("status", "--json").stdout)
    finally:
        mappings.update_event_source_mapping(UUID=worker["UUID"], Enabled=True)

    assert [part["name"] for part in report["parts"] if not part["well"]] == ["WorkerFunction"]


def test_logs_show_what_a_function_said(terminal: Terminal) -> None:
    with terminal.api() as api:
        assert completes(api, job := api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})["id"])

    assert wait_until(lambda: job in terminal.runs("logs", "worker").stdout, 20, every=0.5)
    refused = terminal.runs("logs", "nobody")
    assert refused.returncode == 1
    assert "there is no function 'nobody'" in refused.stderr


def test_deploy_refuses_a_parameter_that_the_template_does_not_admit(terminal: Terminal) -> None:
    refused = terminal.runs("deploy", "--parameter", "LeaseSeconds=1")

    assert refused.returncode == 1
    assert "LeaseSeconds" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert terminal.runs("status").returncode == 0


def test_code_that_is_not_what_was_packaged_is_noticed(terminal: Terminal) -> None:
    clients = cloud.Clients(cloud.Target.LOCAL, terminal.engine.record().host)
    functions = clients.get("lambda")
    bucket = clients.get("s3").list_buckets()["Buckets"]
    code = next(each["Name"] for each in bucket if each["Name"].startswith("leaseway-code-"))
    keys = [each["Key"] for each in clients.get("s3").list_objects_v2(Bucket=code)["Contents"]]
    wrong = next(key for key in keys if key.startswith("core-layer"))
    right = next(key for key in keys if key.startswith("functions"))
    functions.update_function_code(FunctionName="leaseway-tally", S3Bucket=code, S3Key=wrong)
    try:
        refused = terminal.runs("up")
    finally:
        functions.update_function_code(FunctionName="leaseway-tally", S3Bucket=code, S3Key=right)

    assert refused.returncode == 1
    assert "TallyFunction does not run the code" in refused.stderr
    assert terminal.engine.running(), "an engine that ran before is not stopped by a failed deployment"


def test_a_taken_port_is_named_with_its_owner_and_nothing_is_started(fresh: Terminal) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", fresh.port))
        other.listen()
        refused = fresh.runs("up")

    assert refused.returncode == 1
    assert f"port {fresh.port} is taken by" in refused.stderr
    assert f"(pid {os.getpid()})" in refused.stderr
    assert "LEASEWAY_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert fresh.nothing_runs()


def test_a_failed_deployment_stops_the_engine_that_it_started(fresh: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASEWAY_HOME", str(fresh.home.path))
    monkeypatch.setenv("LEASEWAY_PORT", str(fresh.port))

    def fail(_deployer: Deployer) -> Never:
        assert fresh.engine.running()
        raise LocalCloudError("no luck")

    monkeypatch.setattr(Deployer, "deploy", fail)

    with pytest.raises(LocalCloudError, match="no luck"):
        cloud.bring_up(Steps())

    assert fresh.nothing_runs()


def test_ctrl_c_while_starting_leaves_nothing_running(fresh: Terminal) -> None:
    with subprocess.Popen(
        [LEASEWAY, "up"],
        env=fresh.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # What a shell starts in the background ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it takes no lock
    ) as command:
        assert wait_until(lambda: fresh.engine.running() is not None, 30, every=0.01)
        os.killpg(command.pid, signal.SIGINT)
        _, output = command.communicate(timeout=180)

    assert command.returncode != 0
    assert b"Traceback" not in output
    assert fresh.nothing_runs()


def test_two_ups_at_once_start_one_engine(fresh: Terminal) -> None:
    commands = [
        subprocess.Popen([LEASEWAY, "up", "--brief"], env=fresh.environment, stderr=subprocess.PIPE) for _ in range(2)
    ]
    outputs = [command.communicate(timeout=180)[1] for command in commands]

    assert [command.returncode for command in commands] == [0, 0], outputs
    serving = processes.running_with(f"leaseway_local.engine.ministack_server --port {fresh.port}")
    assert serving == [fresh.engine.record().pid]


def test_down_with_purge_removes_the_data(fresh: Terminal) -> None:
    assert fresh.runs("up", "--brief").returncode == 0
    assert any(fresh.home.objects.iterdir())

    assert fresh.runs("down", "--purge").returncode == 0

    assert fresh.nothing_runs()
    assert not fresh.home.state.exists()
    assert not fresh.home.objects.exists()
    assert fresh.runs("status").returncode == 1


def test_a_cloud_moves_to_another_port_with_its_data_and_goes_on_working(fresh: Terminal) -> None:
    # Given a cloud that is stopped, and a port that has changed since
    assert fresh.runs("up").returncode == 0
    assert fresh.runs("balance", "update", "1", "-0.50").returncode == 0
    assert fresh.runs("down").returncode == 0
    fresh.port = free_port()

    # When it starts on the other port
    assert fresh.runs("up").returncode == 0

    # Then its data is there and its queues are read
    assert json.loads(fresh.runs("balance", "show", "1", "--json").stdout)["balance"] == 9_999.5
    created = fresh.runs("jobs", "create", "GENERATE_LOGIN", "--wait", "--timeout", "60")
    assert created.returncode == 0, created.stdout + created.stderr
