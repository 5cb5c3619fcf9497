"""The campaign's faults are what botocore takes for the service's own, in the share that was asked for."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from campaign.cloud import PLUGIN
from campaign.plugin import client_faults
from campaign.plugin.client_faults import CALLS, FAULTS, SWITCH, ClientFaults

# Each fault comes to a client of each service, whose calls all fail; prints what the client raised.
SCRIPT = """
import random, botocore.session, botocore.httpsession
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

calls = {"dynamodb": ("list_tables", {}), "sqs": ("list_queues", {}), "s3": ("list_buckets", {})}
for service, (name, request) in calls.items():
    client = botocore.session.get_session().create_client(
        service, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
        endpoint_url="http://127.0.0.1:9", config=Config(retries={"total_max_attempts": 1, "mode": "standard"}))
    for _ in range(40):
        try:
            getattr(client, name)(**request)
        except ClientError as error:
            print(service, error.response["Error"]["Code"])
        except BotoCoreError as error:
            print(service, type(error).__name__)
"""


def test_the_plug_in_lets_clients_of_every_service_meet_every_fault(tmp_path: Path) -> None:
    (tmp_path / SWITCH).touch()
    variables = {
        "PYTHONPATH": ":".join([str(PLUGIN), *(path for path in sys.path if path)]),
        "CAMPAIGN_FOLDER": str(tmp_path),
        "CAMPAIGN_SEED": "1",
        "CAMPAIGN_FAULT_PERCENT": "100",
        "CAMPAIGN_NODE": "node-1",
    }

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=variables, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    met = {tuple(line.split()) for line in done.stdout.splitlines()}
    # `unanswered` is sent first, and nothing listens there
    assert {code for service, code in met if service == "dynamodb"} == {
        "ThrottlingException", "InternalServerError", "EndpointConnectionError",
    }  # fmt: skip
    assert {("sqs", "ThrottlingException"), ("sqs", "InternalServerError")} < met
    assert {("s3", "SlowDown"), ("s3", "InternalError")} < met
    logged = Counter(line.split()[1] for line in (tmp_path / CALLS).read_text().splitlines())
    assert logged.keys() == set(FAULTS)
    assert logged.total() == 120


def test_the_share_of_faults_is_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / SWITCH).touch()
    faults = ClientFaults(tmp_path, percent=10, seed="1")
    drawn = Counter(faults.draw() for _ in range(10_000))
    assert 0.08 < 1 - drawn[None] / 10_000 < 0.12
    assert drawn.keys() == {None, *FAULTS}


def test_without_the_switch_every_call_passes_and_none_is_logged(tmp_path: Path) -> None:
    faults = ClientFaults(tmp_path, percent=100, seed="1")
    assert {faults.draw() for _ in range(100)} == {None}
    faults.record("dynamodb.GetItem", None)
    assert (tmp_path / CALLS).read_text() == ""


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"X-Amz-Target": b"DynamoDB_20120810.UpdateItem"}, "dynamodb.UpdateItem"),
        ({"X-Amz-Target": "AmazonSQS.SendMessage"}, "sqs.SendMessage"),
        ({}, "s3.Call"),
    ],
)
def test_an_operation_is_named_by_its_request(headers: dict[str, bytes | str], name: str) -> None:
    assert client_faults.name_operation(headers) == name
