"""A node as a process: how it ends where an executor does not, and what it is told."""

import subprocess
import sys
import textwrap

import pytest

from worker.node.options import parse

START = """
import os, sys
os.environ.update(EXECUTORS_PACKAGE="unit.worker.odd_executors", JOBS_TABLE="jobs", BUCKET="b", LOG_LEVEL="WARNING",
                  AWS_ACCESS_KEY_ID="t", AWS_SECRET_ACCESS_KEY="t", AWS_DEFAULT_REGION="us-east-1")
from moto import mock_aws
from support import tables
with mock_aws():
    from leaseway import aws
    aws.client("dynamodb").create_table(**tables.jobs("jobs"))
    os.environ["JOBS_QUEUE_URL"] = url = tables.queue(aws.client("sqs"), "jobs")
    from leaseway.jobs import Options, create_job, get_job
    from worker.node.options import parse
    from worker.node.process import Node
    from worker import batch
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + textwrap.indent(textwrap.dedent(script), "    ")],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": ""},
    )  # fmt: skip


def test_an_executor_that_outlives_its_deadline_ends_the_node_after_its_neighbours_with_status_1():
    ended = run(
        """
        batch.OVERRUN_SECONDS = 0.2
        stubborn = create_job("ann", "STUBBORN", {}, Options(ttl_ms=500))
        quick = create_job("ann", "QUICK", {"wait_ms": 2_500})
        status = Node(parse(["--queues", "normal", "--concurrency", "2", "--poll-seconds", "1"])).run()
        left = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        print(get_job(stubborn.id, owner=None).status, get_job(quick.id, owner=None).status,
              left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"], status, flush=True)
        os._exit(status)
        """
    )
    assert ended.stdout.splitlines()[-1] == "CANCELLED COMPLETED 0 0 1", ended.stderr
    assert ended.returncode == 1


def test_a_node_whose_thread_fails_ends_with_status_1_rather_than_go_on_without_it():
    ended = run(
        """
        from worker.node.lane import Lane
        def broken(self, wait_seconds):
            raise RuntimeError("no more polling")
        Lane.poll = broken
        os._exit(Node(parse(["--queues", "normal"])).run())
        """
    )
    assert ended.returncode == 1
    assert "no more polling" in ended.stdout + ended.stderr


def test_a_lease_lasts_twice_as_long_as_it_is_renewed():
    assert parse(["--refresh-ms", "700"]).lease_ms == 1_400


@pytest.mark.parametrize("wrong", [["--concurrency", "0"], ["--poll-seconds", "20"], ["--refresh-ms", "0"]])
def test_wrong_options_end_it_before_it_begins(wrong, capsys):
    with pytest.raises(SystemExit) as refusal:
        parse(wrong)
    assert refusal.value.code == 2
    assert wrong[0] in capsys.readouterr().err
