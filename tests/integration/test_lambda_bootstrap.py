"""Each packaged function under Lambda's own bootstrap: one event, real services, nothing on the path but its layers.

Tables and queues are bare ones of the engine, without mappings: only the function under test works on them.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leaseway import aws, clock, objects
from leaseway.accounts import create_account, get_account
from leaseway.counters import read_scope
from leaseway.identity import get_user, issue, register, sign_in
from leaseway.jobs import JobStatus, create_job, get_job
from leaseway.jobs.find.totals import count_jobs
from leaseway.ledger import get_entry
from leaseway.settings import require_setting
from leaseway.tasks import Definition, create_task
from leaseway_local.deployment import template
from support import tables
from support.as_function import clear_caches
from support.deployed_stacks import AnyEngine
from support.http_servers import run_counting_server
from support.lambda_runtime import Folders, FunctionError, lay_out, run_environment
from support.sample_events import sample_event
from support.waiting import wait_until

HANDLERS = {
    resource["Properties"]["Handler"].removesuffix(".handler").removesuffix(".app"): resource["Properties"]["Handler"]
    for resource in template.read()["Resources"].values()
    if resource["Type"] == template.FUNCTION_TYPE
}
ADMIN = {"username": "root", "password": "orbit-lantern-mosaic"}

Invoke = Callable[..., Any]

pytestmark = pytest.mark.of_no_engine(because="these are the packages and Lambda's own bootstrap, with bare tables")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return lay_out(tmp_path_factory.mktemp("lambda"))


@pytest.fixture(scope="module")
def variables(engine: AnyEngine) -> Iterator[dict[str, str]]:
    """A deployed function's environment, whose services are bare ones of the engine."""
    environ = {
        "AWS_ENDPOINT_URL": engine.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "EXECUTORS_PACKAGE": "worker.executors",
        "REGISTRATION": "open",
        "BUCKET": "bootstrap-bucket",
        "CURSOR_SECRET": "bootstrap/cursor",
        "TOKEN_SECRET": "bootstrap/token",
        "ADMIN_SECRET": "bootstrap/admin",
        **{f"{kind.__name__}_table".upper(): f"bootstrap-{kind.__name__}" for kind in tables.EVERY},
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in environ.items():
            environment.setenv(name, value)
        clear_caches()
        for kind in tables.EVERY:
            aws.client("dynamodb").create_table(**kind(f"bootstrap-{kind.__name__}"))
        queues = {name: tables.create_queue(aws.client("sqs"), f"bootstrap-{name}") for name in ("jobs", "tasks")}
        for name, url in queues.items():
            environ[f"{name}_queue_url".upper()] = url
            environment.setenv(f"{name}_queue_url".upper(), url)
        aws.client("s3").create_bucket(Bucket="bootstrap-bucket")
        for name, text in {"cursor": "k" * 64, "token": "t" * 64, "admin": json.dumps(ADMIN)}.items():
            aws.client("secretsmanager").create_secret(Name=f"bootstrap/{name}", SecretString=text)
        clear_caches()
        yield environ
    clear_caches()


def api(invoke: Invoke) -> None:
    create_account("alice", 1_000, request_id="opening")

    answer = invoke(sample_event("api"))

    assert answer["statusCode"] == 200, answer
    assert get_account("alice", owner=None).balance == 750


def authorizer(invoke: Invoke) -> None:
    assert invoke(sample_event("authorizer"))["context"]["state"] != "valid"
    token = issue(register("anna", "orbit-lantern-mosaic"))

    known = invoke(sample_event("authorizer") | {"authorizationToken": f"Bearer {token.text}"})

    assert (known["principalId"], known["context"]["state"]) == ("anna", "valid")


def first_admin(invoke: Invoke) -> None:
    with run_counting_server() as cloudformation:
        invoke(sample_event("first_admin") | {"ResponseURL": cloudformation.url("/answer")})
        assert cloudformation.hits == ["/answer"]

    assert sign_in(**ADMIN) == get_user("root")


def worker(invoke: Invoke) -> None:
    job = create_job("alice", "SLEEP", {"duration_ms": 10})

    answer = invoke(sample_event("worker", job_id=job.id))

    assert answer == {"batchItemFailures": []}
    assert get_job(job.id, owner=None).status is JobStatus.COMPLETED


def sweeper(invoke: Invoke) -> None:
    with clock.fixed(lambda: 1_767_225_600.0):  # long ago, so that its message counts as lost
        create_job("alice", "SLEEP", {"duration_ms": 10})
    aws.client("sqs").purge_queue(QueueUrl=require_setting("jobs_queue_url"))

    report = invoke(sample_event("sweeper"))

    assert report["resent"] == 1, report


def scheduler(invoke: Invoke) -> None:
    with clock.fixed(lambda: 1_767_225_600.0):
        create_task("alice", Definition(name="old", every="5m", type="SLEEP", payload={"duration_ms": 10}))

    report = invoke(sample_event("scheduler"))

    assert report["started"] == 1, report


def tally(invoke: Invoke) -> None:
    invoke(sample_event("tally"))

    assert count_jobs("alice", "CREATED", "SLEEP") == 1


def meter(invoke: Invoke) -> None:
    invoke(sample_event("meter"))

    assert any(item["shard"]["S"].startswith("http|GET /sample|2xx|") for item in read_scope("meters"))


def ledger(invoke: Invoke) -> None:
    invoke(sample_event("ledger"))

    assert get_entry("alice:1").amount == 1_000


def ledger_check(invoke: Invoke) -> None:
    report = invoke(sample_event("ledger.check"))

    assert report["clean"] in (True, False), report
    assert report["accounts"] >= 0


def dead_letter(invoke: Invoke) -> None:
    with clock.fixed(lambda: 1_767_225_600.0):  # long ago, so that it has waited in vain
        job = create_job("alice", "SLEEP", {"duration_ms": 10})

    assert invoke(sample_event("dead_letter", job_id=job.id)) == {"batchItemFailures": []}

    resource = get_job(job.id, owner=None)
    assert resource.status is JobStatus.FAILED
    assert resource.dead_lettered_at is not None


def retention(invoke: Invoke) -> None:
    event = sample_event("retention")
    image = event["Records"][0]["dynamodb"]["OldImage"]
    objects.put_json(image["payload_key"]["S"], {"duration_ms": 10})
    image["finished_at"]["N"] = str(clock.now_ms())
    event["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] = clock.now_ms() // 1000

    invoke(event)

    with pytest.raises(objects.ObjectNotFoundError):
        objects.stat(image["payload_key"]["S"])


SCENARIOS: dict[str, Callable[[Invoke], None]] = {
    "api": api,
    "authorizer": authorizer,
    "dead_letter": dead_letter,
    "first_admin": first_admin,
    "ledger": ledger,
    "ledger.check": ledger_check,
    "meter": meter,
    "retention": retention,
    "scheduler": scheduler,
    "sweeper": sweeper,
    "tally": tally,
    "worker": worker,
}


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_a_packaged_function_does_its_work_under_lambdas_bootstrap(
    name: str, folders: Folders, variables: dict[str, str]
) -> None:
    with run_environment(folders, HANDLERS[name], variables) as started:
        started.wait_until_ready()
        SCENARIOS[name](started.invoke)


def test_deep_health_is_503_while_a_dependency_is_cut_off(folders: Folders, variables: dict[str, str]) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="bootstrap-cut-off")
    event = sample_event("api-health") | {"multiValueQueryStringParameters": {"deep": ["1"]}}
    with run_environment(folders, HANDLERS["api"], variables | {"BUCKET": "bootstrap-cut-off"}) as started:

        def status() -> int:
            return started.invoke(event)["statusCode"]

        assert status() == 200
        s3.delete_bucket(Bucket="bootstrap-cut-off")
        wait_until(lambda: status() == 503, seconds=30, what="the bucket to be missed")
        s3.create_bucket(Bucket="bootstrap-cut-off")
        wait_until(lambda: status() == 200, seconds=30, what="the bucket to be found again")


def test_a_function_that_cannot_start_says_why(folders: Folders, variables: dict[str, str]) -> None:
    """The harness can fail: a variable out of bounds stops the import, as it would on AWS."""
    broken = variables | {"LEASE_SECONDS": "0"}

    with (
        run_environment(folders, HANDLERS["worker"], broken) as started,
        pytest.raises(FunctionError, match="lease_seconds"),
    ):
        started.wait_until_ready()
