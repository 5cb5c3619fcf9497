"""The functions' roles on an engine that enforces IAM: all they do is allowed, and what no role names is refused."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from leaseway_local.deployment import template
from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import Home
from leaseway_local.engine.processes import wait_until
from support.deployed_stacks import DeployedStack, deploy, start_engine
from support.template_lookup import find_resources

pytestmark = pytest.mark.only_on("ministack", because="LocalStack enforces IAM with a licence only")

FUNCTIONS = sorted(find_resources(template.read(), template.FUNCTION_TYPE))
BATCHED = {"sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonRecord, Home]]:
    """An engine that enforces IAM, and its home."""
    home = Home(tmp_path_factory.mktemp("guarded"))
    try:
        yield start_engine(home, AUTH="true"), home
    finally:
        Engine(home).stop()


@pytest.fixture(scope="module")
def strict(enforcing: tuple[DaemonRecord, Home]) -> Iterator[DeployedStack]:
    # It has no TLS, and would enforce that too.
    stack = deploy(*enforcing, "leaseway-guarded", {"RefusePlainHttp": "false"})
    for function in FUNCTIONS:
        _allow_batches(stack.client("iam"), _role(stack, function))
    yield stack
    stack.api.close()


def _allow_batches(iam: Any, role: str) -> None:
    """On AWS, `sqs:SendMessage` admits SendMessageBatch too; the engine asks for an action that AWS does not have."""
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for statement in policy["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = actions + [f"{action}Batch" for action in actions if action in BATCHED]
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))


def wait_for_end(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    job = {}

    def has_ended() -> bool:
        job.update(stack.api.get(f"/api/v1/jobs/{job_id}"))
        return job["status"] in ("COMPLETED", "FAILED", "CANCELLED")

    assert wait_until(has_ended, 60, every=0.2), f"{job_id} is still {job}"
    return job


def picture() -> str:
    drawn = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(drawn, "PNG")
    return base64.b64encode(drawn.getvalue()).decode()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("SLEEP", {"duration_ms": 10}),
        ("GENERATE_LOGIN", {"length": 12}),
        ("GENERATE_NUMBER", {"digits": 6}),
        ("IMAGE_RESIZE", {"source": {"base64": picture()}, "width": 16, "height": 12, "format": "png"}),
    ],
)
def test_jobs_run_within_the_workers_rights(strict: DeployedStack, kind: str, payload: dict[str, Any]) -> None:
    job = strict.api.post("/api/v1/jobs", {"type": kind, "payload": payload})

    assert wait_for_end(strict, job["id"])["status"] == "COMPLETED"


def test_jobs_for_workers_outside_are_within_the_apis_rights(strict: DeployedStack) -> None:
    for end, outcome in (("complete", {"result": {"text": "x" * 10_000}}), ("fail", {"error": "no paper"})):
        job = strict.api.post("/api/v1/jobs", {"type": "EXTERNAL", "payload": {"text": "x" * 10_000}})
        claimed = strict.api.post("/api/v1/jobs/claim", {"types": ["EXTERNAL"], "worker": "rights", "wait_seconds": 5})
        assert claimed["job"]["id"] == job["id"]
        one, token = f"/api/v1/jobs/{job['id']}", {"claim_token": claimed["claim_token"]}
        assert strict.api.post(f"{one}/heartbeat", token)["status"] == "RUNNING"
        assert strict.api.post(f"{one}/{end}", token | outcome)["id"] == job["id"]


def test_balances_lists_and_totals_are_within_the_apis_rights(strict: DeployedStack) -> None:
    strict.api.post("/api/users", {"userId": "rights", "balance": 5})
    strict.api.post("/api/users/update-balance", {"userId": "rights", "amount": "-2"})
    ids = [strict.api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})["id"] for _ in range(3)]
    for job_id in ids:
        wait_for_end(strict, job_id)

    assert float(strict.api.get("/api/users/rights/balance")["balance"]) == 3
    page = strict.api.get("/api/v1/jobs", size=2)
    assert len(page["content"]) == 2
    assert len(strict.api.get("/api/v1/jobs", size=2, cursor=page["cursor"])["content"]) >= 1
    assert strict.api.get("/api/v1/jobs", status="COMPLETED")["content"]
    assert wait_until(lambda: strict.api.get("/api/v1/jobs")["totalElements"] >= 3, 30, every=0.5), "nothing counted"


def test_keys_transfers_reversals_and_the_ledger_are_within_their_functions_rights(
    strict: DeployedStack,
) -> None:
    for user in ("payer", "payee"):
        strict.api.post_once("/api/users", {"userId": user, "balance": 5})
    outcome = strict.api.post_once("/api/v1/transfers", {"from": "payer", "to": "payee", "amount": 2})
    refused = strict.api.request(
        "POST", "/api/users/update-balance", json={"userId": "payee", "amount": -50}, headers={"Idempotency-Key": "k"}
    )
    assert refused.status_code == 409

    def has_entries() -> bool:
        return len(strict.api.get("/api/users/payer/ledger")["content"]) == 2

    assert wait_until(has_entries, 30, every=0.2), "no entry was written"
    assert len(strict.api.post(f"/api/v1/ledger/{outcome['from_entry']}/reversal")["entries"]) == 2
    again = strict.api.request("POST", f"/api/v1/ledger/{outcome['to_entry']}/reversal")
    assert (again.status_code, again.json()["code"]) in ((409, "ALREADY_REVERSED"), (404, "ENTRY_NOT_FOUND"))
    assert strict.invoke("LedgerCheckFunction", {"do": "verify"})["clean"]
    assert strict.invoke("LedgerCheckFunction", {"do": "export", "user_id": "payer"})["entries"]
    assert strict.invoke("LedgerCheckFunction", {"do": "repair", "user_id": "payer"}) == {"repaired": []}


def test_a_sweep_and_a_dead_letter_are_within_their_functions_rights(strict: DeployedStack) -> None:
    job_id = strict.api.post("/api/v1/jobs", {"type": "SLEEP", "payload": {"duration_ms": 1}})["id"]
    wait_for_end(strict, job_id)

    strict.invoke("SweeperFunction", {})
    body = json.dumps({"job_id": job_id, "ttl_ms": 1_000})
    strict.client("sqs").send_message(QueueUrl=strict.outputs["DeadLetterQueueUrl"], MessageBody=body)

    assert wait_until(lambda: _depth(strict, "DeadLetterQueueUrl") == 0, 30, every=0.5), "the dead letter stayed"


def test_the_engine_really_enforces_the_roles(strict: DeployedStack) -> None:
    """The proof that the other tests prove something: without its policy the API cannot read a balance."""
    iam, role = strict.client("iam"), _role(strict, "ApiFunction")
    policy = iam.get_role_policy(RoleName=role, PolicyName="api")["PolicyDocument"]
    statements = [entry for entry in policy["Statement"] if "AccountsTable" not in json.dumps(entry)]
    assert len(statements) < len(policy["Statement"])
    iam.put_role_policy(RoleName=role, PolicyName="api", PolicyDocument=json.dumps(policy | {"Statement": statements}))
    try:
        assert strict.api.request("GET", "/api/users/1/balance").status_code >= 500
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="api", PolicyDocument=json.dumps(policy))
    assert strict.api.request("GET", "/api/users/1/balance").status_code == 200


def test_a_queue_refuses_plain_http_unless_the_stack_says_otherwise(enforcing: tuple[DaemonRecord, Home]) -> None:
    """This engine has no TLS: with the policies that AWS gets, a queue takes nothing from anybody."""
    strict = deploy(*enforcing, "leaseway-strict")
    strict.api.close()

    with pytest.raises(ClientError, match="AccessDenied"):
        strict.client("sqs").send_message(QueueUrl=strict.outputs["JobsQueueUrl"], MessageBody="{}")


def _role(stack: DeployedStack, function: str) -> str:
    arn = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs[function])["Role"]
    return arn.rpartition("/")[2]


def _depth(stack: DeployedStack, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[queue], AttributeNames=names)["Attributes"]
    return sum(int(counts[name]) for name in names)


def test_a_task_is_run_and_read_within_the_functions_rights(strict: DeployedStack) -> None:
    body = {"name": "rights", "type": "SLEEP", "payload": {"duration_ms": 1}, "every": "1h"}
    task = strict.api.post("/api/tasks", body)
    path = f"/api/tasks/{task['id']}"
    by_hand = strict.api.post(f"{path}/run")["job_id"]
    assert wait_for_end(strict, by_hand)["status"] == "COMPLETED"

    # Slots come after runs that have ended.
    for _ in range(2):
        _let_its_slot_come(strict, task["id"])
        assert strict.invoke("SchedulerFunction")["started"] == 1
        wait_for_end(strict, strict.api.get(path)["run"]["job_id"])
    assert len(strict.api.get(f"{path}/history")["content"]) == 3
    assert len(strict.api.get("/api/tasks/history")["content"]) == 3
    assert strict.api.get("/api/tasks/stats/summary")["by_task"][0]["name"] == "rights"
    assert strict.api.patch(path, {"enabled": False})["state"] == "PAUSED"
    assert strict.api.get("/api/tasks")["content"][0]["name"] == "rights"
    assert strict.api.request("DELETE", path).status_code == 200


def _let_its_slot_come(stack: DeployedStack, task_id: str) -> None:
    stack.client("dynamodb").update_item(
        TableName=stack.outputs["TasksTable"],
        Key={"id": {"S": task_id}},
        UpdateExpression="SET next_run = next_run - :gone",
        ExpressionAttributeValues={":gone": {"N": "3601000"}},
    )
