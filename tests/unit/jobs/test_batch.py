"""Creating many jobs at once."""

from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.errors import UnavailableError
from leaseway.jobs import Job, JobStatus, Options, TtlTooLongError, UnknownJobTypeError, get_job
from leaseway.jobs.create.batch import create_jobs
from leaseway.jobs.create.options import JobRequest
from leaseway.jobs.run import claim
from support.api_gateway import post
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("cloud")

SLEEP = JobRequest("SLEEP", {"duration_ms": 1})


def test_a_hundred_jobs_take_fourteen_calls() -> None:
    with meter_calls() as meter:
        jobs = create_jobs("ann", [SLEEP] * 100)
    assert len({job.id for job in jobs}) == 100
    assert meter.count() == 14
    assert meter.write_units("jobs") == 300


def test_each_job_of_a_batch_is_as_one_created_alone() -> None:
    (job,) = create_jobs("ann", [SLEEP])
    outcome = claim.claim(job.id, "w1")
    assert isinstance(outcome, claim.Claimed)
    assert get_job(job.id, owner="ann").status is JobStatus.RUNNING


def test_what_is_wrong_with_one_refuses_that_one_only() -> None:
    outcomes = create_jobs(
        "ann",
        [
            SLEEP,
            JobRequest("NO_SUCH", {}),
            JobRequest("SLEEP", {"duration_ms": 1}, Options(ttl_ms=10**9)),
            SLEEP,
        ],
    )
    assert [type(outcome) for outcome in outcomes] == [Job, UnknownJobTypeError, TtlTooLongError, Job]


def test_what_the_table_keeps_back_is_asked_again_and_reported_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    client = aws.client("dynamodb")
    original, keeps_back = client._make_api_call, [True, True]

    def call_throttled_table(name: str, request: dict[str, Any]) -> dict[str, Any]:
        if name == "BatchWriteItem" and (keeps_back.pop() if keeps_back else False):
            return {"UnprocessedItems": request["RequestItems"]}
        return original(name, request)

    monkeypatch.setattr(client, "_make_api_call", call_throttled_table)
    assert all(isinstance(outcome, Job) for outcome in create_jobs("ann", [SLEEP, SLEEP]))

    keeps_back[:] = [True] * 50
    assert [type(outcome) for outcome in create_jobs("ann", [SLEEP])] == [UnavailableError]


def test_over_http_refusals_are_listed_by_index() -> None:
    answer = post(
        "/api/v1/jobs/batch",
        {"jobs": [{"type": "SLEEP", "payload": {"duration_ms": 1}}, {"type": "SLEEP"}, {"type": "X", "payload": {}},
                  {"type": "SLEEP", "payload": {"duration_ms": "long"}}]},
    )  # fmt: skip
    assert answer.status == 202
    assert (answer.json["accepted"], answer.json["refused"]) == (1, 3)
    problems = [(item["index"], item["problem"] and (item["problem"]["code"], item["problem"]["field"]))
            for item in answer.json["content"]]  # fmt: skip
    assert problems == [
        (0, None),
        (1, ("INVALID_INPUT", "payload")),
        (2, ("UNKNOWN_JOB_TYPE", "type")),
        (3, ("INVALID_INPUT", "payload.duration_ms")),
    ]


@pytest.mark.parametrize("jobs", [[], [{"type": "SLEEP", "payload": {"duration_ms": 1}}] * 101, None])
def test_a_batch_of_none_or_too_many_is_refused_whole(jobs: list[dict[str, Any]] | None) -> None:
    assert post("/api/v1/jobs/batch", {"jobs": jobs}).status == 400
