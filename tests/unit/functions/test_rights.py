"""Each role against what its function's code calls: nothing is missing, and nothing is granted that is not used.

Every function is run in memory, through its handler, over all that it does; each call is written down as the action and
the resource that IAM would ask for. What a call does not show is in `BY_THE_PLATFORM` and `NOT_SEEN`, with its reason.
"""

import importlib
import io
import json
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from urllib3.exceptions import HTTPError

from leaseway import aws, clock, metrics
from leaseway.accounts import change_balance, create_account, transfer
from leaseway.errors import UnavailableError
from leaseway.identity import ensure_admin, issue, register
from leaseway.identity.keys import key_ring
from leaseway.jobs import Options, create_job, get_job
from leaseway.jobs.create.options import Priority
from leaseway.jobs.job import Job, JobStatus
from leaseway.jobs.queue_names import NORMAL, ORDERED, TASKS, Queue
from leaseway.jobs.run.claim import Claimed, claim
from leaseway.jobs.run.finish import complete, give_up
from leaseway.jobs.table import job_from_item
from leaseway.ledger import reverse
from leaseway.ledger.stream import record_changes
from leaseway.settings import settings
from leaseway.tasks import CatchUp, Definition, create_task, start_now
from leaseway.tasks.slots import read_task, settle_slot
from leaseway_local.deployment import template
from support.account_stream import read_stream_records
from support.api_gateway import call, make_caller, post
from support.iam_rights import PASSWORD, CallRecorder, Right, large_picture, list_granted_rights, no_picture
from support.log_deliveries import make_delivery
from support.template_lookup import properties_of, resolve_name

SLEEP = {"duration_ms": 1}
AUDIT: dict[str, Any] = {"type": "STORAGE_AUDIT", "payload": {"duration_ms": 0}}
EXTERNAL = tuple({"type": name, "payload": {}} for name in ("MESSAGE", "EXTERNAL"))
OF_THEIR_OWN: tuple[dict[str, Any], ...] = (*EXTERNAL, AUDIT)
"""Jobs of types with a queue of their own."""
JSON = {"content-type": "application/json"}
OF_A_QUEUE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes")
WORKED = [
    resolve_name(event["Properties"]["Queue"])
    for event in properties_of(template.read(), "WorkerFunction")["Events"].values()
]
OF_A_STREAM = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams")
# Lambda calls these in the function's name, for its mappings.
BY_THE_PLATFORM: dict[str, set[Right]] = {
    "WorkerRole": {(action, queue) for action in OF_A_QUEUE for queue in WORKED},
    "DeadLetterRole": {
        (action, queue) for action in OF_A_QUEUE for queue in ("DeadLetterQueue", "OrderedDeadLetterQueue")
    },
    "TallyRole": {(action, "JobsTable/stream") for action in OF_A_STREAM},
    "RetentionRole": {(action, "JobsTable/stream") for action in OF_A_STREAM},
    "LedgerRole": {(action, "AccountsTable/stream") for action in OF_A_STREAM},
}
# Used where no call shows it, or by a race that is not run here.
NOT_SEEN: dict[str, set[Right]] = {
    # Without it, S3 answers 403 for an object that is not there.
    "WorkerRole": {("s3:ListBucket", "Bucket")},
    # A tick that lost its transaction to another reads the run that the other started.
    "SchedulerRole": {("dynamodb:GetItem", "JobsTable")},
    # A job that keeps an order is removed if SQS does not take its message, and the record of its key with it.
    "ApiRole": {
        ("dynamodb:DeleteItem", "JobsTable"),
        ("dynamodb:DeleteItem", "IdempotencyTable"),
        ("dynamodb:ConditionCheckItem", "IdempotencyTable"),
    },
}


def run(module: str, event: Any, calls: CallRecorder) -> Any:
    """The function's handler on an event, listened to."""
    handler = importlib.import_module(module).handler
    context = SimpleNamespace(log_stream_name="stream", get_remaining_time_in_millis=lambda: 900_000)
    with calls.record():
        return handler(event, context)


# ---- What each function does -------------------------------------------------------------------------------------


def api(calls: CallRecorder) -> None:
    with calls.record():
        _money_over_http()
    record_changes(read_stream_records())
    with calls.record():
        _ledger_over_http()
        _jobs_over_http()
        _external_jobs_over_http("MESSAGE", {})
        _external_jobs_over_http("EXTERNAL", {"text": "x" * settings().inline_bytes})
        _dead_letters_over_http()
        _tasks_over_http()
        _identity_over_http()
        assert call("GET", "/health", query={"deep": ["1"]}).status == 200


