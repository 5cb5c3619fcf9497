"""Cancelling, retrying and delaying jobs, against DynamoDB and SQS in memory."""

from collections.abc import Sequence
from typing import Any

import pytest
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from leaseway import aws, clock
from leaseway.dynamodb.table import Item
from leaseway.errors import InvalidInputError
from leaseway.jobs import (
    AlreadyEndedError,
    Job,
    JobNotFoundError,
    JobStatus,
    NotRetryableError,
    VersionMovedError,
    cancel_job,
    queue,
    retry_job,
)
from leaseway.jobs.control.remove import remove_job
from leaseway.jobs.lease import LeaseLostError
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import require_setting
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.faulty_wire import lose_first_answer
from support.job_steps import claim_job, read_job
from support.job_steps import create_sleep_job as job

pytestmark = pytest.mark.usefixtures("cloud")

DAY = 86_400


def cancel(created: Job, **options: Any) -> Job:
    return cancel_job(created.id, owner="ann", actor="ann", **options)


def count_messages() -> dict[str, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=require_setting("jobs_queue_url"), AttributeNames=names)
    return {name.removeprefix("ApproximateNumberOf"): int(answer["Attributes"][name]) for name in names}


def test_a_waiting_job_is_cancelled_at_once_and_never_claimed() -> None:
    waiting = job()

    cancelled = cancel(waiting)

    assert (cancelled.status, cancelled.error_message) == (JobStatus.CANCELLED, "cancelled by ann")
    assert isinstance(claim.claim(waiting.id, "w1"), claim.Settled)


def test_a_running_jobs_worker_is_notified_and_its_result_refused() -> None:
    mine = claim_job(job())

    assert cancel(mine.job).status is JobStatus.CANCELLED

    with pytest.raises(LeaseLostError):
        mine.extend()
    with pytest.raises(LeaseLostError):
        finish.complete(mine, {"n": 1})
    assert read_job(mine.job).result is None


def test_cancelling_twice_changes_nothing_and_a_finished_job_cannot_be_cancelled() -> None:
    twice = job()
    assert cancel(twice) == cancel(twice)
    done = claim_job(job())
    finish.complete(done, {})
    with pytest.raises(AlreadyEndedError):
        cancel(done.job)


def test_a_cancellation_costs_one_read_and_one_write_of_four_units() -> None:
    waiting = job()
    with meter_calls() as meter:
        cancel(waiting)
    assert (meter.count("dynamodb"), meter.writes(), meter.write_units(), meter.read_units()) == (2, 1, 4, 1)


def test_no_user_cancels_or_retries_anothers_job() -> None:
    theirs = job()
    with pytest.raises(JobNotFoundError):
        cancel_job(theirs.id, owner="bob", actor="bob")
    with pytest.raises(JobNotFoundError):
        retry_job(theirs.id, owner="bob")
    assert cancel_job(theirs.id, owner=None, actor="root").status is JobStatus.CANCELLED


def test_a_change_that_came_between_is_noticed() -> None:
    waiting = job()
    claim_job(waiting)
    with pytest.raises(VersionMovedError):
        cancel(waiting, if_versions={waiting.version})
    assert cancel(waiting, if_versions={waiting.version + 1}).status is JobStatus.CANCELLED


def test_a_failed_job_is_tried_again_under_its_id_with_as_many_attempts_more() -> None:
    failed = claim_job(job(max_attempts=1))
    finish.fail(failed, "boom")

    again = retry_job(failed.job.id, owner="ann")

    assert (again.status, again.max_attempts, again.attempts) == (JobStatus.CREATED, 2, 1)
    second = claim_job(again)
    assert (second.fence, second.job.attempts) == (2, 2)
    assert finish.fail(second, "boom") is JobStatus.FAILED
    third = retry_job(failed.job.id, owner="ann")
    assert (third.max_attempts, third.attempts) == (3, 2)
    finish.complete(claim_job(third), {"n": 3})
    assert (read_job(failed.job).status, read_job(failed.job).result) == (JobStatus.COMPLETED, {"n": 3})


def test_a_late_result_of_the_life_before_is_refused_by_the_fence() -> None:
    first = claim_job(job())
    cancel(first.job)
    retry_job(first.job.id, owner="ann")
    second = claim_job(first.job)

    with pytest.raises(LeaseLostError):
        finish.complete(first, {"life": 1})
    finish.complete(second, {"life": 2})
    assert read_job(first.job).result == {"life": 2}


def test_a_retry_brings_the_job_back_to_worker_and_sweeper(fake_clock: FakeClock) -> None:
    failed = claim_job(job(max_attempts=1))
    finish.fail(failed, "boom")
    before = count_messages()["Messages"]
    retry_job(failed.job.id, owner="ann")
    assert count_messages()["Messages"] == before + 1
    fake_clock.seconds += 121
    assert sweep().resent == 1


