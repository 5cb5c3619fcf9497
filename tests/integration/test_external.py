"""Workers outside Lambda on the deployed stack: the shell worker of the examples, killed ones, and bare HTTP."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from leaseway.jobs.run.external import LONGEST_WAIT_SECONDS
from support.deployed_stacks import DeployedStack, StackFactory
from support.doc_examples import FOLDER
from support.function_logs import read_log_lines
from support.job_stream import Change, read_job_changes
from support.waiting import wait_until

LEASE = 3
WORKER = FOLDER / "worker.sh"
HANDLER = """
import json, sys, time
payload = json.load(sys.stdin)
if payload.get("slow_for") in (None, sys.argv[1]):
    time.sleep(payload["seconds"])
if payload.get("breaks"):
    raise SystemExit(7)
print(json.dumps({"slept": payload["seconds"], "by": sys.argv[1]}))
"""
PAGES = {"text": "x" * 20_000}


@pytest.fixture(scope="module")
def stack(make_stack: StackFactory) -> DeployedStack:
    return make_stack("control", LeaseSeconds=LEASE, LogFormat="json", SweeperEnabled=False)


@pytest.fixture
def shell_worker(stack: DeployedStack, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts `worker.sh` as a process group of its own; its handler sleeps as a payload says."""
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    started = []

    def start(name: str) -> subprocess.Popen[str]:
        tools = {str(Path(shutil.which(tool) or tool).parent) for tool in ("bash", "curl")}
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), *tools, os.environ["PATH"]]),
            "LEASEWAY_URL": stack.outputs.api_url,
            "LEASEWAY_TOKEN": stack.admin.token(),
            "WORKER": name,
            "HANDLER": f"{sys.executable} {handler} {name}",
            "WAIT": "1",
        }
        process = subprocess.Popen(
            ["bash", str(WORKER)], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def create(stack: DeployedStack, payload: dict[str, Any], **options: Any) -> str:
    return stack.api.post("/api/v1/jobs", {"type": "EXTERNAL", "payload": payload, **options})["id"]


def read(stack: DeployedStack, job_id: str) -> dict[str, Any]:
    return stack.api.get(f"/api/v1/jobs/{job_id}")


def claim(stack: DeployedStack, worker: object = "http", **options: Any) -> httpx.Response:
    body = {"types": ["EXTERNAL"], "worker": worker, **options}
    return stack.api.request("POST", "/api/v1/jobs/claim", json=body)


def report(stack: DeployedStack, claimed: dict[str, Any], step: str, **fields: Any) -> httpx.Response:
    body = {"claim_token": claimed["claim_token"], **fields}
    return stack.api.request("POST", f"/api/v1/jobs/{claimed['job']['id']}/{step}", json=body)


def test_the_shell_worker_has_forty_lines() -> None:
    assert len(WORKER.read_text().splitlines()) <= 40


def test_a_worker_of_shell_and_curl_completes_fails_and_keeps_jobs_by_heartbeats(
    stack: DeployedStack, shell_worker: Callable[[str], subprocess.Popen[str]]
) -> None:
    # Given jobs of which one takes longer than the lease, and one breaks its handler
    quick = [create(stack, {"seconds": 0}) for _ in range(3)]
    broken = create(stack, {"seconds": 0, "breaks": True}, max_attempts=1)
    long = create(stack, {"seconds": LEASE + 2})

    # When a worker takes what there is
    output, _ = shell_worker("build-7").communicate(timeout=180)

    # Then each has ended as it should, at the first attempt
    for job_id in (*quick, long):
        job = read(stack, job_id)
        assert (job["status"], job["worker"], job["attempts"], job["crashes"]) == ("COMPLETED", "build-7", 1, 0)
        assert job["result"]["by"] == "build-7"
    failed = read(stack, broken)
    assert (failed["status"], failed["error_message"]) == ("FAILED", "the handler failed")
    assert output.count('"status":"COMPLETED"') == 4
    assert heartbeats(stack, long)


def heartbeats(stack: DeployedStack, job_id: str) -> list[Change]:
    recorded = read_job_changes(stack.client, stack.outputs["JobsTable"])
    return [change for change in recorded if change.is_heartbeat and change.new["id"] == job_id]


def test_a_killed_shell_workers_job_is_taken_over_by_another(
    stack: DeployedStack, shell_worker: Callable[[str], subprocess.Popen[str]]
) -> None:
    # Given a worker that is killed in the middle of a job, with everything it started
    job_id = create(stack, {"seconds": 60, "slow_for": "victim"}, ttl_ms=300_000)
    victim = shell_worker("victim")
    wait_until(lambda: heartbeats(stack, job_id), seconds=60, what="the victim's first heartbeat")
    os.killpg(victim.pid, signal.SIGKILL)

    # When the sweeper has found its lease ended
    def resent() -> int:
        return stack.invoke("SweeperFunction", {})["resent"]

    wait_until(resent, seconds=LEASE + 30, what="a new message", every=1)
    output, _ = shell_worker("successor").communicate(timeout=180)

    # Then another worker did it, once
    job = read(stack, job_id)
    assert (job["status"], job["worker"], job["attempts"], job["crashes"]) == ("COMPLETED", "successor", 2, 1)
    assert job["result"]["by"] == "successor"
    assert [attempt["end"] for attempt in job["history"]] == ["CRASHED", "COMPLETED"]
    assert job_id in output
    ends = [
        change
        for change in read_job_changes(stack.client, stack.outputs["JobsTable"])
        if change.new.get("id") == job_id
    ]
    assert sum(change.ends_the_job for change in ends) == 1


def test_a_claim_whose_answer_is_lost_is_repeated_under_its_key(stack: DeployedStack) -> None:
    # Given a worker that is killed while it waits for a job: its request goes on, and claims
    key = {"idempotency-key": f"lost-{secrets.token_hex(8)}"}
    body = {"types": ["EXTERNAL"], "worker": "restarted", "wait_seconds": 5}
    with ThreadPoolExecutor(2) as pool:
        ghost = pool.submit(stack.api.request, "POST", "/api/v1/jobs/claim", json=body, headers=key)
        repeat = pool.submit(stack.api.request, "POST", "/api/v1/jobs/claim", json=body, headers=key)
        job_id = create(stack, {"n": 1}, max_attempts=1)
        answers = [ghost.result(30), repeat.result(30)]
    # When its successor repeats the request, whichever of the two was quicker
    answers += [stack.api.request("POST", "/api/v1/jobs/claim", json=body, headers=key)]
    # Then every answer that has a job has this one, under one token
    claims = [answer.json() for answer in answers if answer.status_code == 200]
    assert {claim["job"]["id"] for claim in claims} == {job_id}
    assert len({claim["claim_token"] for claim in claims}) == 1
    assert answers[-1].status_code == 200
    assert report(stack, claims[-1], "complete", result={}).status_code == 200
    assert read(stack, job_id)["attempts"] == 1


def test_ghosts_of_a_rolling_deploy_cost_a_job_nothing(stack: DeployedStack) -> None:
    # Given a job with a single attempt, claimed by three workers that are gone before they hear of it
    job_id = create(stack, {"n": 1}, max_attempts=1)
    for _ in range(3):
        ghost = wait_until(lambda: claim_next(stack), seconds=30, what="a claim")
        assert ghost["job"]["id"] == job_id
        wait_until(
            lambda: stack.invoke("SweeperFunction", {})["resent"], seconds=LEASE + 60, what="its message", every=1
        )
    # When a worker lives
    alive = wait_until(lambda: claim_next(stack), seconds=30, what="a claim")
    # Then it has the job's one attempt
    assert report(stack, alive, "heartbeat").json()["cancelled"] is False
    assert report(stack, alive, "complete", result={"by": "alive"}).status_code == 200
    job = read(stack, job_id)
    assert (job["status"], job["attempts"], job["crashes"]) == ("COMPLETED", 1, 0)


def claim_next(stack: DeployedStack) -> dict[str, Any] | None:
    """A claim that got a job."""
    answer = claim(stack, wait_seconds=1)
    return answer.json() if answer.status_code == 200 else None


def test_a_long_lease_needs_no_heartbeat_while_the_deployments_own_lease_passes(stack: DeployedStack) -> None:
    job_id = create(stack, {"n": 1}, ttl_ms=3_600_000)
    long = wait_until(lambda: claim_for_long(stack), seconds=30, what="a claim")
    assert (long["job"]["id"], long["heartbeat_seconds"]) == (job_id, 200)
    assert report(stack, long, "heartbeat").status_code == 200
    # The deployment's own lease and the grace after it are over, and sweeps leave the job alone
    over = time.time() + LEASE + 16
    wait_until(
        lambda: stack.invoke("SweeperFunction", {})["resent"] == 0 and time.time() > over, seconds=60, what="sweeps"
    )
    assert claim(stack).status_code == 204
    assert report(stack, long, "complete", result={}).status_code == 200
    assert read(stack, job_id)["attempts"] == 1


def claim_for_long(stack: DeployedStack) -> dict[str, Any] | None:
    answer = claim(stack, wait_seconds=1, lease_seconds=600)
    return answer.json() if answer.status_code == 200 else None


def test_a_claim_waits_until_a_job_comes(stack: DeployedStack) -> None:
    # Given no job, and a worker that asks in a loop, waiting as long as it may
    assert claim(stack).status_code == 204
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(claim_in_loop, stack)
        # When a job is created
        job_id = create(stack, {"n": 1})
        answer = waiting.result(120)
    # Then a request gets it before its wait is over
    assert answer.json()["job"]["id"] == job_id
    assert report(stack, answer.json(), "complete", result={}).status_code == 200
    lines = read_log_lines(stack.client, stack.outputs["ApiFunction"])
    served = [line for line in lines if line.get("route") == "/api/v1/jobs/claim" and line["status"] == 200]
    assert served[-1]["ms"] < LONGEST_WAIT_SECONDS * 1000, "it looked again only at its end"


def claim_in_loop(stack: DeployedStack) -> httpx.Response:
    while (answer := claim(stack, wait_seconds=LONGEST_WAIT_SECONDS)).status_code == 204:
        pass
    assert answer.status_code == 200, answer.text
    return answer


def test_many_workers_share_the_jobs_and_each_result_is_written_once(stack: DeployedStack) -> None:
    created = {create(stack, {"n": number}) for number in range(12)}

    def work(worker: int) -> list[str]:
        done = []
        while (answer := claim(stack, worker)).status_code == 200:
            claimed = answer.json()
            assert report(stack, claimed, "complete", result={"by": worker}).status_code == 200
            done.append(claimed["job"]["id"])
        return done

    with ThreadPoolExecutor(3) as pool:
        done = [job_id for jobs in pool.map(work, ("a", "b", "c")) for job_id in jobs]

    assert sorted(done) == sorted(created)


def test_a_cancelled_jobs_worker_hears_of_it_and_its_result_is_refused(stack: DeployedStack) -> None:
    job_id = create(stack, {"n": 1})
    claimed = claim(stack, wait_seconds=5).json()
    assert claimed["job"]["id"] == job_id
    beat = report(stack, claimed, "heartbeat", progress=0.5, progress_note="half")
    assert (beat.status_code, beat.json()["cancelled"]) == (200, False)
    assert (read(stack, job_id)["progress"], read(stack, job_id)["progress_note"]) == (0.5, "half")

    stack.api.post(f"/api/v1/jobs/{job_id}/cancel", {})

    assert report(stack, claimed, "heartbeat").json()["cancelled"] is True
    late = report(stack, claimed, "complete", result={"late": True})
    assert (late.status_code, late.json()["code"], late.json()["job_status"]) == (409, "LEASE_LOST", "CANCELLED")
    assert read(stack, job_id)["result"] is None


def test_large_payloads_and_results_travel_through_the_bucket(stack: DeployedStack) -> None:
    job_id = create(stack, PAGES)

    claimed = claim(stack, wait_seconds=5).json()

    assert claimed["job"]["payload"] == PAGES
    assert report(stack, claimed, "complete", result=PAGES).status_code == 200
    assert stack.api.get(f"/api/v1/jobs/{job_id}/result")["result"] == PAGES


def test_a_user_runs_an_own_job_by_its_id_and_no_others(stack: DeployedStack) -> None:
    ann, bob = stack.as_user("external-ann"), stack.as_user("external-bob")
    job_id = ann.post("/api/v1/jobs", {"type": "EXTERNAL", "payload": {"secret": 1}})["id"]
    known = f"/api/v1/jobs/{job_id}"

    assert bob.request("POST", f"{known}/claim", json={"worker": "bob"}).status_code == 404
    assert bob.request("POST", "/api/v1/jobs/claim", json={"types": ["EXTERNAL"], "worker": "bob"}).status_code == 403
    claimed = ann.post(f"{known}/claim", {"worker": "ann's own"})
    assert claimed["job"]["payload"] == {"secret": 1}
    stolen = {"claim_token": claimed["claim_token"], "result": {}}
    assert bob.request("POST", f"{known}/complete", json=stolen).status_code == 404

    assert ann.post(f"{known}/complete", stolen)["status"] == "COMPLETED"
    assert claim(stack).status_code == 204, "its message found nothing to do"