def _money_over_http() -> None:
    keyed = {"headers": {"Idempotency-Key": "k"}}
    for name in ("alice", "bob"):
        post("/api/users", {"userId": name, "balance": 9})
    post("/api/users", {"userId": "carol"}, **keyed)
    for amount in (1, -1_000):
        change = {"userId": "alice", "amount": amount}
        post("/api/users/update-balance", change)
        post("/api/users/update-balance", change, headers={"Idempotency-Key": f"{amount}"})
    post("/api/v1/transfers", {"from": "alice", "to": "bob", "amount": 1})
    post("/api/v1/transfers", {"from": "alice", "to": "bob", "amount": 1_000}, **keyed)
    call("GET", "/api/users/{userId}/balance", path={"userId": "alice"})


def _ledger_over_http() -> None:
    alice = {"path": {"userId": "alice"}}
    before = datetime.fromtimestamp(clock.now_ms() / 1000 - 0.001, UTC).isoformat(timespec="milliseconds")
    call("GET", "/api/users/{userId}/ledger", **alice)
    call("GET", "/api/users/{userId}/balance", query={"at": [before]}, **alice)
    assert call("POST", "/api/v1/ledger/{entry}/reversal", path={"entry": "alice:2"}).status == 201


def _jobs_over_http() -> None:
    for body in (
        {"type": "IMAGE_RESIZE", "payload": large_picture()},
        {"type": "SLEEP", "payload": SLEEP},
        *OF_THEIR_OWN,
    ):
        one = {"path": {"id": post("/api/v1/jobs", body, headers={"Idempotency-Key": body["type"]}).json["id"]}}
        post("/api/v1/jobs", body, headers={"Idempotency-Key": body["type"]})
        call("GET", "/api/v1/jobs/{id}", **one)
        call("POST", "/api/v1/jobs/{id}/cancel", **one)
        call("GET", "/api/v1/jobs/{id}/result", **one)
        call("POST", "/api/v1/jobs/{id}/retry", **one)
        call("POST", "/api/v1/jobs/{id}/cancel", **one)
        call("DELETE", "/api/v1/jobs/{id}", **one)
    tagged = {"jobs": [{"type": "SLEEP", "payload": SLEEP, "tags": ["t"]}]}
    assert post("/api/v1/jobs/batch", tagged).status == 202
    assert post("/api/v1/jobs/batch", tagged, headers={"Idempotency-Key": "k"}).status == 202
    assert len(call("GET", "/api/v1/jobs", query={"tag": ["t"]}).json["content"]) == 2
    for priority in Priority:
        post("/api/v1/jobs", {"type": "SLEEP", "payload": SLEEP, "priority": priority})
    post("/api/v1/jobs", {"type": "SLEEP", "payload": SLEEP, "order_key": "k"})
    for status in ({}, {"status": ["FAILED"]}, {"status": ["CREATED"]}):
        assert call("GET", "/api/v1/jobs", query=status or None).status == 200
        assert call("GET", "/api/v1/jobs", query={**status, "owner": ["*"]}).status == (200 if status else 400)
    first = call("GET", "/api/v1/jobs", query={"size": ["1"]}).json
    assert call("GET", "/api/v1/jobs", query={"size": ["1"], "cursor": [first["cursor"]]}).status == 200
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ENDED_INDEX", "true")
        settings.cache_clear()
        assert call("GET", "/api/v1/jobs", query={"ended_after": ["2026-01-01T00:00:00Z"]}).status == 200
    settings.cache_clear()
    post("/api/v1/uploads", {"content_type": "image/png", "size": 1})


