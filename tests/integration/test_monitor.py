"""The monitor on an engine and a stack of its own: the functions' metrics arrive, whichever process is killed, and
each alarm is tripped by what it is there for."""

import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from leaseway_local.engine.paths import Home
from leaseway_local.monitoring.monitor import dashboard_url
from support.function_logs import read_metric_lines
from support.monitored_stack import MonitoredStack
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.only_on("ministack", because="the monitor belongs to the engine that `leaseway` starts")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoredStack]:
    monitored = MonitoredStack(Home(tmp_path_factory.mktemp("watched")))
    yield monitored
    monitored.stop()


def new_user(watched: MonitoredStack, balance: int = 10) -> str:
    user = f"u{secrets.token_hex(4)}"
    watched.stack.api.post("/api/users", {"userId": user, "balance": balance})
    return user


def change(watched: MonitoredStack, user: str, amount: int) -> int:
    body = {"userId": user, "amount": amount}
    return int(watched.stack.api.request("POST", "/api/users/update-balance", json=body).status_code)


def new_job(watched: MonitoredStack, kind: str = "SLEEP", payload: Any = None, **options: Any) -> str:
    body = {"type": kind, "payload": {"duration_ms": 20} if payload is None else payload, **options}
    return str(watched.stack.api.post("/api/v1/jobs", body)["id"])


def queue_name(watched: MonitoredStack, output: str) -> str:
    return str(watched.stack.outputs[output].rpartition("/")[2])


def test_what_functions_count_is_what_cloudwatch_has(cloud: MonitoredStack) -> None:
    # Given work of every kind
    before = {name: cloud.value(name) for name in ("JobsCompleted", "BalanceUpdatesRefused", "LedgerEntries")}
    user = new_user(cloud)
    assert [change(cloud, user, amount) for amount in (5, -3, -500)] == [200, 200, 409]
    for _ in range(3):
        new_job(cloud)
    # Then the sums are those of what was done
    cloud.wait_for_value(before["JobsCompleted"] + 3, "JobsCompleted")
    cloud.wait_for_value(before["BalanceUpdatesRefused"] + 1, "BalanceUpdatesRefused")
    cloud.wait_for_value(before["LedgerEntries"] + 3, "LedgerEntries")
    cloud.wait_for_value(3, "JobsCompleted", type="SLEEP")
    cloud.wait_for_value(3, "JobRun", "SampleCount", type="SLEEP")
    assert cloud.value("JobRun", "p50", type="SLEEP") >= 20
    # And of each line that a function wrote, all that it said
    cloud.wait_for_value(len(read_metric_lines(cloud.stack.client, "leaseway-ledger")), "LedgerLag", "SampleCount")


def test_queues_and_streams_have_the_metrics_that_aws_has(cloud: MonitoredStack) -> None:
    queue = {"namespace": "AWS/SQS", "QueueName": queue_name(cloud, "JobsQueueUrl")}
    for name in ("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"):
        wait_until(lambda name=name: cloud.value(name, "SampleCount", **queue) > 0, seconds=30, what=name)
    ledger = {"namespace": "AWS/Lambda", "FunctionName": cloud.stack.outputs["LedgerFunction"]}
    wait_until(
        lambda: cloud.value("IteratorAge", "SampleCount", **ledger) > 0,
        seconds=30,
        what="the age of the ledger's stream",
    )


def test_the_page_answers_this_machine_only_and_brings_every_widgets_data(cloud: MonitoredStack) -> None:
    url = dashboard_url(cloud.record)
    page = httpx.get(url)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert httpx.get(url, headers={"host": "evil.example:80"}).status_code == 403
    assert httpx.get(f"{url}/data?minutes=x").status_code == 503
    data: dict[str, Any] = httpx.get(f"{url}/data?minutes=60", timeout=60).json()
    declared = json.loads((ROOT / "infra" / "dashboard.json").read_text())["widgets"]
    titles = [widget["properties"].get("title") for widget in declared]
    assert [widget.get("title") for widget in data["widgets"]] == titles
    (requests,) = [widget for widget in data["widgets"] if widget.get("title") == "Requests"]
    assert sum(requests["lines"][0]["values"]) == cloud.value("HttpDuration", "SampleCount")


# ---- GET /metrics ------------------------------------------------------------------------------------------------


