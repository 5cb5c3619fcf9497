"""Priority, fairness, limits and order on the deployed stack."""

from contextlib import contextmanager
from datetime import datetime
from statistics import median

import pytest

from observe import until

LEASE = 3
SLEEP_50 = {"type": "SLEEP", "payload": {"duration_ms": 50}}


@pytest.fixture(scope="module")
def stack(make_stack):
    return make_stack("queues", LeaseSeconds=LEASE, BackoffBaseMs=400, SweeperEnabled=False)


def batch(stack, jobs):
    """Create up to 100 jobs; returns their ids in order."""
    answer = stack.api.post("/api/v1/jobs/batch", {"jobs": jobs})
    assert answer["refused"] == 0
    return [item["job"]["id"] for item in answer["content"]]


def read(stack, job_id):
    return stack.api.get(f"/api/v1/jobs/{job_id}")


def completed(stack, job_ids, seconds=120):
    """The jobs, once every one is COMPLETED."""

    def one(job_id):
        def there():
            job = read(stack, job_id)
            return job if job["status"] == "COMPLETED" else None

        return until(there, seconds=seconds, what=f"{job_id} COMPLETED")

    return [one(job_id) for job_id in job_ids]


def waited(job):
    return (moment(job["started_at"]) - moment(job["created_at"])).total_seconds()


def moment(text):
    return datetime.fromisoformat(text)


def depth(stack, output):
    held = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=["All"])
    return int(held["Attributes"]["ApproximateNumberOfMessages"])


def mapping_of(stack, output):
    arn = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=["QueueArn"])
    found = stack.client("lambda").list_event_source_mappings(EventSourceArn=arn["Attributes"]["QueueArn"])
    return found["EventSourceMappings"][0]["UUID"]


@contextmanager
def no_workers(stack, output):
    """A queue without its mapping: messages stay where they are."""
    client, mapping = stack.client("lambda"), mapping_of(stack, output)
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)


def median_wait_of_fifty_high(stack):
    """Seconds; twice fifty, because this machine does other things too."""
    rounds = [completed(stack, batch(stack, [SLEEP_50 | {"priority": "high"}] * 50)) for _ in range(2)]
    return median(waited(job) for jobs in rounds for job in jobs)


def test_a_flood_of_low_jobs_keeps_no_high_one_waiting(stack):
    # Given warm workers, and what fifty high jobs wait when they are alone
    median_wait_of_fifty_high(stack)
    alone = median_wait_of_fifty_high(stack)
    # When fifty high ones are queued behind two thousand low ones at which workers are busy
    with no_workers(stack, "LowQueueUrl"):
        low = [job_id for _ in range(20) for job_id in batch(stack, [SLEEP_50 | {"priority": "low"}] * 100)]
        assert depth(stack, "LowQueueUrl") == 2_000
    until(lambda: read(stack, low[0])["status"] != "CREATED", seconds=30, what="the flood")
    flooded = median_wait_of_fifty_high(stack)
    # Then those wait at most twice as long
    left = depth(stack, "LowQueueUrl")
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["LowQueueUrl"])
    print(f"alone {alone:.3f} s, in the flood {flooded:.3f} s, low ones left {left}")
    assert left, "the flood was over"
    assert flooded <= 2 * alone


def test_of_a_limited_type_no_more_run_at_a_time_than_its_limit(stack):
    audits = batch(stack, [{"type": "STORAGE_AUDIT", "payload": {"duration_ms": 700}}] * 8)

    jobs = completed(stack, audits)

    assert {job["queue"] for job in jobs} == {"STORAGE_AUDIT"}
    spans = [(moment(job["started_at"]), moment(job["finished_at"])) for job in jobs]
    at_a_time = [sum(start <= began < end for start, end in spans) for began, _ in spans]
    assert max(at_a_time) == 2
