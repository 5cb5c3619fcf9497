"""Cancelling and retrying many jobs at once: which, how many at a time, and what they cost."""

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from leaseway import aws, clock
from leaseway.cursors import InvalidCursorError
from leaseway.errors import InvalidInputError
from leaseway.jobs import Job, JobStatus, Options, cancel_job, create_job, get_job
from leaseway.jobs.control import bulk, control, pacing
from leaseway.jobs.control.bulk import Report, cancel_jobs, retry_jobs
from leaseway.jobs.find.selection import Selection
from leaseway.jobs.lease import Lease
from leaseway.jobs.run import claim, finish
from leaseway.settings import require_setting
from support.api_gateway import call, make_caller, post
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.faulty_wire import lose_first_answer

pytestmark = pytest.mark.usefixtures("cloud")

START = 1_800_000_000


def job(owner: str = "ann", second: float = 0, **options: Any) -> Job:
    with clock.fixed(lambda: START + second):
        return create_job(owner, "SLEEP", {"duration_ms": 1}, Options(**options))


def create_failed_job(owner: str = "ann", **options: Any) -> Job:
    failing = job(owner, max_attempts=1, **options)
    finish.fail(claim_job(failing), "boom")
    return failing


def claim_job(created: Job) -> Lease:
    with clock.fixed(lambda: START + 100):
        outcome = claim.claim(created.id, "w1")
    assert isinstance(outcome, claim.Claimed)
    return outcome.lease


def status(created: Job) -> JobStatus:
    return get_job(created.id, owner=None).status


def ids(report: Report) -> set[str]:
    return {outcome.job.id for outcome in report.outcomes}


def cancel(**options: Any) -> Report:
    selected = {name: options.pop(name) for name in tuple(options) if name in Selection.__struct_fields__}
    return cancel_jobs(Selection(**{"owner": "ann"} | selected), actor="root", **options)


def retry(**options: Any) -> Report:
    selected = {name: options.pop(name) for name in tuple(options) if name in Selection.__struct_fields__}
    return retry_jobs(Selection(**{"owner": "ann"} | selected), **options)


def test_waiting_and_running_jobs_of_a_type_are_cancelled_and_others_left() -> None:
    waiting, running, theirs = job(), job(), job("bob")
    claim_job(running)
    done = claim_job(job())
    finish.complete(done, {})

    report = cancel(type_name="SLEEP")

    assert (ids(report), report.changes, report.refusals) == ({waiting.id, running.id}, 2, 0)
    assert [status(one) for one in (waiting, running, done.job, theirs)] == [
        JobStatus.CANCELLED, JobStatus.CANCELLED, JobStatus.COMPLETED, JobStatus.CREATED,
    ]  # fmt: skip
    assert get_job(waiting.id, owner=None).error_message == "cancelled by root"


def test_failed_and_cancelled_jobs_are_tried_again_and_their_messages_sent_together(fake_clock: FakeClock) -> None:
    bad = [create_failed_job() for _ in range(11)]
    ended = job()
    cancel_job(ended.id, owner="ann", actor="ann")
    before = depth()
    with meter_calls() as meter:
        report = retry(type_name="SLEEP")
    assert ids(report) == {ended.id, *(one.id for one in bad)}
    assert {status(one) for one in (*bad, ended)} == {JobStatus.CREATED}
    assert depth() == before + 12
    assert meter.count("sqs") == 2
    assert get_job(bad[0].id, owner=None).history[0].error == "boom"


def test_retried_jobs_start_oldest_first_ten_a_second_over_all_calls(fake_clock: FakeClock) -> None:
    failed = [create_failed_job(second=second) for second in range(25)]
    now = clock.now_ms()

    first = retry(type_name="SLEEP", limit=15)
    second = retry(type_name="SLEEP", cursor=first.cursor)

    jobs = [outcome.job for outcome in (*first.outcomes, *second.outcomes)]
    assert [one.id for one in jobs] == [one.id for one in failed]
    assert [(one.run_after or now) - now for one in jobs] == [place * 100 for place in range(25)]