def test_requests_are_counted_exactly_whatever_environments_answer_them(cloud: MonitoredStack) -> None:
    # Given three environments at least: each of three requests that wait keeps one
    def waiting(_: int) -> int:
        body = {"types": ["EXTERNAL"], "worker": "w", "wait_seconds": 1}
        return int(cloud.stack.api.request("POST", "/api/v1/jobs/claim", json=body).status_code)

    claims = ("http_requests_total", "POST", "/api/v1/jobs/claim", "2xx")
    claims_before = cloud.read_page().get(claims, 0)
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(waiting, range(3))) == {204}
    wait_until(
        lambda: cloud.read_page().get(claims, 0) == claims_before + 3, seconds=60, what="three claims", every=0.5
    )
    assert cloud.read_page()["leaseway_cold_starts_total", "api"] >= 3
    # When N requests are answered
    before = cloud.count_requests_on_page()
    cloud.send_requests(40)
    # Then N are counted, with their durations, and no more come
    wait_until(lambda: cloud.count_requests_on_page() >= before + 40, seconds=60, what="40 requests", every=0.5)
    cloud.wait_for_value(
        cloud.count_requests_on_page(), "HttpDuration", "SampleCount", route="GET /health", status="2xx"
    )
    page, health = cloud.read_page(), ("GET", "/health", "2xx")
    name = "http_request_duration_seconds"
    assert page["http_requests_total", *health] == before + 40
    assert page[f"{name}_count", *health] == page[f"{name}_bucket", *health, "+Inf"] == before + 40
    assert page[f"{name}_sum", *health] > 0
    # And every environment that is asked says so
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: cloud.count_requests_on_page(), range(6)))
    assert set(answers) == {before + 40}


def test_a_worker_appears_by_itself_and_its_jobs_are_counted(cloud: MonitoredStack) -> None:
    cancelled = ("leaseway_jobs_cancelled_total", "SLEEP")
    before = cloud.read_page().get(cancelled, 0)
    job = new_job(cloud, payload={"duration_ms": 120_000}, ttl_ms=300_000)
    path = f"/api/v1/jobs/{job}"
    worker = wait_until(lambda: cloud.stack.api.get(path).get("worker"), seconds=60, what="a worker")
    assert cloud.read_page()["app_active_tasks_total", worker] == 1
    cloud.stack.api.post(f"{path}/cancel", None)
    assert ("app_active_tasks_total", worker) not in cloud.read_page()
    wait_until(
        lambda: cloud.read_page().get(cancelled, 0) == before + 1, seconds=60, what="the cancelled job", every=0.3
    )


# ---- Alarms: each is tripped by its condition --------------------------------------------------------------------


def test_silence_of_the_sweeper_and_the_scheduler_calls_until_they_speak(cloud: MonitoredStack) -> None:
    # Given a stack whose schedules are off
    assert (cloud.read_alarm_state("sweeper-silent"), cloud.read_alarm_state("scheduler-late")) == (
        "ALARM",
        "ALARM",
    )
    # When both are run, then they have spoken
    for function in ("SweeperFunction", "SchedulerFunction"):
        cloud.stack.invoke(function)
    for alarm in ("sweeper-silent", "scheduler-late"):
        wait_until(lambda alarm=alarm: cloud.read_alarm_state(alarm) == "OK", seconds=30, what=f"{alarm} to end")
    each_minute(cloud)  # its slot comes while other tests run


@pytest.mark.timeout(600)
def test_messages_that_no_worker_takes_call_by_their_age(cloud: MonitoredStack) -> None:
    ages = {
        "jobs-age": lambda: new_job(cloud),
        "high-age": lambda: new_job(cloud, priority="high"),
        "low-age": lambda: new_job(cloud, priority="low"),
        "tasks-age": lambda: run_of_a_task(cloud),
        "messages-age": lambda: new_job(cloud, "MESSAGE", {}),
        "storage-audit-age": lambda: new_job(cloud, "STORAGE_AUDIT", {}),
        "external-age": lambda: new_job(cloud, "EXTERNAL", {}),
        "ordered-age": lambda: new_job(cloud, order_key="one"),
    }
    wait_until(
        lambda: {name: cloud.read_alarm_state(name) for name in ages} == dict.fromkeys(ages, "OK"),
        seconds=150,
        what="the minutes to end in which jobs of other tests waited long",
        every=1,
    )
    with cloud.pause_mappings("WorkerFunction"):
        for make in ages.values():
            make()
        for name in ages:
            cloud.wait_for_alarm(name)


def run_of_a_task(watched: MonitoredStack) -> None:
    task = {"name": f"t{secrets.token_hex(4)}", "every": "1h", "type": "SLEEP", "payload": {"duration_ms": 1}}
    created = watched.stack.api.post("/api/tasks", task)
    watched.stack.api.post(f"/api/tasks/{created['id']}/run", None)


