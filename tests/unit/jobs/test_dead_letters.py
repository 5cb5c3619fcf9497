"""Dead letters: listed from a sparse index, and replayed at a pace, against DynamoDB and SQS in memory."""

import json

import pytest

from leaseway import aws, clock
from leaseway.counters import count
from leaseway.errors import InvalidInputError
from leaseway.jobs import Job, JobStatus, Options, create_job, get_job, queue, retry_job, transitions
from leaseway.jobs.control.replay import DeadLetterNotFoundError, Replayed, replay, replay_all
from leaseway.jobs.find.lists import UseCursorError, page_of_dead_letters
from leaseway.jobs.find.totals import count_dead_letters
from leaseway.jobs.run import claim, finish
from leaseway.jobs.upkeep.dead_letters import LetterVerdict, judge
from leaseway.jobs.upkeep.sweep import sweep
from leaseway.settings import require_setting, settings
from leaseway.tally.changes import read_changes
from support.account_stream import read_stream_records
from support.api_gateway import call, make_caller, post
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.faulty_wire import lose_first_answer

pytestmark = pytest.mark.usefixtures("fake_clock")


def dead(number: int, fake_clock: FakeClock) -> list[Job]:
    """Jobs that were given up one after another; they had no messages."""
    given_up = []
    for _ in range(number):
        with pytest.MonkeyPatch.context() as lost:
            lost.setattr(queue, "send_when_due", lambda _: None)
            job = create_job("ann", "SLEEP", {"duration_ms": 1})
        fake_clock.seconds += settings().dead_letter_seconds + 1
        assert judge(json.dumps({"job_id": job.id, "ttl_ms": 1, "version": 1})) is LetterVerdict.FAILED
        given_up.append(job)
    return given_up


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def delays() -> dict[str, int]:
    """Messages in the queue, and those that it holds back."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=require_setting("jobs_queue_url"), AttributeNames=names)
    return {name.removeprefix("ApproximateNumberOf"): int(answer["Attributes"][name]) for name in names}


def test_only_what_no_claim_settled_is_listed_given_up_last_first(fake_clock: FakeClock) -> None:
    failed = create_job("ann", "SLEEP", {"duration_ms": 1}, Options(max_attempts=1))
    outcome = claim.claim(failed.id, "w")
    assert isinstance(outcome, claim.Claimed)
    finish.fail(outcome.lease, "boom")
    given_up = dead(3, fake_clock)

    page = page_of_dead_letters()

    assert ids(page.content) == ids(given_up[::-1])
    assert {job.dead_lettered_at is not None for job in page.content} == {True}


def test_a_list_goes_on_by_cursor_and_by_page(fake_clock: FakeClock) -> None:
    given_up = ids(dead(5, fake_clock))[::-1]
    first = page_of_dead_letters(size=2)
    assert ids(first.content) == given_up[:2]
    assert ids(page_of_dead_letters(size=2, cursor=first.cursor).content) == given_up[2:4]
    assert ids(page_of_dead_letters(size=2, page=2).content) == given_up[4:]
    with pytest.raises(UseCursorError):
        page_of_dead_letters(size=100, page=11)


def test_dead_letters_are_counted_as_they_come_and_go(fake_clock: FakeClock) -> None:
    first, second, *_ = dead(3, fake_clock)
    count(read_changes(read_stream_records(table="jobs")))
    assert (count_dead_letters(), page_of_dead_letters(size=1).total_elements) == (3, 3)
    replay(first.id)
    aws.client("dynamodb").delete_item(TableName="jobs", Key={"id": {"S": second.id}})
    count(read_changes(read_stream_records(table="jobs")))
    assert count_dead_letters() == 1


def test_a_replayed_job_leaves_the_list_runs_at_once_and_no_longer_expires(fake_clock: FakeClock) -> None:
    (job,) = dead(1, fake_clock)

    again = replay(job.id)

    assert (again.status, again.run_after, again.expires_at) == (JobStatus.CREATED, None, None)
    assert page_of_dead_letters().content == []
    assert delays() == {"Messages": 1, "MessagesDelayed": 0}
    outcome = claim.claim(job.id, "w")
    assert isinstance(outcome, claim.Claimed)
    finish.complete(outcome.lease, {})
    assert get_job(job.id, owner=None).status is JobStatus.COMPLETED


def test_a_retry_by_hand_leaves_the_list_too(fake_clock: FakeClock) -> None:
    (job,) = dead(1, fake_clock)
    retry_job(job.id, owner="ann")
    assert page_of_dead_letters().content == []


def test_what_is_no_dead_letter_is_not_replayed(fake_clock: FakeClock) -> None:
    (job,) = dead(1, fake_clock)
    replay(job.id)
    for job_id in (job.id, "0" * 32):
        with pytest.raises(DeadLetterNotFoundError):
            replay(job_id)


def test_a_replay_of_many_takes_the_oldest_first_and_starts_ten_a_second(fake_clock: FakeClock) -> None:
    given_up = dead(35, fake_clock)
    now = clock.now_ms()

    done = replay_all(25)

    assert (ids(done.jobs), done.left) == (ids(given_up[:25]), 10)
    turns = [(job.run_after or now) - now for job in done.jobs]
    assert turns == [place * 100 for place in range(25)]
    assert done.last_starts_at == now + 2_400
    assert delays() == {"Messages": 1, "MessagesDelayed": 24}


def test_calls_that_come_at_once_wait_for_each_other(fake_clock: FakeClock) -> None:
    dead(30, fake_clock)
    now = clock.now_ms()
    turns = [(job.run_after or now) - now for _ in range(3) for job in replay_all(10).jobs]
    assert turns == [place * 100 for place in range(30)]
    assert replay_all() == Replayed([], 0)


def test_after_a_rest_a_replay_starts_at_once(fake_clock: FakeClock) -> None:
    dead(20, fake_clock)
    replay_all(10)
    fake_clock.seconds += 60
    assert replay_all(10).jobs[0].run_after is None


def test_thousands_are_spread_far_beyond_what_sqs_delays(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a pace of one a second, when more are replayed than 900 seconds hold
    monkeypatch.setenv("REPLAY_RATE", "1")
    settings.cache_clear()
    dead(3, fake_clock)
    aws.client("dynamodb").put_item(
        TableName="totals",
        Item={"scope": {"S": "replay"}, "shard": {"S": "-"}, "until": {"N": str(clock.now_ms() + 3_600_000)}},
    )
    done = replay_all()
    # Then their turn comes later, and the sweeper sends them before it
    assert [job.run_after - clock.now_ms() for job in done.jobs] == [3_600_000, 3_601_000, 3_602_000]
    assert delays() == {"Messages": 0, "MessagesDelayed": 0}
    fake_clock.seconds += 3_200
    assert sweep().resent == 3
    assert delays() == {"Messages": 0, "MessagesDelayed": 3}


def test_jobs_that_expired_hold_no_replay_up(fake_clock: FakeClock) -> None:
    expired = dead(3, fake_clock)
    fake_clock.seconds += 80 * 86_400
    fresh = dead(2, fake_clock)
    fake_clock.seconds += 10 * 86_400

    done = replay_all(2)

    assert ids(done.jobs) == ids(fresh)
    assert all(job.id not in ids(done.jobs) for job in expired)


def test_one_that_is_moved_during_the_replay_is_passed_over(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, stays = dead(2, fake_clock)
    original = transitions.plan_first_look

    def meanwhile(moment: int) -> int:
        monkeypatch.setattr(transitions, "plan_first_look", original)
        retry_job(moved.id, owner="ann")
        return original(moment)

    monkeypatch.setattr(transitions, "plan_first_look", meanwhile)
    assert ids(replay_all().jobs) == [stays.id]


def test_a_replay_whose_answer_was_lost_sends_its_message(fake_clock: FakeClock) -> None:
    (job,) = dead(1, fake_clock)
    with lose_first_answer("UpdateItem"):
        assert replay(job.id).status is JobStatus.CREATED
    assert delays() == {"Messages": 1, "MessagesDelayed": 0}


@pytest.mark.parametrize("limit", [0, 101])
def test_a_call_replays_no_more_than_a_hundred(limit: int) -> None:
    with pytest.raises(InvalidInputError):
        replay_all(limit)


def test_a_replay_of_a_hundred_costs_two_calls_for_ten_and_some(fake_clock: FakeClock) -> None:
    dead(100, fake_clock)
    with meter_calls() as meter:
        assert len(replay_all().jobs) == 100
    assert meter.count("sqs") == 10
    assert meter.count("dynamodb", "BatchGetItem") == 1
    assert meter.writes("jobs") == 100


def test_admins_list_and_replay_over_http_and_users_may_not(fake_clock: FakeClock) -> None:
    first, *_ = dead(3, fake_clock)
    listed = call("GET", "/api/v1/dead-letters", query={"size": ["2"]})
    assert (listed.status, len(listed.json["content"])) == (200, 2)
    assert listed.json["content"][0]["dead_lettered_at"] is not None

    one = call("POST", "/api/v1/dead-letters/{id}/replay", path={"id": first.id})
    assert (one.status, one.json["status"], one.json["dead_lettered_at"]) == (202, "CREATED", None)
    again = call("POST", "/api/v1/dead-letters/{id}/replay", path={"id": first.id})
    assert (again.status, again.json["code"]) == (404, "DEAD_LETTER_NOT_FOUND")

    many = post("/api/v1/dead-letters/replay", {"limit": 1})
    assert (many.status, many.json["replayed"], many.json["left"]) == (202, 1, 1)
    rest = call("POST", "/api/v1/dead-letters/replay")
    assert (rest.json["replayed"], rest.json["left"]) == (1, 0)
    assert post("/api/v1/dead-letters/replay", {}).json == {"replayed": 0, "left": 0, "last_starts_at": None}

    for method, path in (("GET", ""), ("POST", "/replay")):
        assert call(method, f"/api/v1/dead-letters{path}", caller=make_caller("ann")).status == 403
