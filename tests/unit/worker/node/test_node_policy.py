"""The policy for nodes against what a node calls: nothing is missing, and nothing is granted that is not used."""

import json
from typing import Any

import pytest

from leaseway import aws
from leaseway.generator import GeneratorLease, give_up, produce, renew, take_number, try_to_become
from leaseway.jobs import Job, JobStatus, Options, create_job, get_job
from leaseway.jobs.queue_names import Queue
from leaseway.jobs.run.claim import claim
from leaseway.jobs.table import JobModel
from leaseway.settings import settings
from support.iam_rights import CallRecorder, large_picture, list_granted_rights, no_picture
from support.waiting import wait_until
from support.working_lane import RunningLane
from worker.node.process import default_queues

# Without it, S3 answers 403 for an object that is not there.
NOT_SEEN = {("s3:ListBucket", "Bucket")}


def create_without_message(source: Queue, payload: dict) -> Job:
    """A job of that queue; its message is still to be sent."""
    # A retry that keeps its order deletes nothing.
    job = create_job("ann", "IMAGE_RESIZE", payload, Options(max_attempts=1 if source.keeps_order else None))
    JobModel.change(job.id, [JobModel.queue.set(source.name)], JobModel.id.exists())
    return job


def send(job: Job, source: Queue, *, is_claimed: bool = False) -> None:
    """Send the job's message; if it is held, another worker has claimed the job with that very message."""
    body = json.dumps({"job_id": job.id, "ttl_ms": job.ttl_ms})
    place = {"MessageGroupId": job.id, "MessageDeduplicationId": job.id} if source.keeps_order else {}
    message_id = aws.client("sqs").send_message(QueueUrl=source.url, MessageBody=body, **place)["MessageId"]
    if is_claimed:
        claim(job.id, "another", message_id=message_id)


def was_attempted(job: Job) -> bool:
    return get_job(job.id, owner=None).attempts >= 1


def test_the_policy_grants_exactly_what_a_node_calls(
    calls: CallRecorder, sam_template: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given on every queue a job that fails, and one that another worker holds, and one that stores a picture
    monkeypatch.setenv("WORKER_ENABLED", "false")
    settings.cache_clear()
    sources = default_queues()
    failing = [(create_without_message(source, no_picture()), source) for source in sources]
    claimed = [(create_without_message(source, no_picture()), source) for source in sources]
    picture = create_without_message(sources[0], large_picture())
    # One message a job: two lanes with the same job would meet in moto, which is not safe for threads.
    aws.client("sqs").purge_queue(QueueUrl=sources[0].url)
    for job, source in [*failing, *claimed, (picture, sources[0])]:
        send(job, source, is_claimed=(job, source) in claimed)
    # When a node works on all of them, and is the generator
    with calls.record():
        lanes = [RunningLane(source=source) for source in sources]
        for lane in lanes:
            lane.start()
        lease = try_to_become(take_number(), "node", 4_000)
        assert isinstance(lease, GeneratorLease)
        produce(renew(lease, 4_000), 1)
        give_up(lease)
        wait_until(lambda: len(lanes[0].ended) > 1, seconds=90, what="the first queue's jobs")
        wait_until(lambda: all(lane.ended for lane in lanes), seconds=90, what="a job of every queue")
        for lane in lanes:
            lane.stop()
    assert get_job(picture.id, owner=None).status is JobStatus.COMPLETED
    assert all(was_attempted(job) for job, _ in failing)
    # Then the policy names just what it called
    used = calls.rights | NOT_SEEN
    policy = {"Properties": {"Policies": [sam_template["Resources"]["NodePolicy"]["Properties"]]}}
    allowed = list_granted_rights(policy)
    assert {"missing": sorted(used - allowed), "unused": sorted(allowed - used)} == {"missing": [], "unused": []}