@pytest.mark.timeout(600)
def test_dead_letters_call_by_their_age_and_their_jobs_when_they_are_judged(cloud: MonitoredStack) -> None:
    # Given messages that are received more often than their queues allow, and no function that judges them
    letters = {"dead-letter-age": ("", {}), "ordered-dead-letter-age": ("Ordered", {"order_key": secrets.token_hex(4)})}
    assert cloud.read_alarm_state("dead-lettered") != "ALARM"
    jobs = []
    with cloud.pause_mappings("DeadLetterFunction"):
        with cloud.pause_mappings("WorkerFunction"):
            for kind, options in letters.values():
                jobs.append(new_job(cloud, **options))
                wait_until(lambda kind=kind: all_dead(cloud, kind), seconds=60, what=f"the {kind.lower()} dead letter")
        for alarm in letters:
            cloud.wait_for_alarm(alarm)
    # When they are judged at last
    cloud.wait_for_alarm("dead-lettered")
    for job in jobs:
        wait_until(lambda job=job: cloud.stack.api.get(f"/api/v1/jobs/{job}")["dead_lettered_at"], seconds=60, what=job)


def all_dead(watched: MonitoredStack, kind: str) -> bool:
    """Receive what waits in the jobs queue, or in that kind's, some times more; whether none is left but dead ones."""
    sqs = watched.stack.client("sqs")
    queues = [watched.stack.outputs[name] for name in (f"{kind or 'Jobs'}QueueUrl", f"{kind}DeadLetterQueueUrl")]
    for _ in range(10):  # the queue of ordered jobs admits a hundred
        sqs.receive_message(QueueUrl=queues[0], VisibilityTimeout=0, MaxNumberOfMessages=10)
    answers = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]) for url in queues]
    waiting, dead = (int(answer["Attributes"]["ApproximateNumberOfMessages"]) for answer in answers)
    return waiting == 0 and dead > 0


def test_a_broken_configuration_calls_by_the_error_rate(cloud: MonitoredStack) -> None:
    functions, name = cloud.stack.client("lambda"), cloud.stack.outputs["ApiFunction"]
    assert cloud.read_alarm_state("error-rate") != "ALARM"
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": environment | {"ACCOUNTS_TABLE": "gone"}}
    )
    try:
        path = "/api/users/1/balance"
        wait_until(lambda: cloud.stack.api.request("GET", path).status_code >= 500, seconds=30, what="the first error")
        for _ in range(25):
            cloud.stack.api.request("GET", path)
        cloud.wait_for_alarm("error-rate")
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})


@pytest.mark.parametrize("alarm", ["api-throttled", "authorizer-throttled", "worker-throttled"])
def test_a_function_that_lambda_has_no_room_for_calls(cloud: MonitoredStack, alarm: str) -> None:
    function = f"{alarm.removesuffix('-throttled').capitalize()}Function"
    functions, name = cloud.stack.client("lambda"), cloud.stack.outputs[function]
    assert cloud.read_alarm_state(alarm) == "OK"
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(functions.exceptions.TooManyRequestsException):
            functions.invoke(FunctionName=name, Payload="{}")
        cloud.wait_for_alarm(alarm)
    finally:
        functions.delete_function_concurrency(FunctionName=name)


def test_a_hole_in_the_ledger_calls(cloud: MonitoredStack) -> None:
    # Given an account whose ledger lost an entry in the middle
    user = new_user(cloud)
    ledger = cloud.stack.client("dynamodb")
    where = {"TableName": cloud.stack.outputs["LedgerTable"]}
    assert change(cloud, user, 5) == 200
    key = {"user_id": {"S": user}, "version": {"N": "2"}}
    wait_until(lambda: "Item" in ledger.get_item(Key=key, **where), seconds=30, what="the second entry")
    cloud.stack.invoke("LedgerCheckFunction")
    cloud.wait_for_value(1, "LedgerDifferences", "SampleCount")
    assert cloud.read_alarm_state("ledger-difference") == "OK"
    ledger.delete_item(Key={"user_id": {"S": user}, "version": {"N": "1"}}, **where)
    # When the ledger is checked
    cloud.stack.invoke("LedgerCheckFunction")
    # Then it calls
    cloud.wait_for_alarm("ledger-difference")


def test_a_ledger_that_is_behind_calls_and_so_does_a_change_that_nothing_explains(cloud: MonitoredStack) -> None:
    # Given a ledger that no function writes for a while
    user = new_user(cloud)
    with cloud.pause_mappings("LedgerFunction"):
        assert change(cloud, user, 1) == 200
        time.sleep(2)  # the delay is the condition
    cloud.wait_for_alarm("ledger-behind")
    assert cloud.read_alarm_state("ledger-mismatch") != "ALARM"
    # When a client writes to the accounts without the API: last, since it blocks the stream
    cloud.stack.client("dynamodb").update_item(
        TableName=cloud.stack.outputs["AccountsTable"],
        Key={"user_id": {"S": user}},
        UpdateExpression="SET balance = :much",
        ExpressionAttributeValues={":much": {"N": "1000000"}},
    )
    cloud.wait_for_alarm("ledger-mismatch")