def test_a_job_that_did_not_end_badly_is_not_tried_again() -> None:
    done = claim_job(job())
    for _ in range(2):
        with pytest.raises(NotRetryableError):
            retry_job(done.job.id, owner="ann")
        finish.complete(done, {})


def test_a_delayed_job_is_hidden_by_sqs_and_claimed_when_due(fake_clock: FakeClock) -> None:
    later = job(delay_seconds=600)

    assert count_messages() == {"Messages": 0, "MessagesDelayed": 1}
    assert isinstance(claim.claim(later.id, "w1"), claim.NotYet)
    fake_clock.seconds += 600
    assert claim_job(later).job.status is JobStatus.RUNNING


def test_a_job_due_in_days_is_sent_by_the_sweeper_just_before(fake_clock: FakeClock) -> None:
    due = clock.now_ms() + 3 * DAY * 1000
    later = job(run_at=due)
    assert count_messages() == {"Messages": 0, "MessagesDelayed": 0}
    fake_clock.seconds += 2 * DAY
    assert sweep().looked == 0
    fake_clock.seconds = read_job(later).look_at / 1000

    assert sweep().resent == 1

    assert count_messages() == {"Messages": 0, "MessagesDelayed": 1}
    assert due / 1000 - fake_clock.seconds <= queue.LONGEST_DELAY_SECONDS


def test_a_moment_that_has_passed_is_now(fake_clock: FakeClock) -> None:
    assert job(run_at=clock.now_ms() - 1).run_after is None
    assert count_messages()["Messages"] == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"delay_seconds": 367 * DAY}, "delay_seconds"),
        ({"delay_seconds": -1}, "delay_seconds"),
        ({"delay_seconds": 1, "run_at": 1}, "delay_seconds"),
        ({"run_at": 10**15}, "run_at"),
    ],
)
def test_a_delay_that_makes_no_sense_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        job(**options)
    assert refusal.value.field == field


# ---- Answers that are lost ---------------------------------------------------------------------------------------


def test_a_retry_whose_answer_was_lost_is_recognized_and_sends_its_message() -> None:
    failed = claim_job(job(max_attempts=1))
    finish.fail(failed, "boom")
    before = count_messages()["Messages"]
    with lose_first_answer("UpdateItem") as sent:
        again = retry_job(failed.job.id, owner="ann", if_versions={read_job(failed.job).version})
    assert sent.count("UpdateItem") == 2
    assert (again.status, again.version) == (JobStatus.CREATED, read_job(failed.job).version)
    assert count_messages()["Messages"] == before + 1


def test_a_retry_is_recognized_although_a_worker_was_quicker_than_its_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = claim_job(job(max_attempts=1))
    finish.fail(failed, "boom")
    original = JobModel.change

    def claim_before_the_repeat(job_id: str, actions: Sequence[Action], condition: Condition) -> Item:
        monkeypatch.setattr(JobModel, "change", original)
        original(job_id, actions, condition)
        claim_job(failed.job)
        return original(job_id, actions, condition)

    monkeypatch.setattr(JobModel, "change", claim_before_the_repeat)
    assert retry_job(failed.job.id, owner="ann").status is JobStatus.RUNNING


def test_of_two_that_retry_at_once_the_second_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = claim_job(job(max_attempts=1))
    finish.fail(failed, "boom")
    original = JobModel.change

    def be_overtaken(job_id: str, actions: Sequence[Action], condition: Condition) -> Item:
        monkeypatch.setattr(JobModel, "change", original)
        retry_job(job_id, owner="ann")
        return original(job_id, actions, condition)

    monkeypatch.setattr(JobModel, "change", be_overtaken)
    with pytest.raises(NotRetryableError):
        retry_job(failed.job.id, owner="ann")


def test_a_cancellation_whose_answer_was_lost_is_no_conflict_of_versions() -> None:
    waiting = job()
    with lose_first_answer("UpdateItem"):
        ended = cancel(waiting, if_versions={waiting.version})
    assert (ended.status, ended.version) == (JobStatus.CANCELLED, waiting.version + 1)


def test_a_removal_whose_answer_was_lost_answers_what_was_removed() -> None:
    ended = cancel(job())
    with lose_first_answer("DeleteItem") as sent:
        assert remove_job(ended.id, owner="ann") == ended
    assert sent.count("DeleteItem") == 2
    with pytest.raises(JobNotFoundError):
        remove_job(ended.id, owner="ann")


def test_of_two_that_remove_at_once_one_gets_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = cancel(job())
    original = JobModel.remove

    def be_overtaken(job_id: str, condition: Condition) -> None:
        monkeypatch.setattr(JobModel, "remove", original)
        assert remove_job(job_id, owner="ann") == ended
        original(job_id, condition)

    monkeypatch.setattr(JobModel, "remove", be_overtaken)
    with pytest.raises(JobNotFoundError):
        remove_job(ended.id, owner="ann")