def _external_jobs_over_http(kind: str, payload: dict[str, Any]) -> None:
    def create(**options: Any) -> str:
        return str(post("/api/v1/jobs", {"type": kind, "payload": payload, **options}).json["id"])

    def claim_one(job_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        key = {"idempotency-key": f"claim-{job_id}"}
        answer = post("/api/v1/jobs/claim", {"types": [kind], "worker": "w"}, headers=key).json
        return {"path": {"id": answer["job"]["id"]}}, {"claim_token": answer["claim_token"]}

    while post("/api/v1/jobs/claim", {"types": [kind], "worker": "w"}).status == 200:
        pass  # what was created before
    large = {"text": "x" * settings().inline_bytes}
    for end, report in (("fail", {"error": "boom"}), ("complete", {"result": large})):
        one, token = claim_one(create(max_attempts=1))
        post("/api/v1/jobs/{id}/heartbeat", token, **one)
        assert post(f"/api/v1/jobs/{{id}}/{end}", token | report, **one).status == 200
    early = create(delay_seconds=60)
    body = json.dumps({"job_id": early, "ttl_ms": 1})
    aws.client("sqs").send_message(QueueUrl=Queue(kind).url, MessageBody=body)
    assert post("/api/v1/jobs/claim", {"types": [kind], "worker": "w"}).status == 204
    assert post("/api/v1/jobs/{id}/claim", {"worker": "w"}, path={"id": create()}).status == 200


def _dead_letters_over_http() -> None:
    for _ in range(2):
        give_up(create_job("ann", "SLEEP", SLEEP), "nobody took it", dead_lettered=True)
    one = call("GET", "/api/v1/dead-letters").json["content"][0]["id"]
    assert call("POST", "/api/v1/dead-letters/{id}/replay", path={"id": one}).status == 202
    assert post("/api/v1/dead-letters/replay", {}).json["replayed"] == 1


def _tasks_over_http() -> None:
    definition = {"name": "nightly", "every": "1h", "type": "SLEEP", "payload": SLEEP}
    one = {"path": {"id": post("/api/tasks", definition).json["id"]}}
    for headers in ({}, {"Idempotency-Key": "k"}):
        run = call("POST", "/api/tasks/{id}/run", headers=headers, **one).json
        call("POST", "/api/v1/jobs/{id}/cancel", path={"id": run["job_id"]})
    for route in ("/api/tasks", "/api/tasks/history", "/api/tasks/stats/summary"):
        assert call("GET", route).status == 200
    for route in ("/api/tasks/{id}", "/api/tasks/{id}/history"):
        assert call("GET", route, **one).status == 200
    for body in ('{"enabled": false}', '{"name": "weekly"}'):
        call("PATCH", "/api/tasks/{id}", body=body, headers=JSON, **one)
    call("DELETE", "/api/tasks/{id}", **one)
    # One whose run was created ahead of its slot
    soon = {"id": post("/api/tasks", definition | {"name": "soon", "every": "60s"}).json["id"]}
    assert settle_slot(read_task(soon["id"]), None).job
    assert call("PATCH", "/api/tasks/{id}", body='{"enabled": false}', headers=JSON, path=soon).json["run"] is None


def _identity_over_http() -> None:
    ensure_admin("admin", PASSWORD)
    zoe = {"username": "zoe", "password": PASSWORD}
    code = post("/api/v1/invitations", {}).json["invitation"]
    assert post("/auth/register", zoe | {"invitation": code}, caller=None).status == 201
    for password in ("wrong", PASSWORD):
        post("/connect/token", zoe | {"grant_type": "password", "password": password}, caller=None)
    call("GET", "/api/v1/me", caller=make_caller("zoe"))
    change = {"current_password": PASSWORD, "new_password": "quarry-violin-sunday"}
    post("/api/v1/me/password", change, caller=make_caller("zoe"))
    call("PUT", "/api/v1/users/{username}/role", path={"username": "zoe"}, body='{"role": "Admin"}', headers=JSON)
    made = post("/api/v1/users", {"username": "Yann"}).json
    for change in ("disable", "enable", "logout", "unlock"):
        assert call("POST", f"/api/v1/users/{{username}}/{change}", path={"username": "Yann"}).status == 200
    password = {"username": "Yann", "code": made["code"], "new_password": PASSWORD}
    assert post("/auth/password", password, caller=None).status == 200
    assert call("POST", "/api/v1/users/{username}/reset", path={"username": "Yann"}).status == 200
    assert call("GET", "/api/v1/users").status == 200
    assert call("GET", "/api/v1/users/{username}", path={"username": "Yann"}).status == 200


def authorizer(calls: CallRecorder) -> None:
    token = issue(register("alice", PASSWORD)).text
    key_ring.cache_clear()
    event = {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": "a:b:c:d:e:f/g"}
    assert run("authorizer.app", event, calls)["context"]["state"] == "valid"


def first_admin(calls: CallRecorder) -> None:
    ids = dict.fromkeys(("StackId", "RequestId", "LogicalResourceId"), "")
    event = {"RequestType": "Create", "ResourceType": "Custom::FirstAdmin", "ResponseURL": "http://127.0.0.1:9/"}
    with pytest.raises(HTTPError):  # no server takes the answer
        run("first_admin.app", event | ids, calls)
    for name in ("Root", "Root"):  # created, and then made an Admin again
        assert run("first_admin.app", {"break_glass": name}, calls)["code"]


def worker(calls: CallRecorder) -> None:
    job = create_job("ann", "IMAGE_RESIZE", large_picture())
    create_job("ann", "IMAGE_RESIZE", no_picture())
    claim(create_job("ann", "SLEEP", SLEEP).id, "another")
    run("worker.app", receive_event(NORMAL, 10), calls)
    for _ in range(10):  # a full batch, after which it receives by itself
        create_job("ann", "SLEEP", SLEEP)
    run("worker.app", receive_event(NORMAL, 10), calls)
    assert ("sqs:ReceiveMessage", "JobsQueue") in calls.rights
    assert get_job(job.id, owner=None).status.value == "COMPLETED"
    for priority in (Priority.HIGH, Priority.LOW):
        create_job("ann", "IMAGE_RESIZE", no_picture(), Options(priority=priority))
        run("worker.app", receive_event(Queue(priority), 1), calls)
    create_job("ann", "STORAGE_AUDIT", {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leaseway.objects.list_keys", unavailable)
        run("worker.app", receive_event(Queue("STORAGE_AUDIT"), 1), calls)
    create_job("ann", "IMAGE_RESIZE", no_picture(), Options(order_key="k"))
    run("worker.app", receive_event(ORDERED, 1), calls)
    start_task("fails", type="IMAGE_RESIZE", payload=no_picture())
    run("worker.app", receive_event(TASKS, 1), calls)
    claim(start_task("held").id, "another")
    run("worker.app", receive_event(TASKS, 1), calls)


def start_task(name: str, **options: Any) -> Job:
    job_options = {"type": "SLEEP", "payload": SLEEP} | options
    return start_now(create_task("ann", Definition(name=name, every="1h", **job_options)).id)


def unavailable(*_: Any) -> None:
    raise UnavailableError("the bucket does not answer")


def receive_event(queue: Queue, count: int) -> Any:
    """What a queue's mapping hands over."""
    url = queue.url
    messages = aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=count)["Messages"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:{url.rpartition('/')[2]}"
    ours = {"messageId": "MessageId", "receiptHandle": "ReceiptHandle", "body": "Body"}
    return {
        "Records": [
            {name: message[theirs] for name, theirs in ours.items()} | {"eventSourceARN": arn} for message in messages
        ]
    }


def sweeper(calls: CallRecorder) -> None:
    for priority in Priority:
        create_job("ann", "SLEEP", SLEEP, Options(priority=priority))
    for own in OF_THEIR_OWN:
        create_job("ann", own["type"], own["payload"])
    create_job("ann", "SLEEP", SLEEP, Options(order_key="k"))
    claim(create_job("ann", "SLEEP", SLEEP).id, "another")
    start_task("waits")
    later = time.time() + 3_000
    with clock.fixed(lambda: later):
        run("sweeper.app", {}, calls)


def dead_letter(calls: CallRecorder) -> None:
    waiting = [create_job("ann", "SLEEP", SLEEP, Options(priority=priority)) for priority in Priority]
    jobs = [create_job("ann", "SLEEP", SLEEP), *waiting, start_task("held")]
    jobs += [create_job("ann", own["type"], own["payload"]) for own in OF_THEIR_OWN]
    jobs.append(create_job("ann", "SLEEP", SLEEP, Options(order_key="k")))
    for job in jobs[1:]:
        claim(job.id, "a worker that dies")
    letters = [{"messageId": job.id, "body": json.dumps({"job_id": job.id, "ttl_ms": 1})} for job in jobs]
    later = time.time() + settings().lease_seconds + 1
    with clock.fixed(lambda: later):
        claim(jobs[0].id, "a worker that lives", message_id="one")
        assert run("dead_letter.app", {"Records": letters}, calls) == {"batchItemFailures": []}


def tally(calls: CallRecorder) -> None:
    create_job("ann", "SLEEP", SLEEP)
    for _ in range(2):
        run("tally.app", {"Records": read_stream_records(table="jobs")}, calls)


def meter(calls: CallRecorder) -> None:
    metrics.note("HttpDuration", 1, route="GET /health", status="2xx")
    metrics.note("MemoryUsed", 64, function="api")
    written = io.StringIO()
    with redirect_stdout(written):
        metrics.flush("api")
    for _ in range(2):
        run("meter.app", make_delivery(written.getvalue().splitlines()), calls)


def retention(calls: CallRecorder) -> None:
    job = create_job("ann", "IMAGE_RESIZE", large_picture())
    jobs = aws.client("dynamodb")
    tagged = {":tags": {"SS": ["nightly"]}}
    key = {"id": {"S": job.id}}
    jobs.update_item(TableName="jobs", Key=key, UpdateExpression="SET tags = :tags", ExpressionAttributeValues=tagged)
    jobs.delete_item(TableName="jobs", Key=key)
    run("retention.app", {"Records": read_stream_records(table="jobs")}, calls)


def ledger(calls: CallRecorder) -> None:
    create_account("alice", 5, request_id="a")
    for _ in range(2):
        run("ledger.app", {"Records": read_stream_records()}, calls)


def ledger_check(calls: CallRecorder) -> None:
    for name in ("alice", "bob"):
        create_account(name, 5, request_id=name)
    transfer("alice", "bob", 1, owner=None, request_id="t")
    record_changes(read_stream_records())
    reverse("alice:2", request_id="r")
    change_balance("alice", 1, request_id="c")
    whole = read_stream_records()
    # Half of the reversal is lost, and is to be found again from its other half.
    lost = ("alice", "3")
    images = [record["dynamodb"]["NewImage"] for record in whole]
    names = [(image["user_id"]["S"], image["version"]["N"]) for image in images]
    record_changes([record for record, name in zip(whole, names, strict=True) if name != lost])
    for errand in ({}, {"do": "verify", "user_id": "alice"}, {"do": "repair", "user_id": "alice"}, {"do": "export"}):
        run("ledger.check", errand, calls)


def scheduler(calls: CallRecorder) -> None:
    now = float(int(time.time()))
    with clock.fixed(lambda: now):
        for catch_up in CatchUp:
            definition = {"name": catch_up.value, "every": "5m", "type": "SLEEP", "payload": SLEEP}
            create_task("ann", Definition(**definition, catch_up=catch_up))
        for own in OF_THEIR_OWN:
            create_task("ann", Definition(name=own["type"], every="5m", **own))
    for minutes in (5, 10, 120):
        with clock.fixed(lambda minutes=minutes: now + minutes * 60):
            run("scheduler.app", {}, calls)
            _end_the_first_run_and_leave_the_second()


def _end_the_first_run_and_leave_the_second() -> None:
    first, *rest = [job for job in map(job_from_item, jobs_in_the_table()) if job.status is JobStatus.CREATED] or [None]
    if first is not None:
        outcome = claim(first.id, "worker")
        assert isinstance(outcome, Claimed)
        complete(outcome.lease, {})
    for job in rest:
        claim(job.id, "a worker that dies")


def jobs_in_the_table() -> list[Any]:
    return list(aws.client("dynamodb").scan(TableName="jobs")["Items"])


SCENARIOS: dict[str, Callable[[CallRecorder], None]] = {
    "ApiRole": api,
    "AuthorizerRole": authorizer,
    "DeadLetterRole": dead_letter,
    "FirstAdminRole": first_admin,
    "LedgerCheckRole": ledger_check,
    "LedgerRole": ledger,
    "MeterRole": meter,
    "RetentionRole": retention,
    "SchedulerRole": scheduler,
    "SweeperRole": sweeper,
    "TallyRole": tally,
    "WorkerRole": worker,
}


def test_every_functions_role_is_looked_at(sam_template: dict[str, Any]) -> None:
    functions = (one for one in sam_template["Resources"].values() if one["Type"] == template.FUNCTION_TYPE)
    assert {one["Properties"]["Role"]["Fn::GetAtt"][0] for one in functions} == SCENARIOS.keys()


@pytest.mark.parametrize("role", sorted(SCENARIOS))
def test_a_role_grants_exactly_what_its_function_calls(
    role: str, calls: CallRecorder, sam_template: dict[str, Any]
) -> None:
    # Given a function that did all that it does
    SCENARIOS[role](calls)
    used = calls.rights | BY_THE_PLATFORM.get(role, set()) | NOT_SEEN.get(role, set())
    # Then its role names just that
    granted = list_granted_rights(sam_template["Resources"][role])
    assert {"missing": sorted(used - granted), "unused": sorted(granted - used)} == {"missing": [], "unused": []}