def test_numbers_of_jobs_that_are_behind_call(cloud: MonitoredStack) -> None:
    # Given a tally that reads no change for a while
    with cloud.pause_mappings("TallyFunction"):
        new_job(cloud)
        time.sleep(2)  # the delay is the condition
    cloud.wait_for_alarm("tally-behind")


def test_objects_of_removed_jobs_that_stay_call(cloud: MonitoredStack) -> None:
    # Given a job that is removed while nothing reads removals
    job_id = new_job(cloud)
    path = f"/api/v1/jobs/{job_id}"
    wait_until(lambda: cloud.stack.api.get(path)["status"] == "COMPLETED", seconds=30, what="the end of the job")
    with cloud.pause_mappings("RetentionFunction"):
        assert cloud.stack.api.request("DELETE", path).status_code == 200
        time.sleep(2)  # the delay is the condition
    cloud.wait_for_alarm("retention-behind")


def test_jobs_that_fail_too_often_call(cloud: MonitoredStack) -> None:
    # Given many more jobs that fail than that complete
    nowhere = {"type": "HTTP_GET", "payload": {"url": "http://nowhere.invalid/"}, "max_attempts": 1}
    cloud.stack.create_jobs([nowhere] * 100)
    cloud.wait_for_alarm("jobs-failing")


def test_tasks_whose_slot_has_long_come_call(cloud: MonitoredStack) -> None:
    # Given a task that is due each minute, and a scheduler that looks late
    path = f"/api/tasks/{each_minute(cloud)}"

    def tick_late() -> int | None:
        lag: int = cloud.stack.invoke("SchedulerFunction")["lag_ms"]
        return lag if lag > 1_000 else None

    wait_until(lambda: cloud.stack.api.get(path)["next_run"] < _two_seconds_ago(), seconds=90, what="the slot to pass")
    lag = wait_until(tick_late, seconds=30, what="a late tick")
    # Then the lag of that very tick is in the metric, and calls
    wait_until(lambda: cloud.value("SchedulerLag", "Maximum") >= lag, seconds=30, what="its lag")
    cloud.wait_for_alarm("scheduler-late")


def test_looks_that_come_late_and_a_job_of_an_unknown_status_call(cloud: MonitoredStack) -> None:
    # Given a delayed job whose look was due a while ago, and a job with a status of another release
    late, unknown = (new_job(cloud, delay_seconds=2_000) for _ in range(2))
    assert (cloud.read_alarm_state("sweeper-late"), cloud.read_alarm_state("sweep-set-aside")) != (
        "ALARM",
        "ALARM",
    )
    past = {"N": str(int(time.time() * 1000) - 5_000)}
    change_job(cloud, late, look_at=past)
    change_job(cloud, unknown, look_at=past, status={"S": "BLOCKED"})
    # When the sweeper comes to them
    report = cloud.stack.invoke("SweeperFunction")
    # Then the first is moved, the second is set aside, and both call
    assert (report["set_aside"], report["lag_ms"] >= 5_000) == (1, True)
    assert report["moved"] >= 1
    for alarm in ("sweeper-late", "sweep-set-aside"):
        cloud.wait_for_alarm(alarm)
    jobs = cloud.stack.outputs["JobsTable"]
    cloud.stack.client("dynamodb").delete_item(TableName=jobs, Key={"id": {"S": unknown}})