def test_retried_jobs_that_keep_an_order_start_in_the_order_of_their_creation(fake_clock: FakeClock) -> None:
    # Given ordered jobs that failed
    failed = [create_failed_job(second=second, order_key="k") for second in range(12)]
    url = require_setting("ordered_queue_url")
    sqs = aws.client("sqs")
    sqs.purge_queue(QueueUrl=url)
    fake_clock.seconds += 600  # SQS takes the same message again
    # When they are retried in three parts
    report = retry(type_name="SLEEP", limit=5)
    parts = [report]
    while report.cursor:
        report = retry(type_name="SLEEP", limit=5, cursor=report.cursor)
        parts.append(report)
    assert sum(part.changes for part in parts) == 12
    # Then their messages come in the order of their creation, and at once
    received: list[str] = []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in batch:
            received.append(json.loads(message["Body"])["job_id"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert received == [one.id for one in failed]
    assert {get_job(one.id, owner=None).run_after for one in failed} == {None}


def test_a_part_between_two_times_is_read_oldest_first() -> None:
    failed = [create_failed_job(second=second) for second in range(12)]
    between = {"created_from": (START + 3) * 1000, "created_before": (START + 9) * 1000}
    listed, cursor = [], None
    while True:
        report = retry(limit=2, cursor=cursor, dry_run=True, **between)
        listed += [outcome.job.id for outcome in report.outcomes]
        if (cursor := report.cursor) is None:
            break
    assert listed == [one.id for one in failed[3:9]]


def test_a_bulk_retry_whose_answer_was_lost_sends_every_message() -> None:
    for _ in range(3):
        create_failed_job()
    before = depth()
    with lose_first_answer("UpdateItem"):
        report = retry(type_name="SLEEP")
    assert (report.changes, report.refusals) == (3, 0)
    assert depth() == before + 3


def depth() -> int:
    """Messages in the queue of ordinary jobs, delayed ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=require_setting("jobs_queue_url"), AttributeNames=names)
    return sum(int(number) for number in answer["Attributes"].values())


def test_a_dry_run_reports_the_same_jobs_and_changes_none() -> None:
    created = [job() for _ in range(3)]
    with meter_calls() as meter:
        dry = cancel(type_name="SLEEP", dry_run=True)
    assert (meter.writes(), dry.changes, dry.refusals) == (0, 0, 0)
    assert ids(dry) == {one.id for one in created}
    assert {outcome.job.status for outcome in dry.outcomes} == {JobStatus.CREATED}
    assert ids(cancel(type_name="SLEEP")) == ids(dry)


def test_the_newest_come_first_and_the_cursor_leads_through_all() -> None:
    created = [job(second=second) for second in range(7)]
    first = cancel(type_name="SLEEP", limit=3)
    assert [outcome.job.id for outcome in first.outcomes] == [one.id for one in reversed(created[4:])]
    seen, cursor = ids(first), first.cursor
    while cursor:
        part = cancel(type_name="SLEEP", limit=3, cursor=cursor)
        assert not seen & ids(part)
        seen |= ids(part)
        cursor = part.cursor
    assert seen == {one.id for one in created}
    assert ids(cancel(type_name="SLEEP")) == set()


def test_without_a_cursor_a_repetition_goes_on_too() -> None:
    failed = [create_failed_job() for _ in range(5)]
    parts = [ids(retry(statuses=(JobStatus.FAILED,), limit=2)) for _ in range(4)]
    assert [len(part) for part in parts] == [2, 2, 1, 0]
    assert set.union(*parts) == {one.id for one in failed}


def test_a_tag_and_times_of_creation_narrow_the_selection() -> None:
    blue = [job(second=second, tags=["blue"]) for second in range(4)]
    [job(second=second) for second in range(4)]
    assert ids(cancel(tag="blue", created_before=(START + 1) * 1000)) == {blue[0].id}
    assert ids(cancel(tag="blue", created_from=(START + 3) * 1000)) == {blue[3].id}
    between = cancel(created_from=(START + 1) * 1000, created_before=(START + 2) * 1000, dry_run=True)
    assert {outcome.job.created_at for outcome in between.outcomes} == {(START + 1) * 1000}
    assert len(between.outcomes) == 2
    assert ids(cancel(tag="blue")) == {blue[1].id, blue[2].id}


def test_times_bound_what_is_read_and_parts_of_them_go_on() -> None:
    created = [job(second=second) for second in range(40)]
    limits = {
        "created_from": (START + 10) * 1000,
        "created_before": (START + 20) * 1000,
        "limit": 4,
        "dry_run": True,
    }
    seen: list[str] = []
    cursor, keys = None, 0
    while True:
        with meter_calls() as meter:
            part = cancel(**limits, cursor=cursor)
        keys += meter.keys()
        seen += [outcome.job.id for outcome in part.outcomes]
        if (cursor := part.cursor) is None:
            break
    assert seen == [one.id for one in reversed(created[10:20])]
    assert keys < 60


def test_all_owners_are_one_selection_for_who_may() -> None:
    mine, theirs = job(), job("bob")
    bad = create_failed_job("bob")
    assert ids(cancel(owner=None, type_name="SLEEP")) == {mine.id, theirs.id}
    assert ids(retry(owner=None, type_name="SLEEP")) == {mine.id, theirs.id, bad.id}
    tagged = job("bob", tags=["blue"])
    assert ids(cancel(owner=None, tag="blue")) == {tagged.id}


def test_a_job_that_moves_during_the_call_is_reported_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    moving, still = job(second=1), job()
    original = bulk.apply_as_seen

    def claim_and_apply(seen: Job, step: control.Step) -> Job:
        if seen.id == moving.id:
            claim_job(moving)
        return original(seen, step)

    monkeypatch.setattr(bulk, "apply_as_seen", claim_and_apply)
    report = cancel(type_name="SLEEP")
    assert (report.changes, report.refusals) == (1, 1)
    assert [(o.job.id, getattr(o.refusal, "code", None)) for o in report.outcomes] == [
        (moving.id, "VERSION_MOVED"), (still.id, None),
    ]  # fmt: skip
    assert status(moving) is JobStatus.RUNNING


def test_where_the_table_fails_halfway_what_was_retried_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = [create_failed_job(second=second) for second in range(3)]
    before = depth()
    original = pacing.apply_as_seen

    def fails_at_the_last(seen: Job, step: control.Step) -> Job:
        if seen.id == failed[2].id:
            raise EndpointConnectionError(endpoint_url="dynamodb")
        return original(seen, step)

    monkeypatch.setattr(pacing, "apply_as_seen", fails_at_the_last)
    with pytest.raises(EndpointConnectionError):
        retry(type_name="SLEEP")
    assert depth() == before + 2
    assert [status(one) for one in failed] == [JobStatus.CREATED, JobStatus.CREATED, JobStatus.FAILED]


def test_a_cancellation_costs_a_write_of_four_units_a_job_and_no_read_of_its_own() -> None:
    for _ in range(20):
        job()
    with meter_calls() as meter:
        cancel(type_name="SLEEP", limit=20)
    assert (meter.writes(), meter.write_units()) == (20, 80)
    assert meter.count("dynamodb", "GetItem") == 0
    assert meter.count("dynamodb", "BatchGetItem") <= 2


@pytest.mark.parametrize(
    ("selection", "field"),
    [
        ({}, None),
        ({"statuses": (JobStatus.COMPLETED,)}, "status"),
        ({"statuses": (JobStatus.FAILED,)}, "status"),
        ({"type_name": "SLEEP", "limit": 101}, "limit"),
        ({"type_name": "SLEEP", "limit": 0}, "limit"),
        ({"tag": "#"}, "tag"),
        ({"created_from": 2, "created_before": 1}, "created_before"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(selection: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        cancel(**selection)
    assert refusal.value.field == field


def test_a_cursor_belongs_to_its_selection_and_its_purpose() -> None:
    for _ in range(3):
        job()
        create_failed_job()
    cursor = cancel(type_name="SLEEP", limit=1, dry_run=True).cursor
    assert cancel(type_name="SLEEP", limit=1, cursor=cursor).changes == 1
    for other in (lambda: retry(type_name="SLEEP", cursor=cursor), lambda: cancel(owner="bob", type_name="SLEEP",
                  cursor=cursor), lambda: cancel(created_before=1, cursor=cursor)):  # fmt: skip
        with pytest.raises(InvalidCursorError):
            other()


# ---- Over HTTP ---------------------------------------------------------------------------------------------------


def test_over_http_a_user_changes_own_jobs_only() -> None:
    mine, theirs = job("ann"), job("bob")
    answer = post("/api/v1/jobs/cancel", {"type": "SLEEP"}, caller=make_caller("ann"))
    assert (answer.status, answer.json["matched"], answer.json["changed"], answer.json["refused"]) == (200, 1, 1, 0)
    created_at = "2027-01-15T08:00:00.000Z"
    assert answer.json["content"] == [
        {"id": mine.id, "type": "SLEEP", "status": "CANCELLED", "created_at": created_at, "problem": None}
    ]
    for owner in ("bob", "*"):
        refused = post("/api/v1/jobs/cancel", {"type": "SLEEP", "owner": owner}, caller=make_caller("ann"))
        assert (refused.status, refused.json["code"]) == (403, "FORBIDDEN")
    assert status(theirs) is JobStatus.CREATED


def test_over_http_an_admin_names_an_owner_or_all() -> None:
    theirs, others = create_failed_job("bob"), create_failed_job("cid")
    named = post("/api/v1/jobs/retry", {"status": "FAILED", "owner": "bob", "dry_run": True}).json
    assert (named["matched"], named["changed"], named["dry_run"]) == (1, 0, True)
    every = post("/api/v1/jobs/retry", {"status": "FAILED", "owner": "*"}).json
    assert {one["id"] for one in every["content"]} == {theirs.id, others.id}
    assert every["cursor"] is None


def test_over_http_times_are_rfc_3339_and_ids_keep_their_routes() -> None:
    created = job("admin", second=1)
    inside = {"created_after": "2027-01-15T08:00:01Z", "created_before": "2027-01-15T09:00:02+01:00"}
    assert post("/api/v1/jobs/cancel", inside | {"dry_run": True}).json["matched"] == 1
    assert post("/api/v1/jobs/cancel", {"created_after": "yesterday"}).status == 400
    assert post("/api/v1/jobs/cancel", {}).json["code"] == "INVALID_INPUT"
    assert call("POST", "/api/v1/jobs/{id}/cancel", path={"id": created.id}).json["status"] == "CANCELLED"
    assert call("GET", "/api/v1/jobs/{id}", path={"id": "cancel"}).status == 404
