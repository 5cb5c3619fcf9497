"""An AWS account in memory (moto) for each test: tables, queue, bucket and secret, with the settings that name them."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from leaseway import aws
from leaseway.jobs.types import catalogue
from leaseway.logs import log
from leaseway.settings import Settings, settings
from leaseway_local.deployment import template
from support import tables
from support.as_function import clear_caches
from support.fake_clock import FakeClock, set_clock
from support.iam_rights import CallRecorder, listen_to_every_client

NAMES = {
    "ACCOUNTS_TABLE": "accounts",
    "JOBS_TABLE": "jobs",
    "TOTALS_TABLE": "totals",
    "LEDGER_TABLE": "ledger",
    "IDEMPOTENCY_TABLE": "idempotency",
    "TASKS_TABLE": "tasks",
    "HISTORY_TABLE": "history",
    "TAGS_TABLE": "tags",
    "NODES_TABLE": "nodes",
    "BUCKET": "leaseway-bucket",
    "USERS_TABLE": "users",
    "REGISTRATION": "open",
    "CURSOR_SECRET": "leaseway/cursor",
    "TOKEN_SECRET": "leaseway/token",
    "EXECUTORS_PACKAGE": "worker.executors",
    "SCHEDULE_THREADS": "1",  # moto is not safe for threads
    "SWEEP_THREADS": "1",  # moto is not safe for threads
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
QUEUES = ("jobs", "high", "low", "tasks")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of a deployment, and nothing of the machine's own."""
    for name in [*(field.upper() for field in Settings.__struct_fields__), "AWS_ENDPOINT_URL", "AWS_PROFILE"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in NAMES.items():
        monkeypatch.setenv(name, value)
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every table and part a function needs, empty. Ask for it wherever AWS is called."""
    with mock_aws():
        clear_caches()
        dynamodb = aws.client("dynamodb")
        for kind in tables.EVERY:
            dynamodb.create_table(**kind(kind.__name__))
        for queue in QUEUES:
            monkeypatch.setenv(f"{queue.upper()}_QUEUE_URL", tables.create_queue(aws.client("sqs"), queue))
        monkeypatch.setenv("ORDERED_QUEUE_URL", tables.create_queue(aws.client("sqs"), "ordered.fifo"))
        own = [kind.name for kind in catalogue().values() if kind.own_queue is not None]
        of_types = [f"{name}={tables.create_queue(aws.client('sqs'), name.lower())}" for name in own]
        monkeypatch.setenv("TYPE_QUEUE_URLS", ",".join(of_types))
        aws.client("s3").create_bucket(Bucket="leaseway-bucket")
        aws.client("secretsmanager").create_secret(Name="leaseway/cursor", SecretString="k" * 64)
        aws.client("secretsmanager").create_secret(Name="leaseway/token", SecretString="t" * 64)
        settings.cache_clear()
        yield
    clear_caches()


@pytest.fixture
def fake_clock(cloud: None) -> Iterator[FakeClock]:
    """The domain's clock, which stands until the test moves it: `fake_clock.move(minutes=5)`."""
    with set_clock() as fake:
        yield fake


@pytest.fixture
def log_output() -> Iterator[io.StringIO]:
    """What the functions log while the test runs."""
    (handler,) = log.handlers
    output = io.StringIO()
    before = handler.setStream(output)
    yield output
    handler.setStream(before)


@pytest.fixture
def sam_template() -> dict[str, Any]:
    """The template as it is written."""
    return template.read()


@pytest.fixture
def calls(cloud: None, sam_template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> CallRecorder:
    """The rights that the code's calls need, of each client that is made while the test runs."""
    return listen_to_every_client(sam_template, monkeypatch)