def change_job(watched: MonitoredStack, job_id: str, **values: Any) -> None:
    """Write attributes of a job past the API."""
    watched.stack.client("dynamodb").update_item(
        TableName=watched.stack.outputs["JobsTable"],
        Key={"id": {"S": job_id}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


def test_a_task_that_nothing_can_run_calls(cloud: MonitoredStack) -> None:
    # Given a due task whose job type has no queue any more, as after its retirement
    task = {"name": "retired", "every": "1h", "type": "SLEEP", "payload": {"duration_ms": 1}}
    task_id = cloud.stack.api.post("/api/tasks", task)["id"]
    assert cloud.read_alarm_state("tasks-set-aside") != "ALARM"
    cloud.stack.client("dynamodb").update_item(
        TableName=cloud.stack.outputs["TasksTable"],
        Key={"id": {"S": task_id}},
        UpdateExpression="SET queue = :gone, next_run = :past, anchor = :past",
        ExpressionAttributeValues={":gone": {"S": "GONE"}, ":past": {"N": str(int(time.time() * 1000) - 1_000)}},
    )
    # When the scheduler comes to it
    assert cloud.stack.invoke("SchedulerFunction")["set_aside"] >= 1
    # Then it calls
    cloud.wait_for_alarm("tasks-set-aside")
    cloud.stack.api.request("DELETE", f"/api/tasks/{task_id}")


def test_a_task_that_skips_its_slots_calls_and_so_does_one_whose_runs_are_not_claimed(
    cloud: MonitoredStack,
) -> None:
    # Given two tasks for workers that there are none of, one of which does not wait for ever
    external = {"every": "1h", "type": "EXTERNAL", "payload": {}}
    waiting = cloud.stack.api.post("/api/tasks", external | {"name": "waiting"})["id"]
    impatient = cloud.stack.api.post("/api/tasks", external | {"name": "impatient", "start_within_seconds": 1})["id"]
    assert (cloud.read_alarm_state("task-skipped"), cloud.read_alarm_state("task-failing")) == ("OK", "OK")
    # When slot after slot comes
    for _ in range(4):
        let_come(cloud, waiting, impatient)
        cloud.stack.invoke("SchedulerFunction")
        time.sleep(1.1)  # the second of `start_within_seconds` is the condition
    # Then both call
    cloud.wait_for_alarm("task-skipped")
    cloud.wait_for_alarm("task-failing")
    assert cloud.stack.api.get(f"/api/tasks/{waiting}")["skipped_in_row"] == 3
    assert cloud.stack.api.get(f"/api/tasks/{impatient}")["failed_in_row"] == 3
    for task_id in (waiting, impatient):
        cloud.stack.api.request("DELETE", f"/api/tasks/{task_id}")


def let_come(watched: MonitoredStack, *task_ids: str) -> None:
    """Let the next slot of tasks be now, as time would have done."""
    now = str(int(time.time() * 1000))
    for task_id in task_ids:
        watched.stack.client("dynamodb").update_item(
            TableName=watched.stack.outputs["TasksTable"],
            Key={"id": {"S": task_id}},
            UpdateExpression="SET next_run = :now, anchor = :now",
            ExpressionAttributeValues={":now": {"N": now}},
        )


def each_minute(watched: MonitoredStack) -> str:
    """The id of a task that is due each minute, made at the first call."""
    if "each-minute" not in watched.tasks:
        task = {"name": "each-minute", "every": "1m", "type": "SLEEP", "payload": {"duration_ms": 1}}
        watched.tasks["each-minute"] = watched.stack.api.post("/api/tasks", task)["id"]
    return watched.tasks["each-minute"]


def _two_seconds_ago() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))


# ---- Last, because an engine that was killed has forgotten where its streams were read to ---------------------------


def test_killing_forwarder_and_engine_in_turn_loses_little_and_doubles_nothing(cloud: MonitoredStack) -> None:
    # Given requests that are counted
    start, counted = cloud.count_answered_requests(), cloud.count_requests_on_page()
    cloud.send_requests(20)
    wait_until(lambda: cloud.count_answered_requests() == start + 20, seconds=30, what="the first 20")
    # When the forwarder is killed while requests go on, and started again
    os.kill(cloud.record.pid, signal.SIGKILL)
    cloud.send_requests(20)
    cloud.record = cloud.monitor.start(cloud.record.port)
    # Then none is lost and none counted twice
    wait_until(lambda: cloud.count_answered_requests() == start + 40, seconds=30, what="40 after the forwarder's death")
    # When the engine is stopped and started, and then killed, which brings its metrics back to their last save
    port = cloud.engine.running().port  # type: ignore[union-attr]
    cloud.engine.stop()
    cloud.engine.start(port)
    cloud.send_requests(10)
    wait_until(lambda: cloud.count_answered_requests() >= start + 50, seconds=60, what="50 after the engine's stop")
    os.kill(cloud.engine.running().pid, signal.SIGKILL)  # type: ignore[union-attr]
    wait_until(lambda: cloud.engine.running() is None, seconds=60, what="the engine's death")
    cloud.engine.start(port)
    cloud.send_requests(10)
    # Then what was forwarded is there again, once
    wait_until(lambda: cloud.count_answered_requests() >= start + 60, seconds=60, what="60 after the engine's death")
    time.sleep(3)  # that nothing more comes has no signal to wait for
    assert cloud.count_answered_requests() == start + 60
    assert cloud.count_requests_on_page() == counted + 60
