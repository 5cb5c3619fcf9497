"""A deployment in the memory of one process: the table of jobs and one queue."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from moto import mock_aws

from leaseway import aws
from leaseway.jobs import Job, get_job
from leaseway.settings import settings
from support import tables


@contextmanager
def deployment() -> Iterator[str]:
    """Create the table and the queue; yields the queue's URL."""
    with mock_aws():
        aws.client("dynamodb").create_table(**tables.jobs("jobs"))
        os.environ["JOBS_QUEUE_URL"] = tables.create_queue(aws.client("sqs"), "jobs")
        settings.cache_clear()
        yield os.environ["JOBS_QUEUE_URL"]


def print_state(queue_url: str, *jobs: Job) -> None:
    """Print the jobs' statuses, and how many messages the queue still shows and hides.

    Past Python's buffer, so that what the program itself has printed is seen only if it flushed it.
    """
    left = aws.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    counts = left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]
    state = [*(get_job(job.id, owner=None).status for job in jobs), *counts]
    os.write(1, f"{' '.join(state)}\n".encode())
